#include "agent/residency_loop.hpp"

#include <sys/random.h>

#include <algorithm>

#include "core/authority/most_advanced.hpp"

namespace domicile::agent {

using authority::Act;
using authority::Copy;
using authority::CopyAct;
using authority::Decision;
using authority::Mode;

namespace {
constexpr Micros kLook = 200 * kMillisecond;   // no input rings for the mere passing of time
constexpr Micros kRetry = 300 * kMillisecond;  // after trouble
constexpr Micros kBringAgain = 5 * kSecond;    // rows that did not come
constexpr Micros kFreshMarker = 2 * kSecond;   // a database that committed so recently commits

int rank(Mode mode) { return mode == Mode::moving ? 0 : mode == Mode::serving ? 1 : 2; }
}  // namespace

bool newer(const authority::Record& a, const authority::Record& b) {
  return a.epoch != b.epoch ? a.epoch > b.epoch : rank(a.mode) > rank(b.mode);
}

std::string fresh_switch_id() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != sizeof bits) bits = static_cast<std::uint64_t>(monotonic_now());
  return fmt::format("{:x}-{:08x}", wall_now() / kSecond, bits & 0xffffffffU);
}

ResidencyLoop::ResidencyLoop(ResidencySetup setup, Bell& readers)
    : orders(*setup.bell),
      glass_orders(*setup.bell),
      hints(*setup.bell),
      setup_(std::move(setup)),
      actor_({setup_.region,
              setup_.rules.residency,
              setup_.timing,
              {},
              setup_.quorum.get(),
              setup_.store.get(),
              setup_.disk,
              setup_.peers,
              setup_.beat,
              setup_.gateway,
              setup_.config->gateway ? std::optional<fs::path>(setup_.config->gateway->directory) : std::nullopt,
              setup_.stop_links,
              [this] { return commits_wait(); },
              setup_.events,
              setup_.stall,
              [this](const Record& record) {
                take(record);
                publish({Act::nothing, last_.why});
              },
              fresh_switch_id}),
      seen_(&readers) {}

void ResidencyLoop::take(const Record& record) {
  record_ = record;
  record_at_ = monotonic_now();
}

// The freshest of: what the quorum said, what this region did since, what a peer said since.
void ResidencyLoop::look(const QuorumSeen& quorum) {
  const auto stored = quorum.view.authorities.find(setup_.rules.residency);
  if (stored != quorum.view.authorities.end()) {
    const bool later = quorum.sent_at > record_at_;
    if (!record_ || later || newer(stored->second.value, record_->value)) {
      record_ = stored->second;
      if (later) record_at_ = quorum.sent_at;
    }
  } else if (quorum.sent_at > record_at_) {
    record_.reset();
  }
  while (const auto text = hints.take()) {
    const auto parsed = authority::record_of(*text);
    if (parsed && record_ && newer(*parsed, record_->value)) take({*parsed, *text});
  }
}

Micros ResidencyLoop::last_commit() const {
  const auto markers = setup_.markers->get();
  const auto committed = markers->committed_at.find(setup_.rules.residency);
  return std::max(markers->pulse_at, committed == markers->committed_at.end() ? 0 : committed->second);
}

bool ResidencyLoop::commits() const {
  const Micros last = last_commit();
  return last != 0 && monotonic_now() - last < kFreshMarker;
}

