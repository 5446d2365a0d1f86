#include "agent/switch_actor.hpp"

#include <algorithm>
#include <thread>

#include "edge/state.hpp"

namespace domicile::agent {

using authority::DrainStep;
using authority::OpenStep;
using authority::StepRecord;

namespace {

// Until `done` answers true or an error, looking every 5 ms: the things waited for (workers, receivers) have no bell.
Result<bool> wait_for(Micros timeout, const std::function<Result<bool>()>& done) {
  const Micros deadline = monotonic_now() + timeout;
  while (true) {
    if (TRY(done())) return true;
    if (monotonic_now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Json json_of(const authority::Position& position) {
  return {{"system", position.system_id}, {"timeline", position.timeline}, {"lsn", authority::lsn_text(position.lsn)}};
}

authority::Stored<authority::Record> stored(authority::Record record) {
  std::string text = authority::to_text(record);
  return {std::move(record), std::move(text)};
}

}  // namespace

Result<void> SwitchActor::journaled(const authority::Record& record, std::string_view half, std::string_view step,
                                    bool changes_state, const std::function<Result<std::string>()>& act) {
  StepRecord line{setup_.residency, record.switch_id, record.epoch, std::string(step), false};
  const Micros begun = monotonic_now();
  CHECK_OK(setup_.disk->begin_step(line, changes_state));
  setup_.stall.reach(fmt::format("{}.{}", half, step), setup_.residency);
  auto detail = act();
  if (!detail) return wrap(fmt::format("step {} of switch {}", step, record.switch_id), detail.error());
  setup_.stall.reach(fmt::format("{}.{}.done", half, step), setup_.residency);
  line.detail = *detail;
  CHECK_OK(setup_.disk->finish_step(line));
  const Micros took = monotonic_now() - begun;
  setup_.events->add(fmt::format("switch.{}.{}", half, step), fmt::format("{} in {} ms", step, took / 1000),
                     setup_.residency, record.epoch, record.switch_id, took);
  return {};
}

SwitchResult SwitchActor::drain(const Record& record, bool terminate) {
  terminate_ = terminate;
  left_.reset();
  fence_.reset();
  // All of it again after a restart: each step is cheap and answers as before, and whether the swap was done is the
  // quorum's word, not the journal's.
  std::set<std::string> done;
  while (const auto step = authority::next_drain_step(done)) {
    CHECK_OK(journaled(record.value, "drain", authority::name_of(*step), authority::changes_state(*step),
                       [&] { return run_drain_step(*step, record); }));
    done.insert(std::string(authority::name_of(*step)));
  }
  return left_;
}

Result<std::string> SwitchActor::run_drain_step(DrainStep step, const Record& record) {
  switch (step) {
    case DrainStep::gateways_hold:
      return wait_gateways(record);
    case DrainStep::fence:
      return fence(record);
    case DrainStep::receivers_have:
      return wait_receivers(record);
    case DrainStep::swap_moving: {
      const auto next = authority::planned_moving(record.value, *fence_);
      const Micros asked = monotonic_now();
      const auto outcome = TRY(setup_.quorum->swap({setup_.residency, record.text, next}));
      if (!outcome.applied) return fail(Kind::conflict, "the record has changed meanwhile");
      const Micros answered = monotonic_now();
      left_ = stored(next);
      setup_.peers->tell(setup_.residency, left_->text);
      setup_.announce(*left_);
      setup_.events->committed(setup_.residency, next, asked, answered);
      return std::string();
    }
  }
  return std::string();
}

Result<std::string> SwitchActor::wait_gateways(const Record& record) {
  if (!setup_.gateway_directory) return std::string("no gateway");
  const std::string path = *setup_.gateway_directory / "edge.state";
  std::string last = "they do not know of it yet";
  const bool held = TRY(wait_for(setup_.limits.hold, [&]() -> Result<bool> {
    const auto seen = setup_.gateway->get();
    const auto text = seen->record_texts.find(setup_.residency);
    if (text == seen->record_texts.end() || text->second != record.text) return false;
    const auto state = edge::read_edge_state(path);
    const auto rests = edge::at_rest(state, setup_.residency, seen->generation);
    // A file that cannot be read may belong to a gateway that still lets writes through.
    last = !rests ? one_line(rests.error())
                  : fmt::format("{} writes are in flight", state ? state->writes_in_flight(setup_.residency) : 0);
    return rests.value_or(false);
  }));
  if (!held)
    return fail(Kind::unavailable,
                fmt::format("the gateways did not come to rest within {} ms: {}", setup_.limits.hold / 1000, last));
  return std::string();
}

Result<std::string> SwitchActor::fence(const Record& record) {
  setup_.beat->allows.put({setup_.residency, {}});
  const auto attempt = [&] {
    return setup_.store->fence(setup_.residency, record.value.epoch, record.value.switch_id, setup_.limits.lock);
  };
  auto outcome = TRY(attempt());
  if (!outcome.fenced && terminate_) {
    const auto ended = TRY(setup_.store->end_writers(outcome.holders));
    setup_.events->add("switch.terminated", "ended, as ordered: " + authority::text_of(ended), setup_.residency,
                       record.value.epoch, record.value.switch_id);
    outcome = TRY(attempt());
  }
  if (!outcome.fenced)
    return fail(Kind::unavailable,
                fmt::format("transactions that write held the fence for {} ms: {}", setup_.limits.lock / 1000,
                            TRY(holders(outcome.holders))),
                "end them, or switch with --terminate");
  fence_ = outcome.position;
  // Receivers get the fence and nothing behind it, also of what no guard has seen.
  if (setup_.stop_links) CHECK_OK(setup_.stop_links(authority::lsn_text(fence_->lsn)));
  return dump(json_of(*fence_));
}

// Who they are, as far as they are still there.
Result<std::string> SwitchActor::holders(const std::vector<int>& pids) {
  auto writers = TRY(setup_.store->open_writers(0));
  std::erase_if(writers, [&](const auto& writer) { return std::ranges::find(pids, writer.pid) == pids.end(); });
  return writers.empty() ? fmt::format("{} sessions, gone by now", pids.size()) : authority::text_of(writers);
}

Result<std::string> SwitchActor::wait_receivers(const Record& record) {
  // While the fence is on its way to them: these fsyncs cost the pause nothing.
  CHECK_OK(setup_.disk->persist_copy(setup_.residency,
                                     {authority::Copy::State::owner, setup_.region, record.value.epoch, fence_}));
  std::string missing;
  const bool have = TRY(wait_for(setup_.limits.receivers, [&]() -> Result<bool> {
    const auto receivers = TRY(setup_.store->receivers(setup_.residency, *fence_));
    missing.clear();
    for (const auto& receiver : receivers)
      if (!receiver.has && (receiver.live || receiver.region == record.value.to)) missing += " " + receiver.region;
    return missing.empty();
  }));
  if (!have) return fail(Kind::unavailable, "not every live receiver has the fence:" + missing);
  return std::string();
}

SwitchResult SwitchActor::open(const Record& record) {
  left_.reset();
  auto done = setup_.disk->steps_done(setup_.residency, record.value.switch_id);
  // These only matter to a process that lives: a new start does them again.
  for (const auto step : {OpenStep::persist_epochs, OpenStep::swap_serving, OpenStep::publish})
    done.erase(std::string(authority::name_of(step)));
  // Its own history, whether or not all of it is here: there is no link that would have to end first.
  const bool was_owner =
      setup_.disk->copy(setup_.residency).source == setup_.region && record.value.owner == setup_.region;
  const bool first = record.value.history.empty();
  if (vote_for_ != record.value.switch_id || !vote_.valid()) {
    vote_for_ = record.value.switch_id;
    vote_ = std::async(std::launch::async,
                       [peers = setup_.peers, residency = setup_.residency, limit = setup_.limits.persist,
                        known = KnownEpoch{record.value.epoch, setup_.region}] {
                         return peers->persist_epoch(residency, known, limit);
                       });
  }
  while (const auto step = authority::next_open_step(done, was_owner || first)) {
    CHECK_OK(journaled(record.value, "open", authority::name_of(*step), authority::changes_state(*step),
                       [&] { return run_open_step(*step, record); }));
    done.insert(std::string(authority::name_of(*step)));
  }
  return left_;
}

Result<std::string> SwitchActor::run_open_step(OpenStep step, const Record& record) {
  switch (step) {
    case OpenStep::stop_inbound:
      return stop_inbound(record);
    case OpenStep::journal_position:
      return setup_.disk->copy(setup_.residency).position ? dump(json_of(*setup_.disk->copy(setup_.residency).position))
                                                          : std::string();
    case OpenStep::advance_slots:
      CHECK_OK(setup_.store->open_slots(setup_.residency));
      return std::string();
    case OpenStep::advance_sequences:
      if (inbound().from.empty()) return std::string("nothing ever came here");
      CHECK_OK(setup_.store->advance_sequences(inbound(), record.value.switch_id,
                                               setup_.timing.ttl + setup_.timing.patience));
      return std::string();
    case OpenStep::persist_epochs:
      return persist_epochs(record);
    case OpenStep::swap_serving:
      return swap_serving(record);
    case OpenStep::publish:
      setup_.announce(*left_);
      return std::string();
  }
  return std::string();
}

// Whom the copy here follows or followed. Not the record's owner: one that a person adopted names this region itself.
replication::LinkName SwitchActor::inbound() const {
  return {setup_.residency, setup_.disk->copy(setup_.residency).source, setup_.region};
}

Result<std::string> SwitchActor::stop_inbound(const Record& record) {
  const auto inbound = this->inbound();
  auto copy = setup_.disk->copy(setup_.residency);
  if (copy.state == authority::Copy::State::stopped) return std::string("stopped before");
  if (inbound.from.empty()) return std::string("nothing ever came here");
  if (record.value.fence) {
    const bool there = TRY(wait_for(setup_.limits.at_fence, [&]() -> Result<bool> {
      const auto health = TRY(setup_.store->copy_health(inbound));
      return health.position && health.position->comparable_with(*record.value.fence) &&
             health.position->lsn >= record.value.fence->lsn;
    }));
    if (!there) return fail(Kind::unavailable, "the copy here has not reached the fence");
  }
  copy.position = TRY(setup_.store->stop_inbound(inbound, record.value.fence.has_value()));
  copy.state = authority::Copy::State::stopped;
  CHECK_OK(setup_.disk->persist_copy(setup_.residency, copy));
  return dump(json_of(*copy.position));
}

Result<std::string> SwitchActor::persist_epochs(const Record& record) {
  const auto why = authority::not_promotable(setup_.disk->copy(setup_.residency), record.value);
  const bool by_glass = record.value.cause == authority::Cause::broken_glass;
  if (!why.empty() && record.value.cause != authority::Cause::adopted && !by_glass) return fail(Kind::unsafe, why);
  EpochVote vote = vote_.get();
  if (by_glass) {  // a person answers for those that are silent; whoever answers must know nothing higher
    if (vote.highest.epoch > record.value.epoch)
      return fail(Kind::conflict, fmt::format("{} holds epoch {}", vote.highest.owner, vote.highest.epoch));
    return fmt::format("{} of {}, on a person's word", vote.agreed, vote.sites);
  }
  const KnownEpoch known{record.value.epoch, setup_.region};
  if (!vote.majority()) vote = setup_.peers->persist_epoch(setup_.residency, known, setup_.limits.persist);
  if (!vote.majority())
    return fail(Kind::unsafe, fmt::format("epoch {} is on the disks of {} of {} sites, no majority", record.value.epoch,
                                          vote.agreed, vote.sites));
  return fmt::format("{} of {}", vote.agreed, vote.sites);
}

Result<std::string> SwitchActor::swap_serving(const Record& record) {
  if (!TRY(wait_for(setup_.limits.standbys, [&]() -> Result<bool> { return setup_.commits_wait(); })))
    return fail(Kind::unavailable, "commits here do not wait for a standby yet", "domicile status says why");
  const auto begins = authority::begins_at(setup_.disk->copy(setup_.residency), setup_.region);
  const auto told = authority::told_marker(setup_.beat->seen().get()->view, record.value.from, setup_.residency);
  const auto next = authority::serving_record(record.value, wall_now(), begins, told);
  if (next.cause == authority::Cause::broken_glass) return serve_by_glass(next);
  Ride ride{{setup_.residency, record.text, next}};
  auto answer = ride.answer->get_future();
  setup_.beat->rides.put(ride);
  const auto outcome = TRY(answer.get());
  if (!outcome.applied) return fail(Kind::conflict, "the record has changed meanwhile");
  left_ = stored(next);
  // First to those who are far away.
  setup_.peers->tell(setup_.residency, left_->text);
  setup_.announce(*left_);
  setup_.events->committed(setup_.residency, next, outcome.seen.sent_at, outcome.answered);
  CHECK_OK(setup_.disk->persist_copy(setup_.residency, {authority::Copy::State::owner, setup_.region, next.epoch, {}}));
  return std::string();
}

// The lease opens once the caller lets the beat loop keep it.
Result<std::string> SwitchActor::serve_by_glass(const authority::Record& next) {
  auto glass = setup_.disk->glass(setup_.residency);
  if (!glass || glass->record.epoch != next.epoch) return fail(Kind::conflict, "the glass is whole again");
  CHECK_OK(setup_.disk->persist_copy(setup_.residency, {authority::Copy::State::owner, setup_.region, next.epoch, {}}));
  glass->open = true;
  CHECK_OK(setup_.disk->keep_glass(setup_.residency, *glass));
  left_ = stored(next);
  setup_.peers->tell(setup_.residency, left_->text);
  return std::string();
}

}  // namespace domicile::agent
