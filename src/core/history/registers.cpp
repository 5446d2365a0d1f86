// Registers: one order explains each epoch, and each epoch goes on from what the one before it came to. Where it does
// not, a takeover left something behind, and then that is kept as salvage or named as lost.
#include <algorithm>
#include <limits>

#include "core/history/book.hpp"
#include "core/history/linear.hpp"

namespace domicile::history {
namespace {

constexpr Micros kNever = std::numeric_limits<Micros>::max() - 1;

Held held_of(const Call& call) { return call.empty_read ? Held() : Held(call.answered[0]); }

Step step_of(const Call& call) {
  Step step;
  step.begin = call.begin, step.end = call.end, step.certain = call.outcome == Type::ok;
  if (!step.certain) step.end = kNever;
  switch (call.deed) {
    case Deed::read:
      step.read = held_of(call);
      break;
    case Deed::write:
      step.act = Step::Act::write, step.value = call.asked[0];
      break;
    default:
      step.act = Step::Act::cas, step.expect = call.asked[0], step.value = call.asked[1];
  }
  return step;
}

// What an answer shows that the register held before it.
std::optional<Held> shown_by(const Call& call) {
  if (call.outcome != Type::ok || call.deed == Deed::write) return {};
  return call.deed == Deed::read ? held_of(call) : Held(call.asked[0]);
}

class RegisterCheck {
 public:
  RegisterCheck(const Book& book, const Thing& thing, const std::vector<const Call*>& calls, Writers writers,
                Verdict& verdict)
      : book_(book), thing_(thing), writers_(std::move(writers)), verdict_(verdict) {
    for (const Call* call : calls)
      if (call->outcome == Type::ok) epochs_[call->epoch].push_back(call);
    // An unknown write took effect, if at all, once: where its value was seen first, or unseen before that.
    for (const auto& [epoch, mine] : epochs_)
      for (const Call* call : mine)
        if (const auto held = shown_by(*call); held && *held) first_seen_.try_emplace(**held, epoch);
    const auto ends = book.register_ends.find(thing);
    if (ends != book.register_ends.end()) ends_ = &ends->second;
  }

  void run() {
    for (const auto& [epoch, calls] : epochs_)
      for (const Call* call : calls)
        if (const auto held = shown_by(*call); held && *held) see(**held, call->end, epoch);
    if (ends_ != nullptr) {
      if (ends_->last && !ends_->last->empty_read) see(ends_->last->value[0], ends_->last->time, 0);
      for (const Kept& kept : ends_->kept) see(kept.value[0], kNever, kept.epoch);
    }
    for (auto at = epochs_.begin(); at != epochs_.end(); ++at) {
      if (!settled(possible(at->first, {}), at->first)) continue;
      const auto next = std::next(at);
      if (next != epochs_.end())
        hand_over(at->first, next->first, carried_into(next->first));
      else if (ends_ != nullptr && ends_->last)
        hand_over(at->first, kNever, ends_->last->empty_read ? Held() : Held(ends_->last->value[0]));
    }
  }

 private:
  void anomaly(Rule rule, std::int64_t epoch, std::string why) {
    verdict_.anomalies.push_back({rule, thing_.residency, thing_.key, epoch, std::move(why)});
  }

  void see(std::int64_t value, Micros when, std::int64_t epoch) {
    if (const auto why = phantom(writers_, value, when); !why.empty()) anomaly(Rule::phantom, epoch, why);
  }

  // Can this epoch have gone like that? With `last`, and have come to it in the end?
  Linear possible(std::int64_t epoch, const std::optional<Held>& last) const {
    std::vector<Step> steps;
    for (const Call* call : epochs_.at(epoch)) steps.push_back(step_of(*call));
    for (const auto& [value, writer] : writers_) {
      if (writer->outcome != Type::info) continue;
      const auto seen = first_seen_.find(value);
      const bool seen_here = seen != first_seen_.end() && seen->second == epoch;
      const bool seen_before = seen != first_seen_.end() && seen->second < epoch;
      if (seen_here || (last && *last == Held(value) && !seen_before)) steps.push_back(step_of(*writer));
    }
    if (last) {
      Step read;
      read.read = *last, read.begin = read.end = kNever;
      steps.push_back(read);
    }
    return linearizable(steps, {epoch == epochs_.begin()->first, {}});
  }

  // False where nothing more can be said of the epoch.
  bool settled(Linear linear, std::int64_t epoch) {
    if (linear == Linear::no) anomaly(Rule::linearizable, epoch, "no order explains what clients were answered");
    if (linear == Linear::undecided) verdict_.undecided.push_back(thing_.residency + " " + thing_.key);
    return linear == Linear::yes;
  }

  // What an epoch's clients saw that nobody wrote in it: it was there when the epoch began. Empty: they did not see it.
  std::optional<Held> carried_into(std::int64_t epoch) const {
    for (const Call* call : epochs_.at(epoch)) {
      const auto held = shown_by(*call);
      if (!held) continue;
      if (!*held) return held;
      const auto writer = writers_.find(**held);
      if (writer == writers_.end() || writer->second->outcome == Type::fail) continue;
      const bool before =
          writer->second->outcome == Type::ok ? writer->second->epoch < epoch : first_seen_.at(**held) < epoch;
      if (before) return held;
    }
    return {};
  }

  // The next epoch, or the end, began with `value`. If this epoch cannot have come to that, it lost its last writes.
  void hand_over(std::int64_t epoch, std::int64_t next, const std::optional<Held>& value) {
    if (!value) return;
    const Linear whole = possible(epoch, value);
    if (whole == Linear::undecided) verdict_.undecided.push_back(thing_.residency + " " + thing_.key);
    if (whole != Linear::no) return;
    // Whoever was answered last, by his own write or by seeing somebody's, was told what is not there any more.
    const Call* last = *std::ranges::max_element(epochs_.at(epoch), {}, &Call::end);
    for (const Kept& kept : ends_ == nullptr ? std::vector<Kept>{} : ends_->kept)
      if (keeps(kept, *last) && kept.epoch < next && possible(epoch, Held(kept.value[0])) != Linear::no) {
        ++verdict_.salvaged;
        return;
      }
    if (!book_.at_end) return;
    if (named_lost(book_, *last)) {
      ++verdict_.named_lost;
      return;
    }
    const Held told = writes(last->deed) ? Held(last->asked.back()) : held_of(*last);
    const auto text = [](const Held& held) { return held ? std::to_string(*held) : "nothing"; };
    anomaly(Rule::lost, epoch,
            fmt::format("{} (operation {}) was acknowledged by {}, and then the register held {}", text(told),
                        last->invoked_at, last->node, text(*value)));
  }

  const Book& book_;
  const Thing& thing_;
  Writers writers_;
  Verdict& verdict_;
  std::map<std::int64_t, std::vector<const Call*>> epochs_;  // answered, by epoch
  std::map<std::int64_t, std::int64_t> first_seen_;          // value -> epoch
  const Ends* ends_ = nullptr;
};

}  // namespace

Result<void> check_registers(const Book& book, Verdict& verdict) {
  for (const auto& [thing, calls] : book.registers)
    RegisterCheck(book, thing, calls, TRY(writers_of(calls)), verdict).run();
  return {};
}

}  // namespace domicile::history
