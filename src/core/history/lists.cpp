// Append-only lists. Every value says who appended it, so what a list shows can be held against what clients were told.
#include <algorithm>
#include <limits>

#include "core/history/book.hpp"

namespace domicile::history {
namespace {

constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();  // as an epoch: when all was quiet again

// Somebody saw the whole list.
struct Sight {
  std::vector<std::int64_t> items;
  std::int64_t epoch = 0;
  Micros begin = 0, end = 0;
  std::string who;
  std::map<std::int64_t, std::size_t> place = {};  // of each item
};

class ListCheck {
 public:
  ListCheck(const Book& book, const Thing& thing, const std::vector<const Call*>& calls, Writers writers,
            Verdict& verdict)
      : book_(book), thing_(thing), writers_(std::move(writers)), verdict_(verdict) {
    for (const Call* call : calls) {
      if (call->outcome != Type::ok) continue;
      if (call->deed == Deed::append) acknowledged_.push_back(call);
      if (call->deed == Deed::list)
        sights_.push_back(
            {call->answered, call->epoch, call->begin, call->end, fmt::format("operation {}", call->invoked_at)});
    }
    std::ranges::stable_sort(acknowledged_, {}, &Call::begin);
    std::ranges::stable_sort(sights_, {}, &Sight::begin);
    const auto ends = book.list_ends.find(thing);
    if (ends == book.list_ends.end()) return;
    if (ends->second.last) {
      const auto& last = *ends->second.last;
      sights_.push_back({last.value, kEnd, last.time, last.time, "the last owner in the end"});
    }
    for (const Kept& each : ends->second.kept) {
      kept_by_.push_back(&each);
      kept_.push_back({each.value, each.epoch, 0, kEnd, "the salvage of " + each.node});
    }
  }

  void run() {
    for (Sight& sight : sights_) look_at(sight);
    for (Sight& sight : kept_) look_at(sight);
    prefixes();
    told_and_seen();
    reappearing();
    if (book_.at_end) account();
  }

 private:
  void anomaly(Rule rule, std::int64_t epoch, std::string why) {
    verdict_.anomalies.push_back({rule, thing_.residency, thing_.key, epoch == kEnd ? 0 : epoch, std::move(why)});
  }

  void look_at(Sight& sight) {
    for (std::size_t i = 0; i < sight.items.size(); ++i) {
      const std::int64_t item = sight.items[i];
      if (!sight.place.emplace(item, i).second)
        anomaly(Rule::duplicate, sight.epoch, fmt::format("{} stands twice in {}", item, sight.who));
      if (const auto why = phantom(writers_, item, sight.end); !why.empty())
        anomaly(Rule::phantom, sight.epoch, fmt::format("{}: {}", sight.who, why));
    }
    // Who sees an append sees what its epoch had acknowledged before that began, and before it.
    for (const Call* later : acknowledged_) {
      if (!sight.place.contains(later->asked[0])) continue;
      for (const Call* earlier : acknowledged_) {
        if (earlier->begin >= later->begin) break;
        if (earlier->epoch != later->epoch || earlier->end >= later->begin) continue;
        const auto place = sight.place.find(earlier->asked[0]);
        if (place == sight.place.end() || place->second > sight.place.at(later->asked[0])) {
          anomaly(Rule::gap, later->epoch,
                  fmt::format("{} shows {} and {} {}", sight.who, later->asked[0],
                              place == sight.place.end() ? "not" : "behind it", earlier->asked[0]));
          return;
        }
      }
    }
  }

  // In one epoch, and the end, each is the beginning of every longer one.
  void prefixes() {
    std::map<std::int64_t, std::vector<const Sight*>> by_epoch;
    for (const Sight& sight : sights_) by_epoch[sight.epoch].push_back(&sight);
    for (auto& [epoch, sights] : by_epoch) {
      std::ranges::stable_sort(sights, {}, [](const Sight* sight) { return sight->items.size(); });
      for (std::size_t i = 1; i < sights.size(); ++i) {
        const auto& less = sights[i - 1]->items;
        if (std::equal(less.begin(), less.end(), sights[i]->items.begin())) continue;
        anomaly(Rule::prefix, epoch, fmt::format("{} does not begin as {}", sights[i]->who, sights[i - 1]->who));
        break;
      }
    }
  }

  void told_and_seen() {
    std::map<std::int64_t, std::vector<const Sight*>> ended;  // by epoch
    for (const Sight& sight : sights_) {
      for (const Call* call : acknowledged_)
        if (call->epoch == sight.epoch && call->end < sight.begin && !sight.place.contains(call->asked[0])) {
          anomaly(Rule::stale, sight.epoch,
                  fmt::format("{} was told after operation {} and does not show {}", sight.who, call->invoked_at,
                              call->asked[0]));
          break;
        }
      for (const Sight* other : ended[sight.epoch])
        if (other->end < sight.begin && other->items.size() > sight.items.size()) {
          anomaly(Rule::stale, sight.epoch, fmt::format("{} shows less than {} before it", sight.who, other->who));
          break;
        }
      ended[sight.epoch].push_back(&sight);
    }
  }

  // A new owner did not have it, and nobody appended it again.
  void reappearing() {
    for (const Call* call : acknowledged_) {
      const Sight* without = nullptr;
      for (const Sight& sight : sights_) {
        if (sight.begin <= call->end) continue;
        const bool there = sight.place.contains(call->asked[0]);
        if (!there && sight.epoch > call->epoch && (without == nullptr || sight.end < without->end)) without = &sight;
        if (!there || without == nullptr || without->end >= sight.begin) continue;
        anomaly(Rule::reappeared, sight.epoch,
                fmt::format("{} is in {} and was not in {} before it", call->asked[0], sight.who, without->who));
        break;
      }
    }
  }

  void account() {
    const auto readable = [&](const Call& call) {
      return !sights_.empty() && sights_.back().epoch == kEnd && sights_.back().place.contains(call.asked[0]);
    };
    const auto kept = [&](const Call& call) {
      for (std::size_t i = 0; i < kept_.size(); ++i)
        if (keeps(*kept_by_[i], call) && kept_[i].place.contains(call.asked[0])) return true;
      return false;
    };
    for (const Call* call : acknowledged_) {
      if (readable(*call)) continue;
      if (kept(*call))
        ++verdict_.salvaged;
      else if (named_lost(book_, *call))
        ++verdict_.named_lost;
      else
        anomaly(Rule::lost, call->epoch,
                fmt::format("{} (operation {}) was acknowledged by {}", call->asked[0], call->invoked_at, call->node));
    }
  }

  const Book& book_;
  const Thing& thing_;
  Writers writers_;
  Verdict& verdict_;
  std::vector<const Call*> acknowledged_;  // by beginning
  std::vector<Sight> sights_, kept_;
  std::vector<const Kept*> kept_by_;  // of each of kept_
};

}  // namespace

Result<void> check_lists(const Book& book, Verdict& verdict) {
  for (const auto& [thing, calls] : book.lists) ListCheck(book, thing, calls, TRY(writers_of(calls)), verdict).run();
  return {};
}

}  // namespace domicile::history
