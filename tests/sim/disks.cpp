// Disks that are lost, put back, full or torn, and wall clocks that jump. By random numbers of their own.
#include <algorithm>

#include "world.hpp"

namespace domicile::sim {

// Not beside a quorum that is restored carelessly, which forgets what was told of them; and a write that rpo 0 promised
// is at one standby, whose disk is not lost as well.
bool World::disks_fail() const { return !policy_.rpo_zero && !policy_.careless_restore; }

bool World::happens(const std::string& fault) {
  const int number = ++outcome_.faults;
  const bool does = !without_.contains(number);
  if (does) tell(fmt::format("fault {}: {}", number, fault));
  return does;
}

// Of every volume from time to time, as its provider makes them.
void World::snapshots() {
  at(disks_.between(2, 10) * kSecond, [this] { snapshots(); });
  for (const auto& [name, s] : sites_)
    if (s.database) images_[name].push_back({s.log, s.position, s.slots, s.guard, s.row});
}

void World::disk_fault() {
  if (!faults_) return;
  at(disks_.between(2, 30) * kSecond, [this] { disk_fault(); });
  Site& s = site(names_[disks_.next() % 3]);
  const Micros duration = disks_.between(500, 14'000) * kMillisecond;
  const int kind = static_cast<int>(disks_.next() % 4);
  const auto& images = images_[s.name];
  const std::size_t image = disks_.next() % std::max<std::size_t>(1, images.size());
  if (kind == 0) {
    const Micros by = disks_.between(-3'600, 3'600) * kSecond;
    if (!happens("the wall clock jumps at " + s.name)) return;
    s.wall += by;
    s.jumped = true;
  } else if (kind == 1) {
    if (!happens("a full disk at " + s.name)) return;
    s.full = true, s.commits = false;
    at(duration, [&s] { s.full = false, s.commits = true; });
  } else if (s.alive && !s.paused) {
    // The owner's once it has told a marker in its epoch, which an image from after that would hold; and of all others
    // the whole disk only. Nothing tells a receiver, or whoever has given its epoch up with a fence, that its database
    // alone was put back (docs/simulation.md).
    const bool whole = kind == 2, owns = record() != nullptr && record()->owner == s.name;
    const auto told = told_marker(view(), s.name, kResidency);
    const bool open = owns && record()->mode == Mode::serving && told;
    const auto lacks = [&](const std::optional<Marker>& row) {
      return open && !behind_own_marker(told, row, record()->epoch).empty();
    };
    // Of several disasters at once only those that leave a trace: not while the quorum is put back as well, and not in
    // the instant in which an epoch is opened and nothing told of it yet.
    const bool behind = std::ranges::any_of(sites_, [&](const auto& entry) {
      return entry.second.known_epoch > (record() == nullptr ? 0 : record()->epoch);
    });
    const bool opening = record() != nullptr && record()->mode == Mode::moving && record()->to == s.name;
    if (quorum_down_ || behind || opening) return;
    if (whole ? owns && !lacks({}) : images.empty() || !lacks(images[image].row)) return;
    if (!happens((whole ? "the disks are lost at " : "the database's disk is put back at ") + s.name)) return;
    kill_agent(s, true, duration);
    ++outcome_.disks;
    whole ? lose_disk(s) : put_back(s, images[image]);
  }
}

// An acknowledged write that was nowhere else is lost with the disk, which the accounting says.
void World::account_for(const std::string& site, const std::set<std::int64_t>& gone) {
  std::set<std::int64_t> elsewhere;
  for (const auto& [name, other] : sites_) {
    if (name == site) continue;
    elsewhere.insert(other.salvage.begin(), other.salvage.end());
    for (const auto& entry : other.log) elsewhere.insert(entry.id);
  }
  const auto lost = std::erase_if(acknowledged_, [&](auto id) { return gone.contains(id) && !elsewhere.contains(id); });
  outcome_.lost += static_cast<int>(lost);
}

void World::lose_disk(Site& s) {
  auto gone = s.salvage;
  for (const auto& entry : s.log) gone.insert(entry.id);
  account_for(s.name, gone);
  s.log.clear();
  s.position = 0;
  s.slots.clear();
  s.guard = {};
  s.row.reset();
  s.marks.clear();
  s.applied.reset();
  s.put_back = true;
  s.known_epoch = 0, s.known_owner.clear();
  s.copy = s.copy_before = {};
  s.done.clear();
  s.salvage.clear();
  images_[s.name].clear();
}

void World::put_back(Site& s, const Image& image) {
  const bool other = image.log != s.log;
  std::set<std::int64_t> gone;
  for (const auto& entry : s.log) gone.insert(entry.id);
  for (const auto& entry : image.log) gone.erase(entry.id);
  account_for(s.name, gone);
  s.log = image.log, s.position = image.position, s.slots = image.slots, s.guard = image.guard, s.row = image.row;
  if (s.guard.state == GuardState::open) s.guard.state = GuardState::closed;
  std::erase_if(s.marks, [&](const Marker& mark) { return !s.row || mark.clock_us > s.row->clock_us; });
  s.applied.reset();
  s.put_back = s.put_back || other;
}

// The end of a step is on the disk with the next durable line only.
void World::tear_journal(Site& s) {
  if (!disks_fail() || !disks_.one_in(3) || s.last_done.first.empty()) return;
  s.done[s.last_done.first].erase(s.last_done.second);
  s.last_done = {};
}

void World::note_marker(Site& s) {
  if (!accepts(s) || s.copy.state != Copy::State::owner || s.guard.epoch != s.copy.epoch) return;
  s.row = Marker{now_ + s.wall, s.log.size(), s.guard.epoch};
  s.agent.marker = s.row;
  s.marks.push_back(*s.row);
}

// Whoever opened last and has not opened again asks its database first.
void World::judge_own_history(Site& s, const Record& r) {
  const Agent& a = s.agent;
  const auto epoch = own_last_epoch(r, s.name);
  if (policy_.serve_the_past || a.opened == epoch || !s.database) return;
  const auto told = told_marker(*a.view, s.name, kResidency);
  const auto why = behind_own_marker(told, s.row, *epoch);
  if (why.empty() || s.copy.state == Copy::State::resync) return;
  keep(s, {Copy::State::resync, s.name, *epoch, Position{s.row ? s.name : s.name + " anew", 1, s.row ? s.row->lsn : 0},
           why});
  tell(s.name + "'s own history: " + why);
}

}  // namespace domicile::sim
