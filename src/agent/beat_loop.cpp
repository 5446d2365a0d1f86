#include "agent/beat_loop.hpp"

#include <utility>

#include "core/authority/carry.hpp"

namespace domicile::agent {

using authority::BeatRequest;
using authority::Mode;
using authority::View;

namespace {
constexpr Micros kGlimpsePeriod = 200 * kMillisecond;
constexpr Micros kUnderWay = 50 * kMillisecond;  // from the gateway to the database's commit
}  // namespace

// All read before the beat is sent: what a lease may be counted from.
struct BeatLoop::Clocks {
  Micros sent = 0;  // monotonic
  BootInstant gateway;
  std::optional<replication::StoreClock> store;  // empty: the database did not answer; its leases are not extended
};

// The gateway's end comes before the database's, so that the gateway says that the lease is over, and not the
// application of a write that came to the database too late.
LeaseGrant BeatLoop::grant(authority::Epoch epoch, const Clocks& clocks, Micros length) {
  return {epoch, {clocks.gateway.boot_id, clocks.gateway.at + length - kUnderWay}, clocks.sent + length};
}

BeatLoop::BeatLoop(BeatSetup setup, Bell& readers)
    : rides(bell_), allows(bell_), setup_(std::move(setup)), seen_(&readers) {
  if (setup_.make_store) store_ = setup_.make_store();
}

std::optional<BeatLoop::Clocks> BeatLoop::read_clocks() {
  Clocks clocks;
  clocks.gateway = boot_instant_now();
  if (store_) {
    auto clock = store_->clock();
    if (clock) clocks.store = *clock;
  }
  clocks.sent = monotonic_now();
  return clocks;
}

void BeatLoop::run(const std::stop_token& stop) {
  std::uint64_t rung = 0;
  Micros next = monotonic_now();
  while (!stop.stop_requested()) {
    while (const auto allow = allows.take()) {
      auto& allowed = allow->glass ? glass_ : allowed_;
      if (allow->epoch)
        allowed[allow->residency] = *allow->epoch;
      else
        allowed.erase(allow->residency);
      if (!allow->glass) ends_.erase(allow->residency);
    }
    life_.begin_pass();
    beat_once();
    // From the start of this beat, not from its end: slow rounds must not stretch the period.
    next = std::max(next + setup_.timing.beat, monotonic_now());
    if (next - monotonic_now() > setup_.timing.beat) next = monotonic_now() + setup_.timing.beat;
    for (const auto before = rung; rung == before && monotonic_now() < next && !stop.stop_requested();) {
      rung = bell_.wait(rung, std::min(next, monotonic_now() + kGlimpsePeriod));
      if (rung == before && monotonic_now() < next) glimpse();
    }
  }
  while (auto left = rides.take()) {
    std::optional<Ride> ride = std::move(left);
    fail_ride(ride, Error{Kind::unavailable, "the agent is stopping"});
  }
}

// When the quorum's leader is lost together with an owner, the owner's last beat would be seen only once there is a new
// leader, and its life counted from then.
void BeatLoop::glimpse() {
  const auto local = setup_.quorum->read_local();
  if (!local) return;
  auto observed = authority::glimpse(last_.observed, *local, monotonic_now());
  if (observed == last_.observed) return;
  last_.observed = std::move(observed);
  publish();
}

void BeatLoop::fail_ride(std::optional<Ride>& ride, const Error& error) {
  if (!ride) return;
  ride->answer->set_value(tl::unexpected<Error>(error));
  ride.reset();
}

// True: applied. After an unknown outcome the quorum is read and our own value is recognised; the clocks stay those
// that were read before the beat was sent, and a read by itself extends nothing.
Result<bool> BeatLoop::transact(const BeatRequest& request, View& view) {
  if (!store_) {  // a voter owns nothing: it has no beat and only looks
    view = TRY(setup_.quorum->read());
    return true;
  }
  auto outcome = setup_.quorum->beat(request);
  if (outcome) {
    view = std::move(outcome->view);
    return outcome->applied;
  }
  if (outcome.error().kind != Kind::unknown_outcome) return tl::unexpected<Error>(outcome.error());
  setup_.stall.reach("beat.unknown_outcome");
  keep_glass();  // two rounds that nobody answers take longer than a lease
  view = TRY(setup_.quorum->read());
  const auto own = view.beats.find(setup_.region);
  return own != view.beats.end() && own->second.text == authority::to_text(request.next);
}

// This process's own markers, and for the residencies of which it has committed none those of the process before it.
// The first beat of a process never replaces one that it has not read: it expects none, and is refused.
std::map<std::string, authority::Marker> BeatLoop::markers() const {
  auto markers = *setup_.markers->get();
  markers.merge(authority::carried_markers(carried_, last_.view, setup_.region));
  return markers;
}

void BeatLoop::beat_once() {
  keep_glass();
  const auto before = setup_.disk->epochs();
  const auto clocks = read_clocks();
  auto ride = rides.take();
  BeatRequest request{setup_.region, own_text_, {setup_.boot_id, ++counter_, 1, markers()}};
  if (ride) {
    request.ride = ride->swap;
    allowed_[ride->swap.residency] = ride->swap.next.epoch;
    ends_.erase(ride->swap.residency);  // that of an older lease says nothing about this one
  }
  View view;
  setup_.stall.reach("beat.before_send");
  const auto applied = transact(request, view);
  const Micros answered = monotonic_now();
  setup_.stall.reach("beat.after_answer");
  if (!applied) {
    if (!in_trouble_)
      setup_.log.warn("quorum.trouble", "the quorum did not answer", {{Field::reason, one_line(applied.error())}});
    in_trouble_ = true;
    last_.trouble = one_line(applied.error());
    if (ride) allowed_.erase(ride->swap.residency);
    fail_ride(ride, applied.error());
    publish();
    return;
  }
  if (in_trouble_) setup_.log.info("quorum.back", "the quorum answers again");
  in_trouble_ = false;
  // When it was not applied: a beat of an earlier start of this agent (or of a newer version, which this one cannot
  // read), or one of ours whose answer was lost. Never two agents for one region: the state folder is locked.
  own_text_ = *applied ? std::optional(authority::to_text(request.next)) : authority::beat_text(view, setup_.region);
  if (const auto own = view.beats.find(setup_.region); !*applied && own != view.beats.end())
    carried_ = own->second.value.markers;
  if (ride && !*applied) allowed_.erase(ride->swap.residency);
  take_in(view, *clocks, before);
  if (*applied) extend_leases(view, *clocks, before);
  last_.allowed = allowed_;
  publish();
  if (ride) ride->answer->set_value(RideOutcome{*applied, last_, answered});
  // Nothing was kept of this beat: repeat it with the value that is really there, at once the first time. Whatever
  // makes it fail again is not cured by haste.
  if (!*applied && !std::exchange(repeats_, true)) bell_.ring();
  if (*applied) repeats_ = false;
}

// Leases that a person opened without a quorum. No beat entitles to them, so each is counted from clocks read now;
// whoever put a higher epoch on this site's disk ends them (residency_loop.cpp).
void BeatLoop::keep_glass() {
  std::erase_if(glass_leases_, [&](const auto& entry) {
    if (glass_.contains(entry.first)) return false;
    last_.leases.erase(entry.first);
    return true;
  });
  for (const auto& [residency, epoch] : glass_) {
    const auto clocks = read_clocks();
    if (!clocks->store) continue;
    const Micros length = setup_.timing.ttl - setup_.timing.margin;
    const auto set = store_->lease_set(residency, epoch, clocks->store->now + length, clocks->store->clock_id);
    if (set) {
      glass_leases_[residency] = grant(epoch, *clocks, length);
      continue;
    }
    setup_.log.warn("lease.refused", "the database did not take the lease of a broken glass",
                    {{Field::residency, residency}, {Field::epoch, epoch}, {Field::reason, one_line(set.error())}});
  }
  if (!glass_.empty()) publish();
}

void BeatLoop::publish() {
  for (const auto& [residency, lease] : glass_leases_) last_.leases[residency] = lease;
  seen_.set(last_);
}

void BeatLoop::take_in(const View& view, const Clocks& clocks, const std::map<std::string, KnownEpoch>& before) {
  last_.view = view;
  last_.sent_at = clocks.sent;
  // Lives are timed from after the answer: the question may have waited while the owner beat.
  last_.observed = authority::observe(std::move(last_.observed), view, setup_.regions, monotonic_now());
  last_.epochs_before = before;
  last_.trouble.clear();
}

// A lease that was over for a moment is not simply continued: somebody may have taken the residency and given it back
// by a restored quorum. Its residency asks a majority of the sites first.
void BeatLoop::drop_lapsed() {
  for (auto it = ends_.begin(); it != ends_.end();) {
    const bool over = it->second < monotonic_now();
    if (over) allowed_.erase(it->first);
    it = over ? ends_.erase(it) : std::next(it);
  }
}

void BeatLoop::extend_leases(const View& view, const Clocks& clocks, const std::map<std::string, KnownEpoch>& before) {
  const Micros length = setup_.timing.ttl - setup_.timing.margin;
  drop_lapsed();
  const auto held = std::exchange(last_.leases, {});
  for (const auto& [residency, epoch] : allowed_) {
    const auto stored = view.authorities.find(residency);
    if (stored == view.authorities.end()) continue;
    const auto& record = stored->second.value;
    if (record.owner != setup_.region || record.mode == Mode::moving || record.epoch != epoch) continue;
    // One that is not extended now still runs to its end, and the gateway may serve by it: while it drains, what has
    // begun ends and reads go on until the fence.
    if (const auto had = held.find(residency); had != held.end() && had->second.epoch == epoch)
      last_.leases.insert(*had);
    if (record.mode != Mode::serving) continue;
    authority::Local local;
    if (const auto known = before.find(residency); known != before.end())
      local.known_epoch = known->second.epoch, local.known_owner = known->second.owner;
    if (!authority::distrust(local, residency, view).empty()) continue;
    if (!clocks.store) continue;
    setup_.stall.reach("beat.before_lease", residency);
    const auto set = store_->lease_set(residency, epoch, clocks.store->now + length, clocks.store->clock_id);
    if (!set) {
      last_.refused_since.try_emplace(residency, monotonic_now());
      setup_.log.warn("lease.refused", "the database did not take the lease",
                      {{Field::residency, residency}, {Field::epoch, epoch}, {Field::reason, one_line(set.error())}});
      continue;
    }
    last_.refused_since.erase(residency);
    ends_[residency] = clocks.sent + length;
    last_.leases[residency] = grant(epoch, clocks, length);
  }
}

}  // namespace domicile::agent