authority::Local ResidencyLoop::local_state(const QuorumSeen& quorum) const {
  authority::Local local;
  local.region = setup_.region;
  if (const auto known = quorum.epochs_before.find(setup_.rules.residency); known != quorum.epochs_before.end()) {
    local.known_epoch = known->second.epoch;
    local.known_owner = known->second.owner;
  }
  if (const auto allowed = quorum.allowed.find(setup_.rules.residency); allowed != quorum.allowed.end())
    local.opened = allowed->second;
  local.can_write = commits() && history_known_;
  // This process has seen nothing from before its start, so a database that is still coming up has its patience, too.
  local.cannot_write_since = std::max(last_commit(), begun_at_);
  const auto copy = setup_.disk->copy(setup_.rules.residency);
  if (record_) {
    // Whether a copy that still flows has reached the fence is seen when its link has stopped, before it opens.
    auto asked = record_->value;
    if (copy.state == Copy::State::following) asked.fence.reset();
    local.resync = !authority::barred_here(copy, asked, setup_.region).empty();
  }
  local.no_rows = copy.state == Copy::State::none;
  if (record_ && authority::is_past(copy, record_->value, setup_.region)) local.behind = copy.why;
  const auto copies = setup_.copies->get();
  if (const auto seen = copies->find(setup_.rules.residency); seen != copies->end()) {
    local.copy_complete = seen->second.health.complete && seen->second.health.trouble.empty();
    local.lag = seen->second.lag;
  }
  if (record_ && compared_for_ == record_->text) local.most_advanced = most_advanced_;
  const auto refused = quorum.refused_since.find(setup_.rules.residency);
  if (refused != quorum.refused_since.end()) local.cannot_open_since = refused->second;
  if (no_majority_since_)
    local.cannot_open_since = std::min(local.cannot_open_since.value_or(*no_majority_since_), *no_majority_since_);
  local.approvals = setup_.disk->approvals();
  if (const auto standbys = setup_.standbys->get(); standbys->contains(setup_.rules.residency) && record_) {
    const auto& seen = standbys->at(setup_.rules.residency);
    if (seen.epoch == record_->value.epoch) local.cover = seen.cover;
  }
  return local;
}

Decision ResidencyLoop::decide(const QuorumSeen& quorum) {
  // The quorum's view, with what this region knows better put into it: a swap that it has just done, or a hint.
  authority::View view = quorum.view;
  authority::Observed observed = quorum.observed;
  if (record_) view.authorities[setup_.rules.residency] = *record_;
  end_approvals(view);
  observed = authority::observe(std::move(observed), view, {}, monotonic_now());
  history_known_ = judge_own_history(quorum);
  const auto local = local_state(quorum);
  const auto seen_sight = quorum.observed.sights.find(setup_.rules.residency);
  if (seen_sight != quorum.observed.sights.end() && record_ &&
      seen_sight->second.switch_id == record_->value.switch_id && seen_sight->second.mode == record_->value.mode)
    observed.sights[setup_.rules.residency] = seen_sight->second;
  last_.distrusted = authority::distrust(local, setup_.rules.residency, view);
  last_.owner_expired = false;
  const Micros now = monotonic_now();
  if (record_ && record_->value.owner != setup_.region)
    last_.owner_expired =
        now >= authority::expires_at(observed, record_->value.owner, setup_.timing.ttl, setup_.timing.margin);
  const std::string id = fresh_switch_id();
  return authority::decide({setup_.timing, setup_.rules, local, view, observed, now, wall_now(), id});
}

void ResidencyLoop::end_approvals(const authority::View& view) {
  for (const auto& approval : setup_.disk->approvals()) {
    if (approval.residency != setup_.rules.residency || !authority::lapsed(approval, view)) continue;
    const auto ended = setup_.disk->end_approval(approval);
    if (!ended) return trouble("cannot forget an approval", ended.error());
    setup_.events->add("switch.approval_over", approval.id + " was of another moment and counts no more",
                       setup_.rules.residency, record_ ? record_->value.epoch : 0);
  }
}

void ResidencyLoop::run(const std::stop_token& stop) {
  std::uint64_t rung = 0;
  while (!stop.stop_requested()) {
    life_.begin_pass();
    const auto quorum = setup_.beat->seen().get();
    look(*quorum);
    Micros next = monotonic_now() + kLook;
    order_glass(*quorum);
    if (setup_.store && tend_glass(*quorum)) {
      publish({Act::nothing, "open here without a quorum, on a person's word"});
      order_switch();
    } else if (quorum->sent_at != 0 && setup_.store) {
      const Decision decision = decide(*quorum);
      publish(decision);
      close_if_not_ours();
      tend_copy();
      order_switch();
      if (monotonic_now() >= retry_at_) act(decision, *quorum);
      if (decision.look_again) next = std::min(next, *decision.look_again);
    } else {
      publish({Act::nothing, quorum->sent_at == 0 ? "the quorum has not answered yet" : "a voter holds no data"});
    }
    rung = setup_.bell->wait(rung, next);
  }
  bringing_ = {};
}

