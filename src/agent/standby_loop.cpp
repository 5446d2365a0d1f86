#include "agent/standby_loop.hpp"

#include <algorithm>

namespace domicile::agent {

using authority::Mode;
using replication::StandbysLook;

namespace {
constexpr Micros kPeriod = 200 * kMillisecond;
constexpr Micros kLive = kSecond;  // markers make the log grow five times a second

std::vector<std::string> added(const std::vector<std::string>& wanted, const std::vector<std::string>& have) {
  std::vector<std::string> out;
  for (const auto& each : wanted)
    if (std::ranges::find(have, each) == have.end()) out.push_back(each);
  return out;
}
}  // namespace

std::string StandbyLoop::link(const std::string& residency, const std::string& to) const {
  return topology::link_name(residency, setup_.region, to);
}

std::vector<std::string> StandbyLoop::links(const std::string& residency) const {
  const auto& rules = setup_.rules.at(residency);
  std::vector<std::string> out{link(residency, rules.home)};
  for (const auto& standby : rules.standbys) out.push_back(link(residency, standby));
  return out;
}

// Where no residency has rpo 0 the database is not asked for anything, and what it was told by an older topology ends.
bool StandbyLoop::concerned() const {
  for (const auto& [name, rules] : setup_.rules) {
    if (rules.rpo == 0) return true;
    const auto seen = setup_.residencies.at(name)->get();
    if (seen->record && seen->record->value.owner == setup_.region &&
        !authority::named_standby(seen->record->value).empty())
      return true;
  }
  return false;
}

void StandbyLoop::run(const std::stop_token& stop) {
  std::uint64_t rung = 0;
  bool clean = false;  // nothing is left that an older topology asked for
  std::map<std::string, std::string> acted_on;
  while (!stop.stop_requested()) {
    life_.begin_pass();
    if (concerned() || !clean) {
      const auto done = pass();
      clean = done && obeyed_.empty() && !concerned();
      const std::string text = done ? "" : one_line(done.error());
      if (text != trouble_ && !text.empty())
        setup_.log.warn("standby.trouble", "what commits wait for could not be seen or changed",
                        {{Field::reason, text}});
      trouble_ = text;
    }
    // Boards change all the time; only a record calls for haste.
    const auto records = [&] {
      std::map<std::string, std::string> texts;
      for (const auto& [name, board] : setup_.residencies)
        if (const auto seen = board->get(); seen->record) texts[name] = seen->record->text;
      return texts;
    };
    acted_on = acted_on.empty() ? records() : acted_on;
    const Micros next = monotonic_now() + kPeriod;
    while (monotonic_now() < next && !stop.stop_requested()) {
      rung = bell_.wait(rung, next);
      if (auto now = records(); now != acted_on) {
        acted_on = std::move(now);
        break;
      }
    }
  }
}

Result<void> StandbyLoop::pass() {
  auto look = TRY(setup_.standbys->look());
  life_.alive();
  watch(look);
  if (look.waiting > 0) CHECK_OK(setup_.standbys->end_blockers());
  const Plans plans = this->plans();
  if (!look.refuses.empty()) {
    publish(plans, look);
    return {};
  }
  if (look.others_wait && !others_asked_) {
    publish(plans, look);
    CHECK_OK(setup_.standbys->others_do_not_wait());
    others_asked_ = true;
    return {};
  }
  const auto done = [&]() -> Result<void> {
    CHECK_OK(residencies_wait(plans, look));
    return commits_wait(plans, look);
  }();
  // Also after an error: what was seen before it stands, and waits are told.
  if (done) prove(plans, look);
  publish(plans, look);
  return done;
}

void StandbyLoop::watch(const StandbysLook& look) {
  const Micros now = monotonic_now();
  for (const auto& [link, sender] : look.senders) {
    auto& progress = progress_[link];
    if (sender.streaming && sender.confirmed > progress.confirmed) progress = {sender.confirmed, now};
  }
}

bool StandbyLoop::confirms(const std::string& residency, const std::string& region, Micros within) const {
  const auto found = progress_.find(link(residency, region));
  return found != progress_.end() && found->second.at != 0 && monotonic_now() - found->second.at < within;
}

bool StandbyLoop::gone(const std::string& residency, const std::string& region) const {
  return !confirms(residency, region, setup_.grace) && monotonic_now() - begun_at_ >= setup_.grace;
}

StandbyLoop::Plans StandbyLoop::plans() const {
  Plans out;
  for (const auto& [name, rules] : setup_.rules) {
    const auto seen = setup_.residencies.at(name)->get();
    Plan plan;
    // Without a quorum a person answers for what is lost, and no record can say who has what.
    if (!seen->glass) plan.record = seen->record;
    std::optional<authority::Record> record;
    if (plan.record) record = plan.record->value;
    authority::StandbyQuestion question{rules, setup_.region, record, {}, false};
    auto others = rules.standbys;
    others.push_back(rules.home);
    for (const auto& region : others)
      if (region != setup_.region && confirms(name, region, kLive)) question.live.insert(region);
    if (record) plan.named = authority::named_standby(*record);
    question.covering_gone = !plan.named.empty() && gone(name, plan.named);
    plan.plan = authority::plan_standby(question);
    out[name] = std::move(plan);
  }
  return out;
}

Result<void> StandbyLoop::residencies_wait(const Plans& plans, const StandbysLook& look) {
  for (const auto& [name, each] : plans) {
    if (each.plan.waits == look.residencies.contains(name)) continue;
    // Nobody's here any more, and the list not taken back yet: see release().
    if (!each.plan.waits && each.plan.why.empty() && std::ranges::any_of(look.names, [&](const auto& listed) {
          const auto own = links(name);
          return std::ranges::find(own, listed) != own.end();
        }))
      continue;
    CHECK_OK(setup_.standbys->residency_waits(name, each.plan.waits));
    since_.erase(name);
  }
  return {};
}

Result<void> StandbyLoop::commits_wait(const Plans& plans, const StandbysLook& look) {
  std::vector<std::string> wanted;
  bool given_up = false;  // somebody else's now: whoever waits must not be told that it is done
  for (const auto& [name, each] : plans) {
    for (const auto& region : each.plan.wait_for) wanted.push_back(link(name, region));
    given_up = given_up || (each.plan.why.empty() && look.residencies.contains(name));
  }
  const auto missing = added(wanted, look.names), too_many = added(look.names, wanted);
  // After a start nobody knows yet whether all obey the list that stands there.
  const bool unproven = !wanted.empty() && look.names != obeyed_;
  if (!missing.empty() || unproven) {
    auto all = look.names;
    std::erase(all, "domicile_probe");
    all.insert(all.end(), missing.begin(), missing.end());
    obeyed_.clear();
    since_.clear();
    CHECK_OK(setup_.standbys->wait_for(all));
    obeyed_ = all;
    return {};
  }
  if (!too_many.empty()) return release(wanted, look, given_up);
  closing_.clear();
  return {};
}

// A list that gets shorter lets commits go. Where the record has said so before that is what it is for. Where the
// residency is another region's by now, those that wait are not there: their sessions are ended first, also those that
// come to wait while their transaction is older than the guard's closing.
Result<void> StandbyLoop::release(const std::vector<std::string>& wanted, const StandbysLook& look, bool given_up) {
  if (given_up) {
    if (closing_.empty()) closing_ = look.moment;
    CHECK_OK(setup_.standbys->end_waiting(closing_));
    if (TRY(setup_.standbys->older_than(closing_)) > 0) return {};
  }
  CHECK_OK(setup_.standbys->wait_for(wanted));
  obeyed_ = wanted;
  closing_.clear();
  return {};
}

// From the moment at which a residency's commits wait for a list that all obey: once every older transaction is over,
// what was committed without waiting lies below `written`, and who has confirmed that has everything.
void StandbyLoop::prove(const Plans& plans, const StandbysLook& look) {
  for (const auto& [name, each] : plans) {
    if (!each.plan.waits || !look.residencies.contains(name) || look.names != obeyed_) {
      since_.erase(name);
      continue;
    }
    auto [since, fresh] = since_.try_emplace(name, Since{look.moment, {}});
    if (fresh || since->second.written) continue;
    const auto older = setup_.standbys->older_than(since->second.moment);
    if (older && *older == 0) {
      const auto after = setup_.standbys->look();
      if (after && after->names == obeyed_) since->second.written = after->written;
    }
  }
}

void StandbyLoop::publish(const Plans& plans, const StandbysLook& look) {
  StandbysSeen seen;
  for (const auto& [name, each] : plans) {
    if (each.plan.why.empty()) continue;
    StandbySeen out;
    out.epoch = each.record->value.epoch;
    out.why = each.plan.why;
    out.waits_for = fmt::format("{}", fmt::join(each.plan.wait_for, ", "));
    out.waiting = look.waiting;
    const auto listed = [&](const std::string& region) {
      return std::ranges::find(look.names, link(name, region)) != look.names.end();
    };
    const bool waits = look.residencies.contains(name);
    out.cover.broken = !each.named.empty() && (!waits || !listed(each.named) || !look.refuses.empty());
    out.cover.lost = !each.named.empty() && gone(name, each.named);
    const auto since = since_.find(name);
    out.ready = !each.plan.waits || since != since_.end();
    if (since != since_.end() && since->second.written)
      // One that takes another's place comes last.
      for (const auto& region : each.plan.wait_for) {
        const auto progress = progress_.find(link(name, region));
        if (progress != progress_.end() && progress->second.confirmed >= *since->second.written &&
            confirms(name, region, setup_.grace))
          out.cover.proven = region;
      }
    if (!look.refuses.empty())
      out.stuck = look.refuses;
    else if (each.plan.waits)
      for (const auto& region : each.plan.wait_for)
        if (!confirms(name, region, kLive) && out.stuck.empty()) out.stuck = region + " confirms nothing";
    seen[name] = std::move(out);
  }
  if (seen == last_) return;
  for (const auto& [name, now] : seen) {
    const auto before = last_.find(name);
    const std::string was = before == last_.end() ? "" : before->second.stuck;
    if (now.stuck == was) continue;
    if (!now.stuck.empty())
      setup_.events->add("standby.stuck", "writes wait: " + now.stuck, name, now.epoch);
    else
      setup_.events->add("standby.back", "writes do not wait for longer than they must", name, now.epoch);
  }
  last_ = std::move(seen);
  board_.set(last_);
}

}  // namespace domicile::agent
