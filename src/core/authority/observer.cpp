#include "core/authority/observer.hpp"

#include <limits>

namespace domicile::authority {

Observed observe(Observed before, const View& view, const std::vector<std::string>& regions, Micros now) {
  // A lower counter of the same boot: the quorum was restored to an older moment. Beats that we never saw may have been
  // forgotten with it, and leases taken with them still run: every life counts from now, as at a first look.
  bool restored = false;
  for (const auto& region : regions) {
    const auto [life, first_look] = before.lives.try_emplace(region, Life{"", -1, now});
    const auto beat = view.beats.find(region);
    if (beat == view.beats.end()) continue;
    const Beat& seen = beat->second.value;
    // Another boot id is life whatever its counter.
    restored = restored || (seen.boot == life->second.boot && seen.counter < life->second.counter);
    const bool alive = seen.boot != life->second.boot || seen.counter > life->second.counter;
    if (alive || restored) life->second = {seen.boot, seen.counter, now};
  }
  if (restored)
    for (auto& [region, life] : before.lives) life.changed_at = now;
  for (const auto& [residency, stored] : view.authorities) {
    const Record& r = stored.value;
    Sight& sight = before.sights[residency];
    const bool same =
        sight.epoch == r.epoch && sight.mode == r.mode && sight.switch_id == r.switch_id && sight.to == r.to;
    if (!same) sight = {r.epoch, r.mode, r.switch_id, r.to, now};
  }
  return before;
}

Observed glimpse(Observed before, const View& local, Micros now) {
  for (auto& [region, life] : before.lives) {
    const auto beat = local.beats.find(region);
    if (beat == local.beats.end()) continue;
    const Beat& seen = beat->second.value;
    if (seen.boot == life.boot && seen.counter > life.counter) life = {seen.boot, seen.counter, now};
  }
  return before;
}

Micros expires_at(const Observed& observed, const std::string& region, Micros ttl, Micros margin) {
  const auto life = observed.lives.find(region);
  // Nobody looked yet: not expired, and nothing that could be waited for.
  if (life == observed.lives.end()) return std::numeric_limits<Micros>::max();
  return life->second.changed_at + ttl + margin;
}

}  // namespace domicile::authority