void ResidencyLoop::publish(const Decision& decision) {
  last_.record = record_;
  last_.copy = setup_.disk->copy(setup_.rules.residency);
  last_.why = decision.why;
  last_.glass = setup_.disk->glass(setup_.rules.residency);
  last_.proposal = decision.act == Act::ask ? decision.proposal : authority::Proposal{};
  if (decision.act == Act::ask && decision.why != last_why_)
    setup_.events->add("switch.ask", fmt::format("approve {}: {}", decision.proposal.id, decision.why),
                       setup_.rules.residency, record_ ? record_->value.epoch : 0);
  last_why_ = decision.why;
  // Publishing wakes every loop, this one too: unchanged it would never sleep.
  if (last_ != *seen_.get()) seen_.set(last_);
}

void ResidencyLoop::trouble(const char* doing, const Error& error) {
  const std::string text = one_line(error);
  if (text != last_trouble_)
    setup_.events->add("trouble", fmt::format("{}: {}", doing, text), setup_.rules.residency,
                       record_ ? record_->value.epoch : 0);
  last_trouble_ = text;
  retry_at_ = monotonic_now() + kRetry;
}

void ResidencyLoop::act(const Decision& decision, const QuorumSeen&) {
  switch (decision.act) {
    case Act::nothing:
    case Act::wait:
    case Act::ask:
      return;
    case Act::renew:
      own_copy();
      return;
    case Act::reopen:
      reopen();
      return;
    case Act::drain:
      drain();
      return;
    case Act::open:
      open();
      return;
    case Act::swap:
      swap(*decision.swap, decision.why);
      return;
    case Act::compare_positions:
      compare_positions();
      return;
  }
}

// A process that has just started, or whose lease lapsed, opens only when a majority of the sites knows nothing higher.
void ResidencyLoop::reopen() {
  if (!history_known_) return;
  const KnownEpoch known{record_->value.epoch, setup_.region};
  const auto vote = setup_.peers->persist_epoch(setup_.rules.residency, known, 2 * kSecond);
  if (vote.majority())
    no_majority_since_.reset();
  else if (!no_majority_since_)
    no_majority_since_ = monotonic_now();
  if (!vote.majority())
    return trouble("cannot reopen",
                   Error{Kind::unsafe, fmt::format("{} of {} sites agree to epoch {}, the highest known is {}",
                                                   vote.agreed, vote.sites, known.epoch, vote.highest.epoch)});
  own_copy();
  setup_.beat->allows.put({setup_.rules.residency, known.epoch});
  setup_.beat->look_now();
  setup_.events->add("lease.reopen", "opened again at the epoch that it owned", setup_.rules.residency, known.epoch);
  retry_at_ = monotonic_now() + kRetry;
}

// A disk may have been put back to an older day while this region was away: whoever owns by the record and has not
// opened looks first. False: the database has not said what it holds.
bool ResidencyLoop::judge_own_history(const QuorumSeen& quorum) {
  const auto epoch = record_ ? authority::own_last_epoch(record_->value, setup_.region) : std::nullopt;
  if (!epoch) return true;
  const std::string& residency = setup_.rules.residency;
  const auto allowed = quorum.allowed.find(residency);
  if (allowed != quorum.allowed.end() && allowed->second == epoch) return true;
  if (authority::is_past(setup_.disk->copy(residency), record_->value, setup_.region)) return true;
  if (!commits()) return false;
  const auto held = setup_.store->held(residency);
  if (!held) return trouble("cannot see what the database here holds", held.error()), false;
  const auto told = authority::told_marker(quorum.view, setup_.region, residency);
  const auto why = authority::behind_own_marker(told, held->marker, *epoch);
  if (why.empty()) return true;
  const auto kept = setup_.disk->persist_copy(residency, {Copy::State::resync, setup_.region, *epoch, held->at, why});
  if (!kept) return trouble("cannot keep what the copy here is", kept.error()), false;
  setup_.events->add("copy.resync", why, residency, *epoch);
  return true;
}

// With rpo 0 nothing is acknowledged in a new epoch before its commits wait for whom they must.
bool ResidencyLoop::commits_wait() const {
  if (setup_.rules.rpo != 0 || !record_ || record_->value.cause == authority::Cause::broken_glass) return true;
  const auto standbys = setup_.standbys->get();
  const auto seen = standbys->find(setup_.rules.residency);
  return seen != standbys->end() && seen->second.epoch == record_->value.epoch && seen->second.ready;
}

