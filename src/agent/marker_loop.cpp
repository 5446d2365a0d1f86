#include "agent/marker_loop.hpp"

namespace domicile::agent {

namespace {
constexpr Micros kPeriod = 200 * kMillisecond;
}

MarkerLoop::MarkerLoop(std::string region, std::unique_ptr<replication::Store> store,
                       const Published<QuorumSeen>& quorum, Published<std::map<std::string, authority::Marker>>& board,
                       Log log, Bell& readers)
    : region_(std::move(region)),
      store_(std::move(store)),
      quorum_(quorum),
      board_(board),
      log_(std::move(log)),
      seen_(&readers) {}

void MarkerLoop::commit() {
  const auto quorum = quorum_.get();
  std::string trouble;
  bool any = false;
  // Not when a lease merely ends: from a dead database's last marker the standbys know how far their copies are, and
  // without it none of them would switch by itself.
  std::erase_if(last_.last, [&](const auto& entry) {
    const auto record = quorum->view.authorities.find(entry.first);
    return record == quorum->view.authorities.end() || record->second.value.owner != region_;
  });
  for (const auto& [residency, lease] : quorum->leases) {
    life_.alive();
    const auto marker = store_->commit_marker(residency, lease.epoch);
    if (!marker) {
      trouble = one_line(marker.error());
      continue;
    }
    any = true;
    last_.last[residency] = *marker;
    last_.committed_at[residency] = monotonic_now();
  }
  if (any) last_.pulse_at = monotonic_now();
  // Nothing open, or refused because a lease has just ended: neither says whether the database commits.
  if (!any) {
    const auto pulse = store_->pulse();
    if (pulse)
      last_.pulse_at = monotonic_now();
    else
      trouble = one_line(pulse.error());
  }
  if (trouble != last_.trouble && !trouble.empty())
    log_.warn("marker.trouble", "the database did not commit", {{Field::reason, trouble}});
  last_.trouble = trouble;
  if (trouble.empty())
    look_at_guard();
  else
    last_.guard_clock.reset();  // a database that hangs would hold the markers up
  board_.set(last_.last);
  seen_.set(last_);
}

// For people, so once a second is enough.
void MarkerLoop::look_at_guard() {
  if (monotonic_now() - guard_at_ < kSecond) return;
  guard_at_ = monotonic_now();
  last_.guards.clear();
  last_.guard_clock.reset();
  const auto clock = store_->clock();
  const auto states = store_->guard_state();
  if (!clock || !states) return;
  last_.guard_clock = *clock;
  for (const auto& state : *states) last_.guards[state.residency] = state;
}

void MarkerLoop::run(const std::stop_token& stop) {
  Bell clock;
  Micros next = monotonic_now();
  while (!stop.stop_requested()) {
    life_.begin_pass();
    commit();
    next = std::max(next + kPeriod, monotonic_now());
    clock.wait(0, next);
  }
}

}  // namespace domicile::agent
