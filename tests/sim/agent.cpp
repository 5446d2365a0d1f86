// The model of an agent: what is asynchronous about it. All decisions are the core's.
#include "world.hpp"

namespace domicile::sim {

struct World::Sent {
  Micros clock = 0;  // before it was sent
  Epoch known_epoch = 0;
  std::string known_owner;
  BeatRequest request;
};

void World::start_agent(Site& s) {
  s.agent = Agent{};
  if (policy_.forget_epoch) s.known_epoch = 0, s.known_owner.clear();
  s.agent.boot = fmt::format("{}-{}", s.name, ++s.incarnation);
  beat_loop(s);
  glimpse_loop(s);
}

// The own member's state: late, out of order even, and none that is new while the site is cut off.
void World::glimpse_loop(Site& s) {
  agent_at(s, 200 * kMillisecond, [this, &s] { glimpse_loop(s); });
  if (!cuts_.contains({kQuorum, s.name}))
    at(glimpses_.between(1, 1'500) * kMillisecond, [&s, seen = view()] { s.replica = seen; });
  if (s.replica) s.agent.observed = glimpse(std::move(s.agent.observed), *s.replica, local(s));
}

void World::beat_loop(Site& s) {
  agent_at(s, timing_.beat, [this, &s] { beat_loop(s); });
  beat(s);
}

void World::beat(Site& s) {
  Agent& a = s.agent;
  if (a.beating) return;
  a.beating = true;
  const bool writes = s.database && s.commits;
  if (writes)
    a.cannot_write_since.reset();
  else if (!a.cannot_write_since)
    a.cannot_write_since = local(s);
  auto sent = std::make_shared<Sent>();
  sent->known_epoch = s.known_epoch, sent->known_owner = s.known_owner;
  sent->clock = local(s);
  note_marker(s);
  auto markers = a.view ? carried_markers(a.carried, *a.view, s.name) : std::map<std::string, Marker>{};
  if (a.marker) markers[kResidency] = *a.marker;
  sent->request = {s.name, a.own_text, {a.boot, ++a.counter, 1, markers}, a.ride};
  a.ride.reset();
  ask_quorum(s, sent->request, {}, [this, &s, sent](std::optional<SwapOutcome> answer) {
    if (answer) return take_in(s, sent, answer->applied, answer->view);
    // Perhaps applied: read, and recognise our own value. The clock stays the one from before the beat.
    ask_quorum(s, {}, {}, [this, &s, sent](std::optional<SwapOutcome> read) {
      if (!read) {
        s.agent.beating = false;
        if (sent->request.ride) s.agent.busy = false;
        return;
      }
      const auto own = read->view.beats.find(s.name);
      take_in(s, sent, own != read->view.beats.end() && own->second.text == to_text(sent->request.next), read->view);
    });
  });
}

void World::look(Site& s, const View& seen, Micros when, Epoch known_epoch, const std::string& known_owner) {
  Agent& a = s.agent;
  a.observed = observe(std::move(a.observed), seen, names_, when);
  a.view = seen;
  Local before;
  before.known_epoch = known_epoch, before.known_owner = known_owner;
  a.distrusted = policy_.trust_quorum ? "" : distrust(before, kResidency, seen);
  if (!a.distrusted.empty()) tell(s.name + " distrusts: " + a.distrusted);
  const auto it = seen.authorities.find(kResidency);
  if (it == seen.authorities.end() || !a.distrusted.empty()) return;
  const Record& r = it->second.value;
  if (r.mode == Mode::serving && r.epoch > s.known_epoch) s.known_epoch = r.epoch, s.known_owner = r.owner;
  // An agent that died between its swap to serving and its journal learns from the record that it is the owner.
  if (r.owner == s.name && r.mode != Mode::moving && s.copy.epoch < r.epoch && s.database) {
    judge_own_history(s, r);
    if (s.copy.epoch < r.epoch) keep(s, {Copy::State::owner, s.name, r.epoch, {}});
  }
  // First sight of another owner closes the guard for good below its epoch.
  if (r.mode == Mode::serving && r.owner != s.name && s.database && r.epoch > s.guard.epoch)
    s.guard = {r.epoch, GuardState::closed, 0};
}

void World::take_in(Site& s, const std::shared_ptr<Sent>& sent, bool applied, const View& seen) {
  Agent& a = s.agent;
  a.beating = false;
  a.asked = sent->clock;
  const auto own = seen.beats.find(s.name);
  if (applied)
    a.own_text = to_text(sent->request.next);
  else if (own != seen.beats.end())
    a.own_text = own->second.text, a.carried = own->second.value.markers;
  else
    a.own_text.reset();
  look(s, seen, policy_.look_before ? sent->clock : local(s), sent->known_epoch, sent->known_owner);
  if (sent->request.ride) {
    a.busy = false;
    if (applied) {
      const Record& opened = sent->request.ride->next;
      s.done[fmt::format("{}/{}", opened.switch_id, opened.epoch)].emplace(name_of(OpenStep::swap_serving));
      become_owner(s, opened.epoch);
      publish(s);
    }
  }
  if (a.opened && a.lease_end && *a.lease_end < local(s) && !policy_.keep_lapsed) a.opened.reset();
  const auto it = seen.authorities.find(kResidency);
  if ((applied || policy_.read_extends) && a.opened && a.distrusted.empty() && it != seen.authorities.end()) {
    const Record& r = it->second.value;
    const bool lasting = r.mode == Mode::serving || (policy_.extend_drained && r.mode == Mode::draining);
    if (r.owner == s.name && r.epoch == *a.opened && lasting) {
      const Micros base = policy_.lease_from_answer || policy_.read_extends ? local(s) : sent->clock;
      if (lease_set(s, r.epoch, base + timing_.ttl - timing_.margin)) {
        a.lease_end = s.guard.end;
        a.cannot_open_since.reset();
      } else if (!a.cannot_open_since) {
        a.cannot_open_since = local(s);
      }
    }
  }
  act(s);
}

// Both in one place: what makes a site the owner of an epoch, before its first lease.
void World::become_owner(Site& s, Epoch epoch) {
  keep(s, {Copy::State::owner, s.name, epoch, {}});
  s.agent.opened = epoch;
  s.agent.lease_end.reset();
  tell(fmt::format("{} opens epoch {}", s.name, epoch));
}

Local World::local_of(const Site& s, const Record* r) {
  Local l;
  l.region = s.name;
  l.known_epoch = policy_.trust_quorum ? 0 : s.known_epoch;
  l.known_owner = policy_.trust_quorum ? "" : s.known_owner;
  l.opened = s.agent.opened;
  l.can_write = s.database && s.commits;
  l.cannot_write_since = s.agent.cannot_write_since.value_or(local(s));
  l.copy_complete = s.copy.state != Copy::State::none;
  l.resync = s.copy.state == Copy::State::resync;
  const bool asked =
      r != nullptr && !policy_.promote_anything && !(policy_.adopted_frees_all && r->cause == Cause::adopted);
  if (asked && !barred_here(s.copy, *r, s.name).empty()) l.resync = true;
  l.cannot_open_since = s.agent.cannot_open_since;
  l.lag = lag_of(s);
  if (r != nullptr && is_past(s.copy, *r, s.name)) l.behind = s.copy.why;
  l.approvals = s.agent.approvals;
  l.most_advanced = s.agent.most_advanced;
  l.cover = cover_of(s);
  return l;
}

void World::act(Site& s) {
  Agent& a = s.agent;
  if (a.busy || s.voter || !a.view) return;
  const auto it = a.view->authorities.find(kResidency);
  const Record* r = it == a.view->authorities.end() ? nullptr : &it->second.value;
  if (r != nullptr && a.distrusted.empty() && s.database && act_on_copy(s, *r)) return;
  if (policy_.anyone_opens && r != nullptr && r->mode == Mode::moving && r->to != s.name && a.distrusted.empty())
    return open(s);
  tend_standby(s);
  if (r != nullptr) judge_own_history(s, *r);
  const Local l = local_of(s, r);
  Rules rules = rules_;
  if (policy_.take_uncovered && r != nullptr && r->owner != s.name) rules.rpo = 10 * kSecond;
  Timing timing = timing_;
  if (policy_.impatient) timing.ttl /= 2;
  const Decision d = decide(
      {timing, rules, l, *a.view, a.observed, local(s), now_ + s.wall, fmt::format("{}-{}", s.name, ++switches_)});
  a.step = "idle";
  if (d.why != std::exchange(a.said, d.why)) tell(fmt::format("{} decides: {}", s.name, d.why));
  perform(s, d);
}

// True: something is under way, look again after it.
bool World::act_on_copy(Site& s, const Record& r) {
  CopyStep step = next_copy_step(s.copy, r, s.name);
  if (step.act == CopyAct::keep || (step.act == CopyAct::own && policy_.never_learns)) return false;
  if (step.act == CopyAct::repair) return come_back(s, r, step.next);
  const bool seen_since = s.agent.asked > s.agent.stood_at || policy_.follow_stale;
  if (step.act == CopyAct::follow && s.copy.state == Copy::State::stopped && !seen_since) return false;
  const auto handover = handover_of(s.copy, r);
  const bool base = handover && handover->at && s.copy.state == Copy::State::stopped;
  if (step.act == CopyAct::mark_resync && (policy_.follow_without_fence || (policy_.base_is_enough && base)))
    step = {CopyAct::follow, {Copy::State::following, r.owner, r.epoch, {}}, "broken on purpose"};
  tell(fmt::format("{}'s copy: {} {} {}: {}", s.name, name_of(step.next.state), step.next.source, step.next.epoch,
                   step.why));
  if (step.act == CopyAct::stop) {
    stop_inbound(s, step.next);
    return true;
  }
  if (step.act == CopyAct::first_rows) return first_rows(s, step.next);
  if (step.act == CopyAct::follow && step.next.source != s.copy.source) {
    s.position = site(step.next.source).slots[s.name];
    s.applied.reset();
  }
  keep(s, step.next);
  if (s.copy.state == Copy::State::following) check_prefix(s, true);
  return false;
}

// The marker's row is among the first that come; the copy is one once all are here.
bool World::first_rows(Site& s, const Copy& next) {
  // What is not the owner any more lets nobody begin.
  const auto lets = [this, &s, next] {
    const Site& source = site(next.source);
    const bool owns = source.copy.state == Copy::State::owner && source.copy.epoch == next.epoch && accepts(source);
    return (owns || policy_.anyone_exports) && source.database && !source.frozen &&
           !cuts_.contains({source.name, s.name});
  };
  if (!lets()) return false;
  s.agent.busy = s.loading = true;
  s.agent.step = "first_rows";
  s.applied = site(next.source).row;
  if (policy_.trust_fresh_marker) keep(s, next), s.log.clear(), s.position = site(next.source).log.size();
  if (policy_.trust_fresh_marker) s.agent.busy = false;
  const Micros delay = rng_.between(20, 8'000) * kMillisecond;
  tempt(s, delay);
  agent_at(s, delay, [this, &s, next, lets] {
    s.agent.busy = s.loading = false;
    if (lets() && (s.copy.state == Copy::State::none || s.copy == next)) {
      s.log = site(next.source).log;
      s.position = s.log.size();
      s.put_back = false;
      keep(s, next);
      check_prefix(s, true);
    }
    act(s);
  });
  return true;
}

// On the disk before anything is done by it.
void World::keep(Site& s, Copy next) { s.copy_before = std::exchange(s.copy, std::move(next)); }

// As link_loop.cpp tells it.
std::optional<Micros> World::lag_of(const Site& s) const {
  const Micros life = timing_.ttl + timing_.margin;
  const bool looked = s.agent.view && local(s) - s.agent.asked <= life;
  if (!looked || !s.applied || s.copy.state == Copy::State::none) return {};
  const auto told = told_marker(*s.agent.view, s.copy.source, kResidency);
  if (!told || told->epoch != s.applied->epoch || told->clock_us - s.applied->clock_us < -life) return {};
  return std::max<Micros>(0, told->clock_us - s.applied->clock_us);
}

// What only this copy has is kept, on its own disk; then it is made equal to the owner's, if that serves still.
bool World::come_back(Site& s, const Record& r, const Copy& next) {
  OnlyHere only = only_here(s.copy, r, s.name);
  if (policy_.forget_salvage) only = OnlyHere::nothing;
  s.agent.busy = true;
  s.agent.step = "comeback_keep";
  agent_at(s, rng_.between(20, 600) * kMillisecond, [this, &s, next, only] {
    if (only == OnlyHere::own_log || only == OnlyHere::perhaps)
      for (const auto& entry : s.log) s.salvage.insert(entry.id);
    s.agent.step = "comeback_repair";
    agent_at(s, rng_.between(100, 2'000) * kMillisecond, [this, &s, next] {
      s.agent.busy = false;
      Site& owner = site(next.source);
      const bool reached = owner.alive && !owner.paused && owner.database && !cuts_.contains({s.name, owner.name}) &&
                           !cuts_.contains({owner.name, s.name});
      const auto* seen = owner.agent.view ? &owner.agent.view->authorities : nullptr;
      const auto record = seen == nullptr ? decltype(seen->end()){} : seen->find(kResidency);
      const bool serves = seen != nullptr && record != seen->end() && record->second.value.mode == Mode::serving &&
                          record->second.value.owner == owner.name && record->second.value.epoch == next.epoch;
      const bool lets =
          serves && accepts(owner) && owner.copy.state == Copy::State::owner && owner.copy.epoch == next.epoch;
      if (reached && (lets || policy_.anyone_exports)) {
        s.log = owner.log;
        s.position = owner.slots[s.name] = s.log.size();
        s.applied = owner.row;
        keep(s, next);
        s.put_back = false;
        ++outcome_.salvaged;
        tell(s.name + " is repaired");
        check_prefix(s, true);
      }
      act(s);
    });
  });
  return true;
}

// Rows keep arriving until the workers are really gone.
void World::stop_inbound(Site& s, const Copy& next) {
  s.agent.busy = true;
  s.agent.step = "stop_inbound";
  const Micros delay = rng_.between(5, 400) * kMillisecond;
  tempt(s, delay);
  agent_at(s, delay, [this, &s, next, before = s.position] {
    Copy stopped = next;
    stopped.position = Position{next.source, 1, policy_.position_before_stop ? before : s.position};
    keep(s, stopped);
    s.agent.stood_at = local(s);
    s.agent.busy = false;
    act(s);
  });
}

void World::perform(Site& s, const Decision& d) {
  switch (d.act) {
    case Act::reopen:
      return reopen(s);
    case Act::drain:
      return drain(s);
    case Act::open:
      return open(s);
    case Act::compare_positions:
      return compare_positions(s);
    case Act::swap:
      return swap(s, *d.swap, "swap", d.why);
    case Act::ask:
      // With rpo 0 nobody accepts what may be missing.
      if ((s.copy.state == Copy::State::resync && s.copy.source == s.name) || !policy_.rpo_zero) {
        if (!people_.one_in(4)) return;
        tell(s.name + ": a person accepts: " + d.why);
        s.agent.approvals.push_back(d.proposal);
      }
      return;
    default:
      return;
  }
}

void World::swap(Site& s, Swap swap, std::string_view step, const std::string& why) {
  if (policy_.no_rollback && swap.next.cause == Cause::rollback) return;
  if (policy_.compare_no_beat) swap.beat_of.clear(), swap.expected_beat.reset();
  if (policy_.same_epoch && swap.next.cause == Cause::automatic) --swap.next.epoch;
  if (policy_.uncover_in_epoch && swap.next.cause == Cause::takeback && !covered_until_open(swap.next).empty()) {
    swap.next = s.agent.view->authorities.at(kResidency).value;
    swap.next.covered.reset();
  }
  s.agent.busy = true;
  s.agent.step = std::string(step);
  tempt(s, 40 * kMillisecond);
  s.agent.most_advanced.reset();
  tell(s.name + " swaps: " + why);
  read(s, std::move(swap), [this, &s] { s.agent.busy = false; });
}

// Sees what the quorum holds, perhaps after a swap, and acts on it; unknown: the next beat reads it.
void World::read(Site& s, std::optional<Swap> swap, Fn answered) {
  const Epoch known = s.known_epoch;
  ask_quorum(s, {}, std::move(swap),
             [this, &s, known, owner = s.known_owner, answered = std::move(answered)](auto answer) {
               answered();
               if (!answer) return;
               look(s, answer->view, local(s), known, owner);
               act(s);
             });
}

// Whoever has opened tells all others to look at once.
void World::publish(Site& s) {
  const Micros delay = rng_.between(1, 60) * kMillisecond;
  s.agent.busy = true;
  s.agent.step = std::string(name_of(OpenStep::publish));
  tempt(s, delay);
  agent_at(s, delay, [this, &s] {
    for (const auto& name : names_)
      if (name != s.name)
        send(s.name, name, s.slow, [this, &o = site(name)] { agent_at(o, 0, [this, &o] { read(o, {}, [] {}); }); });
    s.agent.busy = false;
    act(s);
  });
}

void World::reopen(Site& s) {
  const Epoch epoch = s.agent.view->authorities.at(kResidency).value.epoch;
  s.agent.busy = true;
  s.agent.step = "reopen";
  tempt(s, 40 * kMillisecond);
  vote(s, false, epoch, [this, &s, epoch](bool agreed) {
    s.agent.busy = false;
    if (agreed)
      become_owner(s, epoch);
    else if (!s.agent.cannot_open_since)
      s.agent.cannot_open_since = local(s);
  });
}

// Journals a step as done once its effect is; a death before that repeats it.
void World::finish(Site& s, const std::string& key, std::string_view step, Micros delay, Fn effect) {
  s.agent.busy = true;
  s.agent.step = std::string(step);
  tempt(s, delay);
  agent_at(s, delay, [this, &s, key, step = std::string(step), effect = std::move(effect)] {
    effect();
    agent_at(s, kMillisecond, [this, &s, key, step] {
      s.done[key].insert(step);
      s.last_done = {key, step};
      s.agent.busy = false;
      act(s);
    });
  });
}

void World::drain(Site& s) {
  const Stored<Record> seen = s.agent.view->authorities.at(kResidency);
  const Record& r = seen.value;
  const std::string key = fmt::format("{}/{}", r.switch_id, r.epoch);
  const auto step = next_drain_step(still_done(s.done[key], r, true));
  if (!step) return;
  const Micros delay = rng_.between(1, 300) * kMillisecond;
  switch (*step) {
    case DrainStep::gateways_hold:
      return finish(s, key, name_of(*step), delay, [] {});
    case DrainStep::fence:
      return finish(s, key, name_of(*step), delay, [this, &s, r] {
        if (s.copy.state != Copy::State::owner || s.copy.epoch != r.epoch) return;
        if (!policy_.skip_fence) s.guard = {std::max(r.epoch, s.guard.epoch), GuardState::fenced, 0};
        Copy fenced = s.copy;
        fenced.position = Position{s.name, 1, s.log.size()};
        keep(s, fenced);
      });
    case DrainStep::receivers_have: {
      const Site& target = site(r.to);
      s.agent.step = name_of(*step);
      const bool has = target.copy.state == Copy::State::following && target.copy.source == s.name && s.copy.position &&
                       target.position >= s.copy.position->lsn && !cuts_.contains({r.to, s.name});
      if (has) return finish(s, key, name_of(*step), delay / 10, [] {});
      s.agent.busy = true;
      agent_at(s, 50 * kMillisecond, [this, &s] { s.agent.busy = false, act(s); });
      return;
    }
    case DrainStep::swap_moving: {
      if (!s.copy.position) return;
      return swap(s, Swap{kResidency, seen.text, planned_moving(r, *s.copy.position)}, name_of(*step),
                  "the fence is reached");
    }
  }
}

void World::open(Site& s) {
  const Stored<Record> seen = s.agent.view->authorities.at(kResidency);
  const Record& r = seen.value;
  const std::string key = fmt::format("{}/{}", r.switch_id, r.epoch);
  const bool asked = s.agent.persisted == key || policy_.trust_journal;
  const auto step = next_open_step(still_done(s.done[key], r, asked), s.copy.source == s.name);
  if (!step || !s.database || !s.commits) return;
  const Micros delay = rng_.between(1, 100) * kMillisecond;
  auto begin = begins_at(s.copy, s.name);
  if (policy_.follow_the_past && s.copy.state == Copy::State::resync) begin.reset();
  switch (*step) {
    case OpenStep::advance_slots:
      return finish(s, key, name_of(*step), delay, [this, &s] {
        if (!policy_.skip_slots)
          for (const auto& name : names_) s.slots[name] = s.log.size();
      });
    case OpenStep::persist_epochs:
      s.agent.busy = true;
      s.agent.step = name_of(*step);
      tempt(s, 40 * kMillisecond);
      return vote(s, true, r.epoch, [this, &s, key, epoch = r.epoch](bool agreed) {
        s.agent.busy = false;
        if (agreed) s.agent.persisted = key;
        if (agreed) finish(s, key, name_of(OpenStep::persist_epochs), kMillisecond, [] {});
      });
    case OpenStep::swap_serving:
      s.agent.busy = true;
      s.agent.step = name_of(*step);
      tempt(s, 40 * kMillisecond);
      s.agent.ride = Swap{kResidency, seen.text,
                          serving_record(r, now_ + s.wall, begin, told_marker(*s.agent.view, r.from, kResidency))};
      return beat(s);
    default:
      return finish(s, key, name_of(*step), delay, [] {});
  }
}

void World::compare_positions(Site& s) {
  s.agent.busy = true;
  s.agent.step = "compare_positions";
  tempt(s, 150 * kMillisecond);
  agent_at(s, 150 * kMillisecond, [this, &s] {
    s.agent.busy = false;
    bool ahead = true;
    for (const auto& [name, other] : sites_) {
      const bool answers =
          other.alive && !other.paused && !cuts_.contains({s.name, name}) && !cuts_.contains({name, s.name});
      if (name == s.name || !answers || other.copy.source != s.copy.source || other.copy.epoch != s.copy.epoch)
        continue;
      if (other.copy.state != Copy::State::following && other.copy.state != Copy::State::stopped) continue;
      if (other.position > s.position || (other.position == s.position && name < s.name)) ahead = false;
    }
    s.agent.most_advanced = ahead;
    act(s);
  });
}

// Asks every site's agent whether it knows nothing higher, and nobody else's epoch; `persist` also keeps it there.
void World::vote(Site& s, bool persist, Epoch epoch, std::function<void(bool)> done) {
  if (policy_.skip_majority) return agent_at(s, kMillisecond, [done] { done(true); });
  struct Count {
    int agreed = 0;
    bool over = false;
  };
  auto count = std::make_shared<Count>();
  const auto ask = [epoch, persist, owner = s.name](Site& o) {
    const bool known = o.known_epoch == epoch && o.known_owner == owner;
    const bool agrees = known || (o.known_epoch < epoch && !(persist && o.full));
    if (agrees && persist) o.known_epoch = epoch, o.known_owner = owner;
    return agrees;
  };
  const auto counted = [this, count, done](bool agrees) {
    if (count->over) return;
    if (agrees && ++count->agreed * 2 <= static_cast<int>(names_.size())) return;
    count->over = true;
    done(agrees);
  };
  for (const auto& name : names_) {
    if (name == s.name) continue;
    Site& o = site(name);
    send(s.name, name, s.slow + o.slow, [this, &s, &o, ask, counted, process = s.incarnation] {
      if (!o.alive) return;
      agent_at(o, 0, [this, &s, &o, ask, counted, process] {
        const bool agrees = ask(o);
        send(o.name, s.name, s.slow + o.slow, [this, &s, agrees, counted, process] {
          if (s.incarnation == process) agent_at(s, 0, [agrees, counted] { counted(agrees); });
        });
      });
    });
  }
  agent_at(s, kSecond, [count, done] {
    if (!count->over) count->over = true, done(false);
  });
  counted(ask(s));
}

}  // namespace domicile::sim
