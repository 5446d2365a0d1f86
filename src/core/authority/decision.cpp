#include "core/authority/decision.hpp"

#include <algorithm>

namespace domicile::authority {
namespace {

std::string barred(const Local& local) {
  return local.no_rows ? "the copy here has no first rows yet" : "the copy here is resync";
}

bool may_own(const Rules& rules, const std::string& region) {
  return region == rules.home || std::ranges::find(rules.standbys, region) != rules.standbys.end();
}

Decision nothing(std::string why) { return {Act::nothing, std::move(why)}; }
Decision wait_until(Micros when, std::string why) { return {Act::wait, std::move(why), {}, {}, when}; }

const Stored<Record>* stored_record(const Question& q) {
  const auto it = q.view.authorities.find(q.rules.residency);
  return it == q.view.authorities.end() ? nullptr : &it->second;
}

// The beat of an owner whose life is over. Never one that cannot be read: nobody can see there whether it lives, so the
// swap that expects none is refused as long as it is there.
std::optional<std::string> last_beat(const View& view, const std::string& region) {
  const auto it = view.beats.find(region);
  if (it == view.beats.end()) return {};
  return it->second.text;
}

// This region becomes the target at the next epoch.
Record moving_here(const Question& q, const Record& now, Cause cause) {
  Record next = now;
  next.epoch = now.epoch + 1;
  next.mode = Mode::moving;
  next.switch_id = q.fresh_id;
  next.from = now.owner;
  next.to = q.local.region;
  next.cause = cause;
  next.fence.reset();
  return next;
}

Decision swap_to(const Question& q, const Stored<Record>& seen, Record next, std::string why) {
  return {Act::swap, std::move(why), Swap{q.rules.residency, seen.text, std::move(next)}};
}

Decision go_back(const Question& q, const Stored<Record>& seen, Cause cause, std::string why) {
  return swap_to(q, seen, moving_here(q, seen.value, cause), std::move(why));
}

// May this region take the residency without the owner's help, and how? `compare_beat`: whose life must still be over
// at the instant of the swap; empty where the record alone decides.
Decision take_over(const Question& q, const Stored<Record>& seen, const std::string& compare_beat,
                   const std::string& why) {
  const Local& local = q.local;
  const Record& record = seen.value;
  const auto& standbys = q.rules.standbys;
  if (!may_own(q.rules, local.region)) return nothing(why + "; no lawful target here");
  if (local.region == record.owner) return nothing(why + "; it was ours, and comes back only by its own way");
  if (local.resync) return nothing(why + "; " + barred(local) + " and no target for anything");
  if (!local.copy_complete) return nothing(why + "; the copy here is not complete");
  if (!local.can_write) return nothing(why + "; the database here does not commit");

  Proposal proposal{fmt::format("{}-{}", q.rules.residency, record.epoch + 1), q.rules.residency, seen.text,
                    compare_beat};
  if (!compare_beat.empty()) proposal.beat = last_beat(q.view, compare_beat);
  const bool approved = std::ranges::find(local.approvals, proposal) != local.approvals.end();
  const bool covers = q.rules.rpo == 0 && covered_by(record) == local.region;
  if (!approved) {
    const auto ask = [&](std::string reason) { return Decision{Act::ask, why + "; " + reason, {}, proposal}; };
    if (!q.rules.automatic) return ask("this residency asks before it switches");
    // How far the copy lags says nothing: what was never acknowledged may be missing, what was acknowledged may not.
    if (q.rules.rpo == 0 && !covers) return ask("the record does not say that every acknowledged write is here");
    if (q.rules.rpo != 0 && !local.lag) return ask("the lag of the copy here is unknown");
    if (q.rules.rpo != 0 && *local.lag > q.rules.rpo)
      return ask(fmt::format("the copy here lags by {} ms, the rpo is {} ms", *local.lag / 1000, q.rules.rpo / 1000));
    if (record.automatic_at != 0 && q.wall_now - record.automatic_at < q.rules.calm && q.rules.calm > 0)
      return ask("it switched by itself a short while ago");
  }
  // One that has all that was acknowledged need not ask whether another one has more.
  const bool compares = standbys.size() > 1 && !covers;
  if (compares && !local.most_advanced) return {Act::compare_positions, why};
  if (compares && !*local.most_advanced) {
    // The one that is ahead goes first. It may die at this very moment, so two seconds later the turn comes to us.
    const Micros turn = q.observed.sights.at(q.rules.residency).first_seen;
    const Micros expiry = compare_beat.empty() ? turn + q.timing.ttl + q.timing.margin
                                               : expires_at(q.observed, compare_beat, q.timing.ttl, q.timing.margin);
    const Micros ours = expiry + 2 * kSecond;
    if (q.now < ours)
      return wait_until(ours, why + "; the copy here is not known to be the most advanced, another standby goes first");
  }
  Swap swap{q.rules.residency, seen.text, moving_here(q, record, approved ? Cause::approved : Cause::automatic)};
  if (!compare_beat.empty()) {
    swap.beat_of = compare_beat;
    swap.expected_beat = last_beat(q.view, compare_beat);
  }
  return {Act::swap, why + "; taking it over", swap};
}

Decision without_record(const Question& q) {
  if (q.local.region != q.rules.home) return nothing("nobody owns it yet; its home begins");
  if (!q.local.can_write) return nothing("nobody owns it yet, and the database here does not commit");
  Record first;
  first.owner = q.local.region;
  first.epoch = 1;
  first.mode = Mode::moving;
  first.switch_id = q.fresh_id;
  first.from = first.to = q.local.region;
  first.cause = Cause::bootstrap;
  return {Act::swap, "nobody owns it yet and this is its home", Swap{q.rules.residency, {}, first}};
}

bool cannot_write_for_long(const Question& q) {
  return !q.local.can_write && q.now - q.local.cannot_write_since >= q.timing.patience;
}

// What the record says about the standby follows what the database does where that is more, and goes before it where
// it is less: a standby that would take over by itself must have heard first that it may lack something. Taking a word
// back takes an epoch, because the sites remember that: a quorum restored to a moment before names the standby again.
std::optional<Decision> tell_cover(const Question& q, const Stored<Record>& seen) {
  const std::string named = covered_by(seen.value);
  const Cover& cover = q.local.cover;
  if (named.empty()) {
    if (q.rules.rpo != 0 || cover.proven.empty()) return {};
    Record next = seen.value;
    next.covered = Covered{seen.value.epoch, cover.proven};
    return swap_to(q, seen, next, "every acknowledged write is at " + cover.proven);
  }
  const auto take_back = [&](std::string why) { return go_back(q, seen, Cause::takeback, std::move(why)); };
  if (q.rules.rpo != 0) return take_back("commits need not wait for " + named + " any more");
  if (cover.broken) return take_back("commits did not wait for " + named);
  if (!cover.proven.empty() && cover.proven != named)
    return take_back(cover.proven + " takes the place of " + named + ", which does not confirm");
  if (cover.lost && q.rules.go_on) return take_back(named + " does not confirm: going on without a standby");
  return {};
}

Decision give_up(const Question& q, const Stored<Record>& seen, const std::string& why) {
  Record next = seen.value;
  next.mode = Mode::draining;
  next.switch_id = q.fresh_id;
  next.to.clear();
  return swap_to(q, seen, next, why + ": giving it up");
}

// Given up by an owner whose database lacks what it had acknowledged, or not opened by whoever was to take it over.
// Standbys that have it go first; where none may or can, a person says that it is to go on with what is here.
Decision own_past(const Question& q, const Stored<Record>& seen) {
  const Micros turn = q.observed.sights.at(q.rules.residency).first_seen + q.timing.ttl + q.timing.margin;
  if (q.now < turn + q.timing.patience)
    return wait_until(turn + q.timing.patience, q.local.behind + "; a standby takes it over");
  Proposal proposal{fmt::format("{}-{}", q.rules.residency, seen.value.epoch + 1), q.rules.residency, seen.text};
  if (std::ranges::find(q.local.approvals, proposal) == q.local.approvals.end())
    return {
        Act::ask, q.local.behind + "; no standby takes it over, and a person may accept what is lost", {}, proposal};
  return go_back(q, seen, Cause::adopted, "a person accepts that " + q.local.behind);
}

Decision own_serving(const Question& q, const Stored<Record>& seen) {
  if (!q.local.behind.empty()) return give_up(q, seen, q.local.behind);
  // Fenced in this epoch, it never opens again at it: only giving it up leads to a higher one.
  const bool closed = q.local.cannot_open_since && q.now - *q.local.cannot_open_since >= q.timing.patience;
  if (closed || cannot_write_for_long(q))
    return give_up(
        q, seen,
        std::string("the database here could not ") + (closed ? "open" : "commit") + " for longer than patience");
  if (q.local.opened == seen.value.epoch) {
    if (auto tells = tell_cover(q, seen)) return *std::move(tells);
    return {Act::renew, "owner"};
  }
  return {Act::reopen, "owner by the record, not yet opened by this process"};
}

Decision decide_serving(const Question& q, const Stored<Record>& seen) {
  const Record& record = seen.value;
  if (record.owner == q.local.region) return own_serving(q, seen);
  const Micros end = expires_at(q.observed, record.owner, q.timing.ttl, q.timing.margin);
  if (q.now < end) return wait_until(end, "owned by " + record.owner);
  return take_over(q, seen, record.owner, record.owner + " has shown no life for ttl + margin");
}

Decision decide_draining(const Question& q, const Stored<Record>& seen) {
  const Record& record = seen.value;
  const Micros first_seen = q.observed.sights.at(q.rules.residency).first_seen;
  if (record.owner == q.local.region) {
    if (!q.local.behind.empty()) return record.to.empty() ? own_past(q, seen) : give_up(q, seen, q.local.behind);
    if (record.to.empty()) {
      if (q.local.can_write) return go_back(q, seen, Cause::takeback, "the database commits again");
      return nothing("given up until the database here commits again");
    }
    if (q.now >= first_seen + q.timing.patience || cannot_write_for_long(q))
      return go_back(q, seen, Cause::rollback, "the planned switch did not end in time");
    return {Act::drain, "planned switch to " + record.to};
  }
  if (record.to.empty()) {
    const Micros end = first_seen + q.timing.ttl + q.timing.margin;
    if (q.now < end) return wait_until(end, record.owner + " gave it up");
    return take_over(q, seen, "", record.owner + " gave it up and did not take it back");
  }
  const Micros end = expires_at(q.observed, record.owner, q.timing.ttl, q.timing.margin);
  if (q.now < end) return wait_until(end, record.owner + " drains for a switch to " + record.to);
  return take_over(q, seen, record.owner, record.owner + " died while it drained");
}

Decision open_as_target(const Question& q, const Record& record) {
  if (record.cause == Cause::adopted) {
    // The quorum had been restored: somebody that it does not know may still hold a lease. None is renewed any more
    // from the moment that this record stands.
    const Micros end = q.observed.sights.at(q.rules.residency).first_seen + q.timing.ttl + q.timing.margin;
    if (q.now < end) return wait_until(end, "adopted; an older lease may not be over yet");
    return {Act::open, "named by a person who adopted the quorum"};
  }
  if (q.local.resync) return nothing("target of the switch, but " + barred(q.local));
  return {Act::open, "target of the switch"};
}

Decision decide_moving(const Question& q, const Stored<Record>& seen) {
  const Record& record = seen.value;
  if (record.to == q.local.region) return open_as_target(q, record);
  const Micros life_end = expires_at(q.observed, record.to, q.timing.ttl, q.timing.margin);
  const Micros deadline = q.observed.sights.at(q.rules.residency).first_seen + q.timing.patience;
  // One that a person named has to wait for older leases first, and no beat of it may have been possible before.
  const Micros end =
      record.cause == Cause::adopted ? deadline + q.timing.ttl + q.timing.margin : std::min(life_end, deadline);
  if (q.now < end) return wait_until(end, "moving to " + record.to);
  const std::string why = record.to + " did not open it in time";
  const bool ours = record.owner == q.local.region;
  if (ours && !q.local.behind.empty()) return own_past(q, seen);
  // The owner's way back: after a fence nobody else holds more than it does, and nobody opened since.
  if (ours && q.local.can_write && !q.local.resync) return go_back(q, seen, Cause::rollback, why);
  if (ours) return nothing(why + (q.local.resync ? "; " + barred(q.local) : "; the database here does not commit"));
  // A planned switch goes back to its owner, unless that one is gone as well.
  const Micros owner_end = expires_at(q.observed, record.owner, q.timing.ttl, q.timing.margin);
  if (record.cause == Cause::planned && q.now < owner_end)
    return wait_until(owner_end, why + "; its owner takes it back");
  // The record alone decides: only the target may swap it to serving, and that swap names the text that we replace.
  return take_over(q, seen, "", why);
}

// The third of one owner's epochs in a row, with nothing between them: the second says no more than this one. Else an
// owner whose standby comes and goes would push out of the record what a region that is away has to know.
bool went_on_again(const std::vector<Opened>& history, const Opened& opened) {
  const auto goes_on = [](const Opened& before, const Opened& after) {
    return after.owner == before.owner && !after.fence && !after.base;
  };
  const auto n = history.size();
  return n >= 2 && goes_on(history[n - 2], history[n - 1]) && goes_on(history[n - 1], opened);
}

}  // namespace

std::string distrust(const Local& local, const std::string& residency, const View& view) {
  const auto it = view.authorities.find(residency);
  const Epoch seen = it == view.authorities.end() ? 0 : it->second.value.epoch;
  if (seen > local.known_epoch || (seen == 0 && local.known_epoch == 0)) return "";
  if (seen == local.known_epoch) {
    // An epoch belongs to one region for ever, also before it is opened.
    const Record& record = it->second.value;
    const std::string& whose = record.mode == Mode::moving ? record.to : record.owner;
    if (local.known_owner.empty() || whose == local.known_owner) return "";
    return fmt::format("the quorum gives epoch {} to {}, this site's disk to {}", seen, whose, local.known_owner);
  }
  return fmt::format("the quorum knows epoch {}, this site's disk {}", seen, local.known_epoch);
}

Decision decide(const Question& q) {
  const auto unreadable = q.view.unreadable.find("domicile/authority/" + q.rules.residency);
  if (unreadable != q.view.unreadable.end()) return nothing("the record cannot be read: " + unreadable->second.why);
  if (const std::string reason = distrust(q.local, q.rules.residency, q.view); !reason.empty())
    return nothing("distrusted: " + reason);
  const auto* seen = stored_record(q);
  if (seen == nullptr) return without_record(q);
  // The quorum's members are not trusted with the law: whatever the record says, nothing opens where it may not.
  const bool named =
      seen->value.mode == Mode::moving ? seen->value.to == q.local.region : seen->value.owner == q.local.region;
  if (named && !may_own(q.rules, q.local.region))
    return nothing("the record names " + q.local.region + ", which may not own " + q.rules.residency);
  switch (seen->value.mode) {
    case Mode::serving:
      return decide_serving(q, *seen);
    case Mode::draining:
      return decide_draining(q, *seen);
    case Mode::moving:
      return decide_moving(q, *seen);
  }
  return nothing("unknown mode");
}

Record serving_record(const Record& moving, Micros wall_now, const std::optional<Position>& base,
                      const std::optional<Marker>& told) {
  Record next = moving;
  next.owner = moving.to;
  next.mode = Mode::serving;
  if (moving.cause == Cause::automatic) next.automatic_at = wall_now;
  const bool taken_over = moving.cause == Cause::automatic || moving.cause == Cause::approved;
  const bool put_back = moving.cause == Cause::adopted && moving.owner == moving.to;  // what a person accepted
  const bool of_the_last = told && !moving.history.empty() && told->epoch == moving.history.back().epoch;
  const Opened opened{moving.epoch, moving.to, moving.fence, taken_over || put_back ? base : std::nullopt,
                      taken_over && of_the_last ? told : std::nullopt};
  if (went_on_again(next.history, opened)) next.history.pop_back();
  next.history.push_back(opened);
  if (next.history.size() > kHistory) next.history.erase(next.history.begin());
  next.fence.reset();
  return next;
}

Result<Record> planned_drain(const Record& record, const Rules& rules, const std::string& to, const std::string& id) {
  if (record.mode != Mode::serving)
    return fail(
        Kind::conflict,
        fmt::format("switch {} of {} is under way ({})", record.switch_id, rules.residency, name_of(record.mode)),
        "wait for its end: domicile status --watch", "DOM-E201");
  if (!may_own(rules, to))
    return fail(Kind::refused, fmt::format("{} may not own {}: no plan exists that puts it there", to, rules.residency),
                "choose its home or one of its standbys", "DOM-E202");
  if (record.owner == to)
    return fail(Kind::conflict, fmt::format("{} already owns {}", to, rules.residency), "", "DOM-E203");
  Record next = record;
  next.mode = Mode::draining;
  next.switch_id = id;
  next.from = record.owner;
  next.to = to;
  next.cause = Cause::planned;
  return next;
}

Record planned_moving(const Record& draining, const Position& fence) {
  Record next = draining;
  next.mode = Mode::moving;
  next.epoch = draining.epoch + 1;
  next.fence = fence;
  return next;
}

Record adopted_record(Epoch highest, const std::string& owner, const std::string& id) {
  Record next;
  next.owner = owner;
  next.epoch = highest + 1;
  next.mode = Mode::moving;
  next.switch_id = id;
  next.from = next.to = owner;
  next.cause = Cause::adopted;
  next.history = {{highest, "", {}}};
  return next;
}

}  // namespace domicile::authority