void ResidencyLoop::own_copy() {
  const auto copy = setup_.disk->copy(setup_.rules.residency);
  if (copy.state == Copy::State::owner && copy.epoch == record_->value.epoch) return;
  const auto kept =
      setup_.disk->persist_copy(setup_.rules.residency, {Copy::State::owner, setup_.region, record_->value.epoch, {}});
  if (!kept) trouble("cannot keep what the copy here is", kept.error());
}

void ResidencyLoop::drain() {
  if (!history_known_) return;
  const Record record = *record_;
  const auto left = actor_.drain(record, record.value.switch_id == terminate_for_);
  if (left) {
    if (*left) take(**left);
    return;
  }
  if (left.error().kind == Kind::conflict) return trouble("switch", left.error());
  setup_.events->add("switch.rollback", one_line(left.error()), setup_.rules.residency, record.value.epoch,
                     record.value.switch_id);
  authority::Record back = record.value;
  back.epoch += 1;
  back.mode = Mode::moving;
  back.switch_id = fresh_switch_id();
  back.from = back.to = setup_.region;
  back.cause = authority::Cause::rollback;
  back.fence.reset();
  swap({setup_.rules.residency, record.text, back}, "");
}

void ResidencyLoop::open() {
  const Record record = *record_;
  const auto left = actor_.open(record);
  if (!left) return trouble("cannot open", left.error());
  if (!*left) return;
  take(**left);
  setup_.events->add(
      "switch.serving",
      fmt::format("{} serves {} ({})", setup_.region, setup_.rules.residency, authority::name_of(record.value.cause)),
      setup_.rules.residency, record.value.epoch, record.value.switch_id);
}

void ResidencyLoop::swap(const authority::Swap& swap, const std::string& why) {
  setup_.stall.reach("residency.before_swap", setup_.rules.residency);
  const auto outcome = setup_.quorum->swap(swap);
  if (!outcome) {
    setup_.beat->look_now();  // perhaps it happened: read
    return trouble("cannot change the record", outcome.error());
  }
  if (!outcome->applied) {
    setup_.beat->look_now();
    retry_at_ = monotonic_now() + kRetry;
    return;
  }
  const std::string text = authority::to_text(swap.next);
  const bool same = record_ && record_->value.epoch == swap.next.epoch && record_->value.mode == swap.next.mode;
  const bool uncovers = swap.next.cause == authority::Cause::takeback && !covered_until_open(swap.next).empty();
  take({swap.next, text});
  setup_.peers->tell(setup_.rules.residency, text);
  if (same || uncovers)
    setup_.events->add(same ? "standby.covered" : "standby.uncovered", why, setup_.rules.residency, swap.next.epoch,
                       swap.next.switch_id);
  if (same) {  // who has everything, and nothing else
    setup_.bell->ring();
    return;
  }
  setup_.events->add(fmt::format("record.{}", authority::name_of(swap.next.mode)),
                     fmt::format("{} -> {} ({})", swap.next.from, swap.next.to.empty() ? "nobody" : swap.next.to,
                                 authority::name_of(swap.next.cause)),
                     setup_.rules.residency, swap.next.epoch, swap.next.switch_id);
  setup_.bell->ring();
}

// Of several standbys the most advanced one goes first. One that does not answer is no candidate.
void ResidencyLoop::compare_positions() {
  std::vector<authority::StandbySays> others;
  for (const auto& standby : setup_.rules.standbys) {
    if (standby == setup_.region || standby == record_->value.owner) continue;
    const auto answer =
        setup_.peers->call(standby, "GET", "/v1/copies/" + setup_.rules.residency, Json(), 500 * kMillisecond);
    if (!answer) continue;
    authority::StandbySays says;
    says.region = standby;
    says.candidate = member_or<bool>(*answer, "candidate", false).value_or(false);
    says.source = member_or<std::string>(*answer, "source", "").value_or("");
    says.epoch = member_or<authority::Epoch>(*answer, "epoch", 0).value_or(0);
    if (const auto lsn = authority::lsn_of(member_or<std::string>(*answer, "lsn", "").value_or("")))
      says.position = authority::Position{member_or<std::string>(*answer, "system", "").value_or(""),
                                          member_or<std::int64_t>(*answer, "timeline", 0).value_or(0), *lsn};
    others.push_back(std::move(says));
  }
  const auto copies = setup_.copies->get();
  const auto here = copies->find(setup_.rules.residency);
  most_advanced_ =
      authority::most_advanced(setup_.rules, setup_.region, setup_.disk->copy(setup_.rules.residency),
                               here == copies->end() ? std::nullopt : here->second.health.position, others);
  compared_for_ = record_->text;
}

