#include "everywhere.hpp"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>

#include "../own_lab.hpp"
#include "base/clock.hpp"
#include "base/process.hpp"
#include "core/snapshot/view.hpp"
#include "core/topology/parse.hpp"
#include "drill/drills.hpp"
#include "edge/state.hpp"
#include "lab/lab.hpp"

namespace domicile::bench {
namespace {

constexpr int kSwitches = 36;
const std::string kResidency = "us";

// Grows with every change of a record: moving, serving and draining of one epoch follow each other.
using Step = std::int64_t;
Step step_of(std::int64_t epoch, int place) { return epoch * 3 + place; }
Step step_of(const snapshot::AuthorityEntry& entry) {
  const auto mode = entry.current_mode();
  const int place = mode == snapshot::Mode::moving ? 0 : mode == snapshot::Mode::serving ? 1 : 2;
  return step_of(static_cast<std::int64_t>(entry.epoch), place);
}

// When the gateway of one region obeyed each step, by its workers' own stamps.
class Gateway {
 public:
  explicit Gateway(fs::path directory) : directory_(std::move(directory)) {}

  void look() {
    const auto bytes = read_file(directory_ / "authority.snap");
    if (!bytes) return;
    alignas(64) char copy[snapshot::kMaxAuthorityBytes];
    if (bytes->size() > sizeof copy) return;
    bytes->copy(copy, bytes->size());
    snapshot::AuthorityView view;
    if (view.open(copy, bytes->size()) == snapshot::Flaw::none) {
      const auto at = view.find(kResidency);
      if (at != snapshot::kNone) shown_[view.generation()] = step_of(view.entry(at));
    }
    const auto state = edge::read_edge_state((directory_ / "edge.state").string());
    if (!state || state->workers.empty()) return;
    const auto after = shown_.upper_bound(state->generation_obeyed());
    if (after == shown_.begin()) return;
    Micros last = 0;
    for (const auto& worker : state->workers) last = std::max(last, worker.obeyed_at);
    obeyed_.try_emplace(std::prev(after)->second, last);
  }
  // The first step at or behind `step` that all workers obeyed; empty: none yet.
  std::optional<Micros> obeyed(Step step) const {
    const auto found = obeyed_.lower_bound(step);
    if (found == obeyed_.end()) return {};
    return found->second;
  }

 private:
  fs::path directory_;
  std::map<std::uint64_t, Step> shown_;  // by generation
  std::map<Step, Micros> obeyed_;        // CLOCK_BOOTTIME
};

class Watch {
 public:
  explicit Watch(const drill::Field& field) {
    for (const auto& region : field.regions())
      gateways_.emplace(region, field.directory() / "sites" / region / "gateway");
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        {
          const std::lock_guard lock(mutex_);
          for (auto& [region, gateway] : gateways_) gateway.look();
        }
        ::usleep(1000);
      }
    });
  }
  std::optional<Micros> in(const std::string& region, Step step) {
    const std::lock_guard lock(mutex_);
    return gateways_.at(region).obeyed(step);
  }
  std::optional<Micros> everywhere(Step step) {
    const std::lock_guard lock(mutex_);
    Micros last = 0;
    for (const auto& [region, gateway] : gateways_) {
      const auto at = gateway.obeyed(step);
      if (!at) return {};
      last = std::max(last, *at);
    }
    return last;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, Gateway> gateways_;  // by region
  std::jthread thread_;
};

// The three changes of one planned switch, each by the region that makes it.
Result<void> one_switch(const drill::Field& field, Watch& watch, AuthorityTimes& times) {
  const auto before = TRY(drill::owner_of(field, kResidency));
  const std::string to = TRY(drill::other_owner(field, kResidency));
  Result<Json> ordered = fail(Kind::unavailable, "not ordered");
  // A copy that has just become one may not follow yet.
  for (const Micros until = monotonic_now() + 20 * kSecond; !ordered && monotonic_now() < until; ::usleep(100'000))
    ordered = field.agent(before.owner, "POST", "/v1/switch",
                          {{"residency", kResidency}, {"to", to}, {"reason", "measured"}}, 10 * kSecond);
  if (!ordered) return tl::unexpected<Error>(ordered.error());
  const std::string id = TRY(member<std::string>(*ordered, "switch"));
  const Step end = step_of(before.epoch + 1, 1);
  for (const Micros until = monotonic_now() + 20 * kSecond; !watch.everywhere(end); ::usleep(20'000))
    if (monotonic_now() > until) return fail(Kind::unavailable, "a switch was never obeyed everywhere");
  const Micros wall_less_boot = wall_now() - boottime_now();
  std::size_t seen = 0;
  for (const std::string& author : {before.owner, to}) {
    const Json events = TRY(field.agent(author, "GET", "/v1/events?count=200", {}, kSecond));
    for (const Json& event : events) {
      const std::string name = TRY(member<std::string>(event, "event"));
      if (TRY(member<std::string>(event, "switch")) != id || !name.starts_with("committed.")) continue;
      const Step step = step_of(TRY(member<std::int64_t>(event, "epoch")), name == "committed.moving"    ? 0
                                                                           : name == "committed.serving" ? 1
                                                                                                         : 2);
      const Micros answered = TRY(member<Micros>(event, "at_us"));
      const Micros asked = answered - TRY(member<Micros>(event, "ms")) * kMillisecond;
      times.local_ms.push_back(static_cast<double>(*watch.in(author, step) + wall_less_boot - answered) / 1000.0);
      times.everywhere_ms.push_back(static_cast<double>(*watch.everywhere(step) + wall_less_boot - asked) / 1000.0);
      ++seen;
    }
  }
  if (seen != 3) return fail(Kind::corrupt, "the events of a switch are not complete");
  return {};
}

}  // namespace

Result<AuthorityTimes> authority_times(const fs::path& domicile) {
  const fs::path checkout = domicile.parent_path().parent_path();
  const fs::path file = checkout / "examples/three-regions/topology.yaml";
  const auto topology = TRY(topology::load(TRY(read_file(file)), file.string()));
  const int base = 12'000 + ::getpid() % 10'000;
  const OwnLab lab(domicile, base);
  CHECK_OK(lab.up());
  const auto field = TRY(drill::Field::open(lab::default_directory(checkout, base), topology));
  Watch watch(field);
  AuthorityTimes times;
  for (int i = 0; i < kSwitches; ++i) {
    CHECK_OK(one_switch(field, watch, times));
    fmt::print(stderr, "switch {} of {}: here {:.0f} ms, everywhere {:.0f} ms\n", i + 1, kSwitches,
               fmt::join(times.local_ms.end() - 3, times.local_ms.end(), " "),
               fmt::join(times.everywhere_ms.end() - 3, times.everywhere_ms.end(), " "));
  }
  return times;
}

}  // namespace domicile::bench
