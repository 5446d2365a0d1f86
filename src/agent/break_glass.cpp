#include "agent/break_glass.hpp"

#include <algorithm>

namespace domicile::agent {
namespace {

constexpr Micros kAsk = 2 * kSecond;      // how long a site may take to answer before it is silent
constexpr Micros kTell = 5 * kSecond;     // how often the others are told of the epoch
constexpr Micros kRemind = 60 * kSecond;  // how often the log says that the glass is broken
constexpr auto kOpening = std::chrono::seconds(11);

// What one site says. Whoever does not answer in full is silent: only a whole answer proves anything.
authority::GlassSite ask(const GlassSetup& setup, const std::string& site, const std::string& residency) {
  authority::GlassSite out;
  out.region = site;
  const auto status = setup.peers->call(site, "GET", "/v1/status", Json(), kAsk);
  const auto epochs = setup.peers->call(site, "GET", "/v1/epochs", Json(), kAsk);
  if (!status || !epochs || !status->is_object() || !epochs->is_object()) return out;
  const auto quorum = member<Json>(*status, "quorum");
  const auto list = member<Json>(*status, "residencies");
  if (!quorum || !list || !list->is_array()) return out;
  const auto& lease = setup.topology->lease;
  const auto answered = member_or<std::int64_t>(*quorum, "answered_ms_ago", -1);
  if (!answered) return out;
  out.quorum_answers = *answered >= 0 && *answered * 1000 < lease.ttl + lease.margin;
  for (const auto& each : *list)
    if (member_or<std::string>(each, "residency", "").value_or("") == residency)
      out.lease_open = member_or<std::int64_t>(each, "lease_ms", 0).value_or(1) > 0;
  if (const auto known = epochs->find(residency); known != epochs->end()) {
    const auto epoch = member<authority::Epoch>(*known, "epoch");
    const auto owner = member<std::string>(*known, "owner");
    if (!epoch || !owner) return out;
    out.known_epoch = *epoch;
    out.known_owner = *owner;
  }
  out.answered = true;
  return out;
}

Json json_of(const authority::GlassPlan& plan, const std::string& residency, bool opened) {
  return {{"residency", residency},          {"owner", plan.record.to},   {"epoch", plan.record.epoch},
          {"switch", plan.record.switch_id}, {"from", plan.record.owner}, {"proofs", plan.proofs},
          {"warnings", plan.warnings},       {"opened", opened}};
}

}  // namespace

Result<Json> break_glass(const GlassSetup& setup, const GlassBody& question, const std::string& who) {
  const auto& residency = question.residency;
  const auto loop = setup.residencies.find(residency);
  if (loop == setup.residencies.end())
    return fail(Kind::invalid_input, "no residency is called " + residency + ", or this site holds no data");
  GlassOrder order;
  order.by = question.by;
  if (!order.by.empty() && who != order.by) order.by += " (" + who + ")";
  order.reason = question.reason;
  order.attest = question.attest;
  order.dry_run = question.dry_run;
  std::vector<std::future<authority::GlassSite>> asked;
  for (const auto& [site, addresses] : setup.config->sites)
    asked.push_back(
        std::async(std::launch::async, [&setup, site = site, &residency] { return ask(setup, site, residency); }));
  for (auto& each : asked) {
    auto site = each.get();
    if (const auto words = order.attest.find(site.region); words != order.attest.end()) site.attested = words->second;
    order.sites.push_back(std::move(site));
  }
  auto answer = order.answer->get_future();
  loop->second->glass_orders.put(order);
  if (answer.wait_for(kOpening) != std::future_status::ready)
    return fail(Kind::unknown_outcome, "the order was not answered in time", "look at domicile status");
  const auto plan = TRY(answer.get());
  return json_of(plan, residency, !order.dry_run);
}

Result<authority::GlassPlan> ResidencyLoop::plan_glass(const GlassOrder& order, const QuorumSeen& quorum) const {
  const auto& name = setup_.rules.residency;
  if (const auto glass = setup_.disk->glass(name))
    return fail(Kind::conflict,
                fmt::format("the glass of {} is broken here already, at epoch {}", name, glass->record.epoch),
                "domicile status", "DOM-E211");
  auto local = local_state(quorum);
  const auto known = setup_.disk->epoch(name);
  local.known_epoch = known.epoch;
  local.known_owner = known.owner;
  const auto copy = setup_.disk->copy(name);
  // Without a record that was read only the copy's own word is left.
  if (copy.state == authority::Copy::State::none || copy.state == authority::Copy::State::resync) local.resync = true;
  const auto lease = quorum.leases.find(name);
  std::vector<std::string> attested;
  for (const auto& [site, words] : order.attest) attested.push_back(site);
  std::optional<authority::Record> last;
  if (record_) last = record_->value;
  std::optional<Micros> silent_for;
  if (quorum.sent_at != 0) silent_for = monotonic_now() - quorum.sent_at;
  return authority::break_glass({setup_.timing, setup_.rules, local, last, silent_for,
                                 lease != quorum.leases.end() && lease->second.over > monotonic_now(), order.sites,
                                 order.by, order.reason, fresh_switch_id()},
                                attested);
}

void ResidencyLoop::order_glass(const QuorumSeen& quorum) {
  const auto order = glass_orders.take();
  if (!order) return;
  const auto& name = setup_.rules.residency;
  auto plan = plan_glass(*order, quorum);
  if (!plan || order->dry_run) return order->answer->set_value(std::move(plan));
  const auto& record = plan->record;
  const Glass glass{record, false, order->by, order->reason, order->attest, wall_now()};
  if (const auto kept = setup_.disk->keep_glass(name, glass); !kept)
    return order->answer->set_value(tl::unexpected<Error>(kept.error()));
  setup_.log.error("glass.broken", "a person opens a residency without a quorum",
                   {{Field::residency, name}, {Field::epoch, record.epoch}, {Field::switch_id, record.switch_id}});
  setup_.events->ordered("glass.broken", "without a quorum", fmt::format("by {}: {}", order->by, order->reason), name,
                         record.epoch, record.switch_id);
  for (const auto& proof : plan->proofs)  // an attestation is a person's words too
    setup_.events->ordered("glass.proof", "proof:", proof, name, record.epoch, record.switch_id);
  last_trouble_.clear();
  retry_at_ = 0;
  tend_glass(quorum);
  const auto now = setup_.disk->glass(name);
  if (now && !now->open)
    order->answer->set_value(fail(Kind::unavailable,
                                  "the glass is broken, and it could not be opened yet: " + last_trouble_,
                                  "it is tried again; domicile status tells"));
  else if (!now)
    order->answer->set_value(
        fail(Kind::conflict, "a higher epoch was met: the glass is whole again", "domicile status"));
  else
    order->answer->set_value(std::move(plan));
}

// True: it is this loop's only business. False: the glass is whole.
bool ResidencyLoop::tend_glass(const QuorumSeen& quorum) {
  const auto& name = setup_.rules.residency;
  const auto glass = setup_.disk->glass(name);
  if (!glass) return false;
  const authority::Epoch epoch = glass->record.epoch;
  if (const auto read = quorum.view.authorities.find(name);
      read != quorum.view.authorities.end() && read->second.value.epoch > epoch) {
    end_glass(*glass, fmt::format("the quorum knows epoch {}", read->second.value.epoch));
    return false;
  }
  if (const auto kept = setup_.disk->persist_epoch(name, {epoch, setup_.region}); !kept) {
    if (kept.error().kind != Kind::conflict)
      return trouble("cannot keep the epoch of the broken glass", kept.error()), true;
    end_glass(*glass, one_line(kept.error()));
    return false;
  }
  last_.owner_expired = false;
  last_.distrusted =
      quorum.sent_at == 0
          ? ""
          : authority::distrust({.region = setup_.region, .known_epoch = epoch, .known_owner = setup_.region}, name,
                                quorum.view);
  if (monotonic_now() - glass_warned_at_ > kRemind || glass_warned_at_ == 0) {
    glass_warned_at_ = monotonic_now();
    setup_.log.error("glass.broken", "open here without a quorum: restore it, then domicile quorum adopt",
                     {{Field::residency, name}, {Field::epoch, epoch}});
  }
  if (!glass->open) {
    if (monotonic_now() >= retry_at_) open_by_glass(*glass);
    return true;
  }
  if (glass_kept_ != epoch && !reopen_by_glass(*glass)) return false;
  if (!record_ || record_->value.epoch < epoch) {  // the quorum is back and behind
    const auto serving = authority::serving_record(glass->record, glass->at);
    take({serving, authority::to_text(serving)});
  }
  // A site that comes back must not open an older epoch: it learns of this one before anything else can happen to it.
  if (monotonic_now() - glass_told_at_ > kTell) {
    glass_told_at_ = monotonic_now();
    const auto vote = setup_.peers->persist_epoch(name, {epoch, setup_.region}, 300 * kMillisecond);
    if (vote.highest.epoch > epoch) (void)setup_.disk->persist_epoch(name, vote.highest).has_value();
  }
  return true;
}

void ResidencyLoop::open_by_glass(const Glass& glass) {
  const std::string text = authority::to_text(glass.record);
  take({glass.record, text});
  // Up to the epoch before: whatever was open here under an older one is over.
  if (const auto closed = setup_.store->close(setup_.rules.residency, glass.record.epoch - 1); !closed)
    return trouble("cannot open by the broken glass", closed.error());
  const auto left = actor_.open({glass.record, text});
  if (!left) return trouble("cannot open by the broken glass", left.error());
  if (*left) take(**left);
  setup_.beat->allows.put({setup_.rules.residency, glass.record.epoch, true});
  setup_.beat->look_now();
  glass_kept_ = glass.record.epoch;
  setup_.events->add("glass.open", fmt::format("{} serves {} without a quorum", setup_.region, setup_.rules.residency),
                     setup_.rules.residency, glass.record.epoch, glass.record.switch_id);
}

// A process that has started since: what do the sites know that answer now? False: the glass is whole again.
bool ResidencyLoop::reopen_by_glass(const Glass& glass) {
  const auto& name = setup_.rules.residency;
  for (const auto& [site, epochs] : setup_.peers->all_epochs(kSecond))
    if (const auto known = epochs.find(name); known != epochs.end() && known->second.epoch > glass.record.epoch) {
      end_glass(glass, fmt::format("{} knows epoch {}", site, known->second.epoch));
      return false;
    }
  const auto serving = authority::serving_record(glass.record, glass.at);
  take({serving, authority::to_text(serving)});
  own_copy();
  setup_.beat->allows.put({name, glass.record.epoch, true});
  setup_.beat->look_now();
  glass_kept_ = glass.record.epoch;
  setup_.events->add("glass.open", "opened again, still without a quorum", name, glass.record.epoch,
                     glass.record.switch_id);
  return true;
}

void ResidencyLoop::end_glass(const Glass& glass, const std::string& why) {
  setup_.beat->allows.put({setup_.rules.residency, {}, true});
  setup_.beat->look_now();
  glass_kept_ = 0;
  if (const auto ended = setup_.disk->end_glass(setup_.rules.residency); !ended)
    return trouble("cannot end the broken glass", ended.error());
  setup_.events->add("glass.whole", why, setup_.rules.residency, glass.record.epoch, glass.record.switch_id);
}

}  // namespace domicile::agent