// Whoever is not the owner closes, on first sight, up to the epoch that somebody else may open.
void ResidencyLoop::close_if_not_ours() {
  if (!record_) return;
  const auto& record = record_->value;
  const bool mine = record.owner == setup_.region && record.mode != Mode::moving;
  const authority::Epoch up_to =
      record.mode == Mode::moving && record.to == setup_.region ? record.epoch - 1 : record.epoch;
  if (mine || closed_ >= up_to || up_to < 1) return;
  setup_.beat->allows.put({setup_.rules.residency, {}});
  const auto closed = setup_.store->close(setup_.rules.residency, up_to);
  if (closed) closed_ = up_to;
}

void ResidencyLoop::tend_copy() {
  if (!record_ || !setup_.receives || bringing_now_) return;
  if (record_->value.mode == Mode::moving && record_->value.to == setup_.region)
    return;  // the steps of the takeover do it
  const Copy copy = setup_.disk->copy(setup_.rules.residency);
  if (copy.state != Copy::State::stopped) stands_ = false;
  const auto copies = setup_.copies->get();
  const auto seen = copies->find(setup_.rules.residency);
  const bool broken = seen != copies->end() && seen->second.source == copy.source && seen->second.health.resync;
  auto step = authority::next_copy_step(copy, record_->value, setup_.region, broken ? seen->second.health.trouble : "");
  if (step.act == CopyAct::keep) return follow_again(copy);
  if (step.act == CopyAct::follow && !seen_since_standstill(copy)) return;
  const auto inbound = replication::LinkName{setup_.rules.residency,
                                             step.act == CopyAct::stop ? copy.source : step.next.source, setup_.region};
  const auto done = [&]() -> Result<void> {
    switch (step.act) {
      case CopyAct::keep:
      case CopyAct::own:
        return {};
      case CopyAct::stop:
        step.next.position = TRY(setup_.store->stop_inbound(inbound, record_->value.fence.has_value()));
        return {};
      case CopyAct::follow:
        if (copy.state == Copy::State::owner && copy.position)
          CHECK_OK(setup_.store->return_slots(setup_.rules.residency, *copy.position, step.next.source));
        if (copy.state == Copy::State::stopped) CHECK_OK(setup_.store->withdraw_slots(setup_.rules.residency));
        return setup_.store->follow(inbound, copy.source != step.next.source);
      case CopyAct::mark_resync:
        return {};
      case CopyAct::first_rows:
        bring("the first rows are here, following " + step.next.source,
              [this, inbound, next = step.next](const std::stop_token& stop) -> Result<Copy> {
                if (TRY(setup_.bring_first_rows(inbound, stop))) return next;
                return Copy{Copy::State::resync,
                            "",
                            next.epoch,
                            {},
                            "this site remembers nothing, and its link's slot at " + next.source + " has been used"};
              });
        return {};
      case CopyAct::repair:
        bring(step.why,
              [this, copy, next = step.next, record = record_->value](const std::stop_token& stop) -> Result<Copy> {
                CHECK_OK(setup_.come_back(setup_.rules.residency, copy, record, stop));
                return next;
              });
        return {};
    }
    return {};
  }();
  if (!done) return trouble("copy", done.error());
  if (step.act == CopyAct::first_rows || step.act == CopyAct::repair) return;
  const auto kept = setup_.disk->persist_copy(setup_.rules.residency, step.next);
  if (!kept) return trouble("copy", kept.error());
  setup_.events->add(fmt::format("copy.{}", authority::name_of(step.next.state)), step.why, setup_.rules.residency,
                     record_->value.epoch);
}

