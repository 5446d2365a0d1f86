// A quorum without a leader, links that flap, and a region that never comes back. By random numbers of their own.
#include <algorithm>

#include "world.hpp"

namespace domicile::sim {

void World::hazard() {
  if (!faults_) return;
  at(hazards_.between(2, 20) * kSecond, [this] { hazard(); });
  Site& s = site(names_[hazards_.next() % names_.size()]);
  const int kind = static_cast<int>(hazards_.next() % 8);
  const Micros up = hazards_.between(200, 1'500) * kMillisecond, duration = hazards_.between(3, 14) * kSecond;
  if (kind < 4) {
    // An election, or a majority of the members is away for longer than a lease runs.
    const Micros without = kind < 3 ? hazards_.between(300, 2'500) * kMillisecond : duration;
    if (happens("the quorum has no leader")) lose_leader(without);
  } else if (kind < 7) {
    Cuts mine;
    auto others = names_;
    others.push_back(kQuorum);
    for (const auto& other : others)
      if (other != s.name) mine.insert({s.name, other}), mine.insert({other, s.name});
    if (happens("a flapping link at " + s.name)) flap(mine, up, now_ + duration);
  } else if (s.alive && !s.paused && !quorum_down_ && disks_fail() &&
             std::ranges::none_of(sites_, [](const auto& each) { return each.second.buried; })) {
    if (happens("the end of " + s.name)) bury(s);
  }
}

// What was applied may be answered by nobody.
void World::lose_leader(Micros duration) {
  leaderless_until_ = std::max(leaderless_until_, now_ + duration);
  if (hazards_.one_in(2)) ++leader_;
}

void World::flap(const Cuts& cuts, Micros up, Micros until) {
  if (!faults_ || now_ >= until) return;
  cuts_.insert(cuts.begin(), cuts.end());
  at(up, [this, cuts, up, until] {
    for (const auto& cut : cuts) cuts_.erase(cut);
    at(up, [this, cuts, up, until] { flap(cuts, up, until); });
  });
}

// The others go on without it, for ever. What only its disks hold comes back with them or not at all.
void World::bury(Site& s) {
  s.buried = true;
  s.alive = s.database = false;
  s.deferred.clear();
  if (s.guard.state == GuardState::open) s.guard.state = GuardState::closed;
  end_waiting(s);
}

// No region that is not gone has a copy that may be opened: only a person can go on then, with what is lost.
bool World::nobody_is_left() const {
  const bool buried = std::ranges::any_of(sites_, [](const auto& each) { return each.second.buried; });
  return buried && std::ranges::none_of(sites_, [](const auto& each) {
           const Site& s = each.second;
           const bool whole = s.copy.state == Copy::State::following || s.copy.state == Copy::State::stopped ||
                              s.copy.state == Copy::State::owner;
           return !s.voter && !s.buried && whole && !s.put_back;
         });
}

}  // namespace domicile::sim
