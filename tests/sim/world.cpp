// Time, network, quorum, databases, clients, people, faults and checks of the simulated world.
#include "world.hpp"

#include <algorithm>

namespace domicile::sim {

constexpr Micros kFaults = 40 * kSecond, kHealing = 90 * kSecond;

World::World(std::uint64_t seed, const Policy& policy, bool tell, const Faults& without)
    : policy_(policy),
      tell_(tell),
      rng_{seed},
      glimpses_{~seed},
      disks_{seed + 2},
      hazards_{seed + 3},
      people_{seed + 4},
      without_(without) {
  names_ = {"a", "b", "c"};
  if (rng_.one_in(3)) names_.push_back("v");
  for (const auto& name : names_) {
    Site& s = sites_[name];
    s.name = name;
    s.voter = name == "v";
    // Within what the margin pays for: 4 % either way of ttl is less than twice the margin.
    s.rate = 0.96 + 0.08 * static_cast<double>(rng_.between(0, 1000)) / 1000;
    s.offset = rng_.between(0, 1000) * kSecond;
  }
  if (policy_.no_margin) timing_.margin = 0;
  if (policy_.rpo_zero) {
    rules_.rpo = 0;
    rules_.go_on = Rng{seed + 1}.one_in(2);
  }
}

void World::at(Micros delay, Fn fn) { events_.push({now_ + delay, ++order_, std::move(fn)}); }

void World::agent_at(Site& s, Micros delay, Fn fn) {
  at(delay, [this, &s, incarnation = s.incarnation, fn = std::move(fn)]() mutable {
    if (!s.alive || s.incarnation != incarnation) return;
    if (s.paused)
      s.deferred.push_back([this, &s, incarnation, fn = std::move(fn)] {
        if (s.alive && s.incarnation == incarnation) fn();
      });
    else
      fn();
  });
}

void World::send(const std::string& from, const std::string& to, Micros slow, Fn fn) {
  if (cuts_.contains({from, to}) || (faults_ && rng_.one_in(60))) return;
  at(rng_.between(5, 60) * kMillisecond + (slow > 0 ? rng_.between(0, slow) : 0), [this, from, to, fn = std::move(fn)] {
    if (!cuts_.contains({from, to})) fn();
  });
}

Micros World::local(const Site& s) const { return s.offset + static_cast<Micros>(static_cast<double>(now_) * s.rate); }

void World::tell(const std::string& line) {
  if (tell_) outcome_.story.push_back(fmt::format("{:>9.3f} {}", static_cast<double>(now_) / 1e6, line));
}

void World::violated(const std::string& what) {
  if (outcome_.violation.empty())
    outcome_.violation = fmt::format("{:.3f} s: {}", static_cast<double>(now_) / 1e6, what);
  tell("VIOLATION: " + what);
}

// ---- the quorum: one linearizable register

View World::view() const {
  View v;
  if (authority_) v.authorities[kResidency] = *authority_;
  v.beats = beats_;
  return v;
}

bool World::matches(const Swap& swap) const {
  if (authority_.has_value() != swap.expected.has_value()) return false;
  if (authority_ && authority_->text != *swap.expected && !policy_.blind_swap) return false;
  if (swap.beat_of.empty()) return true;
  const auto it = beats_.find(swap.beat_of);
  const std::optional<std::string> text = it == beats_.end() ? std::nullopt : std::optional(it->second.text);
  return text == swap.expected_beat;
}

SwapOutcome World::apply(const std::optional<BeatRequest>& beat, const std::optional<Swap>& swap) {
  const auto put = [this](const Swap& s) {
    authority_ = Stored<Record>{s.next, to_text(s.next)};
    tell(
        fmt::format("quorum: {} epoch {} owner {} to {}", name_of(s.next.mode), s.next.epoch, s.next.owner, s.next.to));
  };
  bool applied = false;
  if (beat) {
    const auto it = beats_.find(beat->region);
    const std::optional<std::string> text = it == beats_.end() ? std::nullopt : std::optional(it->second.text);
    applied = text == beat->expected && (!beat->ride || matches(*beat->ride));
    if (applied) {
      beats_[beat->region] = {beat->next, to_text(beat->next)};
      if (beat->ride) put(*beat->ride);
      Site& s = site(beat->region);
      const Record* r = record();
      if (r != nullptr && r->mode == Mode::serving && r->owner == s.name)
        s.justified_until = std::max(s.justified_until, now_ + (timing_.ttl - timing_.margin) * 105 / 100);
    }
  } else if (swap) {
    applied = matches(*swap);
    if (applied) put(*swap);
  }
  return {applied, view()};
}

// Whatever is not answered in time is unknown: it may still arrive and be applied.
void World::ask_quorum(Site& s, std::optional<BeatRequest> beat, std::optional<Swap> swap, Answered done) {
  auto over = std::make_shared<bool>(false);
  send(s.name, kQuorum, s.slow,
       [this, &s, beat = std::move(beat), swap = std::move(swap), over, done, asked = outcome_.restores,
        process = s.incarnation] {
         if (quorum_down_ || now_ < leaderless_until_ || asked != outcome_.restores)
           return;  // the connection ended with the members that were restored
         auto answer = std::make_shared<SwapOutcome>(apply(beat, swap));
         send(kQuorum, s.name, s.slow, [this, &s, answer, over, done, process, leader = leader_] {
           if (leader != leader_) return;         // it was applied, and its leader is gone before it could say so
           if (s.incarnation != process) return;  // an answer ends with the process that waited for it
           agent_at(s, 0, [answer, over, done] {
             if (!*over) *over = true, done(*answer);
           });
         });
       });
  agent_at(s, 2500 * kMillisecond, [over, done] {
    if (!*over) *over = true, done({});
  });
}

// ---- databases and clients

bool World::accepts(const Site& s) const {
  return s.database && s.commits && s.guard.state == GuardState::open &&
         (policy_.beat_is_forever || local(s) < s.guard.end);
}

bool World::lease_set(Site& s, Epoch epoch, Micros end) {
  if (!s.database || !s.commits || (epoch < s.guard.epoch && !policy_.drop_epoch_check)) return false;
  if (epoch == s.guard.epoch && s.guard.state == GuardState::fenced && !policy_.extend_drained) return false;
  const bool opens = s.guard.epoch != epoch || s.guard.state != GuardState::open || !writer_of_.contains(epoch);
  s.guard = {epoch, GuardState::open, end};
  if (!accepts(s)) return true;
  for (const auto& [name, other] : sites_)
    if (name != s.name && accepts(other))
      violated(
          fmt::format("{} may write in epoch {} while {} may in epoch {}", s.name, epoch, name, other.guard.epoch));
  if (opens) {
    ++outcome_.openings;
    if (epoch < highest_opened_) violated(fmt::format("epoch {} opened after {}", epoch, highest_opened_));
    // Whoever opens a new epoch continues the last one. (After an adoption a person chose, and may have lost it; and a
    // disk that was put back is no measure.)
    const auto last = writer_of_.find(highest_opened_);
    const bool adopted = record() != nullptr && record()->cause == Cause::adopted;
    if (epoch > highest_opened_ && last != writer_of_.end() && last->second != s.name && !adopted) {
      const Site& before = site(last->second);
      const bool prefix =
          s.log.size() <= before.log.size() && std::equal(s.log.begin(), s.log.end(), before.log.begin());
      if (before.copy.state == Copy::State::owner && before.copy.epoch == highest_opened_ && !before.put_back &&
          !prefix)
        violated(fmt::format("{} opens epoch {} and is no prefix of {}'s epoch {}", s.name, epoch, before.name,
                             highest_opened_));
      check_rpo(s, before);
    }
    s.put_back = false;  // from here on this is the history
    highest_opened_ = std::max(highest_opened_, epoch);
    check_acknowledged_here(s);
  }
  const auto [writer, fresh] = writer_of_.try_emplace(epoch, s.name);
  if (!fresh && writer->second != s.name)
    violated(fmt::format("epoch {} has two writers: {} and {}", epoch, writer->second, s.name));
  return true;
}

void World::client(Site& s) {
  at(rng_.between(100, 400) * kMillisecond, [this, &s] { client(s); });
  if (s.frozen || !accepts(s)) return;
  if (now_ > s.justified_until) violated(s.name + " accepts a write after its lease");
  s.log.push_back({++ids_, now_});
  ++outcome_.writes;
  if (!rng_.one_in(10)) acknowledge(s, ids_);
}

void World::replicate(Site& s) {
  at(rng_.between(80, 240) * kMillisecond, [this, &s] { replicate(s); });
  if (s.copy.state != Copy::State::following || !s.database || s.frozen || s.loading) return;
  Site& source = site(s.copy.source);
  if (!source.database || source.frozen || cuts_.contains({source.name, s.name})) return;
  // PostgreSQL 15 forwards what it applied itself: a region that lost ownership must send nothing any more.
  if (source.copy.state != Copy::State::owner && !policy_.follower_serves_links) return;
  if (s.position > source.log.size()) return;  // its log does not reach so far
  const Micros lag = 60 * kMillisecond + s.slow + source.slow;
  while (s.position < source.log.size() && source.log[s.position].at + lag <= now_)
    s.log.push_back(source.log[s.position++]);
  source.slots[s.name] = s.position;
  for (const Marker& mark : source.marks)
    if (mark.epoch == s.copy.epoch && mark.lsn <= s.position) s.applied = mark;
  confirm(source, s);
  check_prefix(s, false);
}

// ---- people

void World::operator_asks() {
  at(rng_.between(4, 12) * kSecond, [this] { operator_asks(); });
  if (!faults_) return;
  Site& s = site(names_[rng_.next() % 3]);
  const std::string to = names_[rng_.next() % 3];
  if (!s.alive || s.paused || !s.agent.view) return;
  const auto it = s.agent.view->authorities.find(kResidency);
  if (it == s.agent.view->authorities.end()) return;
  const auto drain = planned_drain(it->second.value, rules_, to, fmt::format("person-{}", ++switches_));
  if (!drain || it->second.value.owner == to) return;
  tell("a person asks for a switch to " + to);
  ask_quorum(s, {}, Swap{kResidency, it->second.text, *drain}, [](auto) {});
}

// With the most of what was written, as `domicile status` shows it.
std::string World::best_alive() const {
  std::string best;
  for (const auto& [name, s] : sites_) {
    if (s.voter || !s.alive || s.copy.state == Copy::State::none) continue;
    if (best.empty() || s.log.size() > sites_.at(best).log.size()) best = name;
  }
  return best.empty() ? rules_.home : best;
}

// quorum adopt: the maximum of a majority of the sites' disks, plus one.
void World::operator_adopts() {
  at(rng_.between(3, 9) * kSecond, [this] { operator_adopts(); });
  const Record* r = record();
  Epoch highest = r == nullptr ? 0 : r->epoch;
  std::string owner;
  std::size_t answered = 0;
  bool behind = false;
  for (auto& [name, s] : sites_) {
    if (!s.alive || s.paused) continue;
    ++answered;
    behind = behind || (!s.agent.distrusted.empty() && s.agent.view);
    if (s.known_epoch >= highest && !s.known_owner.empty()) highest = s.known_epoch, owner = s.known_owner;
  }
  // Whom an adopted record names may die before it has opened: then a person names another.
  const bool named_dead = r != nullptr && r->mode == Mode::moving && r->cause == Cause::adopted && site(r->to).buried;
  if ((!behind && !named_dead) || answered * 2 <= names_.size()) return;
  if (owner.empty()) owner = rules_.home;
  if (site(owner).buried) owner = best_alive();
  const Record next = adopted_record(highest, owner, fmt::format("adopt-{}", ++switches_));
  if (quorum_down_) return;
  apply({}, Swap{kResidency, authority_ ? std::optional(authority_->text) : std::nullopt, next});
  ++outcome_.adoptions;
}

// ---- faults

void World::visit(const Site& s, const std::string& fault) {
  ++outcome_.visits[(s.agent.step.empty() ? "idle" : s.agent.step) + " x " + fault];
  tell(fmt::format("{} {} in {}", fault, s.name, s.agent.step));
}

void World::kill_agent(Site& s, bool database, Micros duration) {
  visit(s, "crash");
  s.alive = false;
  s.deferred.clear();
  s.loading = false;
  tear_journal(s);
  if (policy_.forget_journal) s.copy = s.copy_before;
  // A lease never outlives the boot that it was taken in; what was fenced stays so.
  if (database) {
    s.database = false;
    if (s.guard.state == GuardState::open) s.guard.state = GuardState::closed;
    end_waiting(s);
    s.confirmed.clear();
  }
  at(duration, [this, &s] {
    s.alive = s.database = true;
    start_agent(s);
  });
}

void World::pause(Site& s, bool frozen, Micros duration) {
  visit(s, "pause");
  s.paused = true;
  s.frozen = frozen;
  at(duration, [this, &s] {
    s.paused = s.frozen = false;
    auto due = std::exchange(s.deferred, {});
    for (auto& fn : due) fn();
  });
}

// 0: crash of agent and database, 1: of the agent, 2: pause, 3: cut.
void World::strike(Site& s, int kind, Micros duration) {
  if (kind <= 2) {
    if (!s.alive || s.paused) return;
    const bool frozen = kind == 2 && rng_.one_in(2);
    if (!happens((kind == 2 ? "pause " : "crash ") + s.name)) return;
    kind == 2 ? pause(s, frozen, duration) : kill_agent(s, kind == 0, duration);
    return;
  }
  std::set<std::pair<std::string, std::string>> mine;
  const bool out = !rng_.one_in(3), in = !rng_.one_in(3), all = rng_.one_in(2);
  auto others = names_;
  others.push_back(kQuorum);
  for (const auto& other : others) {
    if (other == s.name || (!all && rng_.one_in(2))) continue;
    if (out) mine.insert({s.name, other});
    if (in) mine.insert({other, s.name});
  }
  if (!happens("cut " + s.name)) return;
  visit(s, "cut");
  cuts_.insert(mine.begin(), mine.end());
  at(duration, [this, mine] {
    for (const auto& cut : mine) cuts_.erase(cut);
  });
}

// Faults fall into short steps too seldom by themselves.
void World::tempt(Site& s, Micros delay) {
  if (!faults_ || !rng_.one_in(12)) return;
  at(delay / 2, [this, &s, step = s.agent.step] {
    if (faults_ && s.agent.step == step)
      strike(s, static_cast<int>(rng_.next() % 4), rng_.between(100, 14'000) * kMillisecond);
  });
}

void World::fault() {
  if (!faults_) return;
  at(rng_.between(500, 6000) * kMillisecond, [this] { fault(); });
  Site& s = site(names_[rng_.next() % names_.size()]);
  const Micros duration = rng_.between(100, 14'000) * kMillisecond;
  const int kind = static_cast<int>(rng_.next() % 9);
  if (kind <= 5) {
    strike(s, kind <= 2 ? kind : 3, duration);
  } else if (kind == 6) {
    const Micros slow = rng_.between(100, 2'000) * kMillisecond;
    if (!happens("slow " + s.name)) return;
    s.slow = slow;
    tell(s.name + " is slow");
    at(duration, [&s] { s.slow = 0; });
  } else if (kind == 7) {
    if (!happens("no commits at " + s.name)) return;
    s.commits = false;
    tell(s.name + "'s database does not commit");
    at(duration + 8 * kSecond, [&s] { s.commits = true; });
  } else if (rng_.one_in(2) || backups_.empty()) {
    // Never in the middle of a switch, as docs/state.md demands.
    const bool quiet = record() == nullptr || record()->mode == Mode::serving;
    if (quiet || policy_.careless_restore) backups_.push_back({authority_, beats_});
  } else {
    const Backup& backup = backups_[rng_.next() % backups_.size()];
    if (happens("restore of the quorum")) restore(backup);
  }
}

// All members are stopped for longer than any lease runs, as docs/state.md demands; then they hold what was saved.
void World::restore(const Backup& backup) {
  // Which markers were told is forgotten with it, so that a disk of the past would not be known for one.
  if (quorum_down_ || std::ranges::any_of(sites_, [](const auto& entry) { return entry.second.put_back; })) return;
  const auto restored = [this, backup] {
    if (!policy_.careless_restore) stop_unreachable_agents();
    quorum_down_ = false;
    authority_ = backup.authority;
    beats_ = backup.beats;
    ++outcome_.restores;
    tell(fmt::format("the quorum is restored to epoch {}", record() == nullptr ? 0 : record()->epoch));
  };
  if (policy_.careless_restore) return restored();
  quorum_down_ = true;
  tell("the members of the quorum are stopped");
  at((timing_.ttl + timing_.margin) * 110 / 100 + rng_.between(0, 5'000) * kMillisecond, restored);
}

// Who restores the quorum stops every agent that it cannot reach, as docs/state.md demands: what such an agent knows
// may equal the backup to the letter, and nothing that it reads tells it that time went back.
void World::stop_unreachable_agents() {
  for (auto& [name, s] : sites_) {
    const bool cut = std::ranges::any_of(cuts_, [&](const auto& c) { return c.first == name || c.second == name; });
    if (s.alive && (cut || s.paused || s.slow != 0)) kill_agent(s, false, rng_.between(500, 3'000) * kMillisecond);
  }
}

void World::heal() {
  tell("everything heals");
  faults_ = false;
  cuts_.clear();
  leaderless_until_ = 0;
  for (auto& [name, s] : sites_) s.slow = 0, s.commits = true, s.full = false;
}

// ---- checks

void World::check_prefix(const Site& s, bool whole) {
  const Site& source = sites_.at(s.copy.source);
  if (source.copy.state != Copy::State::owner || source.copy.epoch != s.copy.epoch || source.put_back) return;
  const std::size_t n = s.log.size();
  bool prefix = n == s.position && n <= source.log.size() && (n == 0 || s.log[n - 1] == source.log[n - 1]);
  if (prefix && whole) prefix = std::equal(s.log.begin(), s.log.end(), source.log.begin());
  if (!prefix)
    violated(fmt::format("{} follows {} in epoch {} and is no prefix of it", s.name, source.name, s.copy.epoch));
}

// By itself nobody takes over who lacks what the owner had acknowledged longer than the rpo before its last word.
void World::check_rpo(const Site& s, const Site& before) {
  const bool automatic = record() != nullptr && record()->epoch == s.guard.epoch && record()->cause == Cause::automatic;
  const auto told = told_marker(view(), before.name, kResidency);
  const bool measured = before.copy.state == Copy::State::owner && before.copy.epoch == highest_opened_ && told &&
                        told->epoch == highest_opened_ && !before.put_back && !before.jumped;
  if (!automatic || !measured || policy_.rpo_zero) return;  // with rpo 0: check_acknowledged_here
  const Micros until = told->clock_us - before.wall - rules_.rpo;
  const auto old = std::ranges::count_if(before.log, [&](const Entry& entry) { return entry.at < until; });
  if (s.log.size() < static_cast<std::size_t>(old))
    violated(fmt::format("{} took epoch {} by itself and lacks {} writes from before the rpo", s.name, s.guard.epoch,
                         old - static_cast<std::ptrdiff_t>(s.log.size())));
}

void World::check_nothing_lost() {
  std::set<std::int64_t> kept;
  const Record none, *r = record() == nullptr ? &none : record();  // none: nobody is left
  for (const auto& [name, s] : sites_) {
    kept.insert(s.salvage.begin(), s.salvage.end());
    // What follows an epoch that has ended has not been overwritten yet.
    const bool kept_aside = s.copy.state == Copy::State::resync || s.copy.state == Copy::State::stopped ||
                            s.copy.source != r->owner || s.copy.epoch != r->epoch;
    if (name == r->owner || kept_aside || s.copy.state == Copy::State::owner || s.buried)
      for (const auto& entry : s.log) kept.insert(entry.id);
  }
  for (const auto id : acknowledged_)
    if (!kept.contains(id)) return violated(fmt::format("the acknowledged write {} is nowhere", id));
}

Outcome World::run() {
  for (const auto& name : names_) {
    Site& s = site(name);
    start_agent(s);
    if (s.voter) continue;
    client(s);
    replicate(s);
  }
  at(3 * kSecond, [this] { fault(); });
  at(4 * kSecond, [this] { hazard(); });
  if (disks_fail()) {
    at(2 * kSecond, [this] { snapshots(); });
    at(5 * kSecond, [this] { disk_fault(); });
  }
  at(kFaults, [this] { heal(); });
  operator_asks();
  operator_adopts();
  const Micros calm = 6 * kSecond;
  while (!events_.empty() && now_ < kFaults + kHealing && outcome_.violation.empty()) {
    Event event = events_.top();
    events_.pop();
    now_ = event.at;
    event.fn();
    const Record* r = record();
    const bool served =
        r != nullptr && r->mode == Mode::serving && accepts(site(r->owner)) && site(r->owner).guard.epoch == r->epoch;
    if ((!served && !nobody_is_left()) || faults_)
      served_since_ = now_;
    else if (now_ - served_since_ > calm)
      break;
  }
  outcome_.simulated_us = now_;
  if (!outcome_.violation.empty()) return outcome_;
  if (now_ - served_since_ <= calm)
    violated(fmt::format("nobody serves {} s after everything healed", kHealing / kSecond));
  else
    check_nothing_lost();
  return outcome_;
}

Outcome run(std::uint64_t seed, const Policy& policy, bool tell, const Faults& without) {
  return World(seed, policy, tell, without).run();
}

}  // namespace domicile::sim