void ResidencyLoop::bring(const std::string& brought, const std::function<Result<Copy>(const std::stop_token&)>& work) {
  if (monotonic_now() < bring_at_) return;
  bringing_now_ = true;
  bringing_ = std::jthread([this, brought, work](const std::stop_token& stop) {
    const auto copy = work(stop);
    const auto kept = copy ? setup_.disk->persist_copy(setup_.rules.residency, *copy)
                           : Result<void>(tl::unexpected<Error>(copy.error()));
    if (kept) {
      setup_.events->add(fmt::format("copy.{}", authority::name_of(copy->state)),
                         copy->why.empty() ? brought : copy->why, setup_.rules.residency, copy->epoch);
    } else {
      bring_at_ = monotonic_now() + kBringAgain;
      setup_.log.warn("copy.not_brought", "the rows of this copy could not be brought",
                      {{Field::residency, setup_.rules.residency}, {Field::reason, one_line(kept.error())}});
    }
    bringing_now_ = false;
  });
}

// What arrived until the workers were gone may be of an epoch that the record in hand does not know: this process may
// have slept meanwhile. Only a record that was read after the copy stood still says how far it may have come.
bool ResidencyLoop::seen_since_standstill(const Copy& copy) {
  if (copy.state != Copy::State::stopped) return true;
  if (!std::exchange(stands_, true)) {
    stands_since_ = monotonic_now();
    setup_.beat->look_now();
  }
  return setup_.beat->seen().get()->sent_at > stands_since_;
}

// A lost connection ends a link as an error of a row does (PostgreSQL 15), so it is tried again, less and less often.
void ResidencyLoop::follow_again(const Copy& copy) {
  const auto copies = setup_.copies->get();
  const auto seen = copies->find(setup_.rules.residency);
  if (seen == copies->end() || copy.state != Copy::State::following) return;
  if (seen->second.health.streaming) follow_pause_ = 0;
  const bool expired = last_.owner_expired;  // a dead source is only hammered
  if (!seen->second.health.disabled || expired || record_->value.owner != copy.source || monotonic_now() < follow_at_)
    return;
  follow_pause_ = std::clamp<Micros>(follow_pause_ * 2, kSecond, 30 * kSecond);
  follow_at_ = monotonic_now() + follow_pause_;
  const auto followed = setup_.store->follow({setup_.rules.residency, copy.source, setup_.region}, false);
  if (followed)
    setup_.log.info("copy.again", "the link was ended by an error and is enabled again",
                    {{Field::residency, setup_.rules.residency}});
}

void ResidencyLoop::order_switch() {
  const auto order = orders.take();
  if (!order) return;
  const auto answer = [&]() -> Result<authority::Record> {
    if (!record_) return fail(Kind::unavailable, "nobody owns " + setup_.rules.residency + " yet");
    if (!last_.distrusted.empty())
      return fail(Kind::unsafe, "the quorum is distrusted: " + last_.distrusted, "domicile quorum adopt");
    if (record_->value.owner != setup_.region)
      return fail(Kind::conflict, record_->value.owner + " owns it; ask there");
    const auto next = TRY(authority::planned_drain(record_->value, setup_.rules, order->to, order->switch_id));
    const Micros asked = monotonic_now();
    const auto outcome = TRY(setup_.quorum->swap({setup_.rules.residency, record_->text, next}));
    if (!outcome.applied)
      return fail(Kind::conflict, "the record has changed meanwhile", "look again: domicile status");
    setup_.events->committed(setup_.rules.residency, next, asked, monotonic_now());
    terminate_for_ = order->terminate ? order->switch_id : "";
    take({next, authority::to_text(next)});
    setup_.peers->tell(setup_.rules.residency, record_->text);
    setup_.events->add("record.draining", fmt::format("{} -> {} (planned)", next.from, next.to), setup_.rules.residency,
                       next.epoch, next.switch_id);
    setup_.events->ordered("switch.ordered", "to " + order->to, fmt::format("by {}: {}", order->by, order->reason),
                           setup_.rules.residency, next.epoch, next.switch_id);
    return next;
  }();
  order->answer->set_value(answer);
  setup_.bell->ring();
}

}  // namespace domicile::agent
