#include "agent/gate_loop.hpp"

namespace domicile::agent {
namespace {

constexpr Micros kPeriod = 300 * kMillisecond;
constexpr int kRegisterRounds = 10;  // the register is read every so many rounds

}  // namespace

bool GateLoop::serves_here(const std::string& residency) const {
  const auto board = setup_.residencies.find(residency);
  if (board == setup_.residencies.end()) return false;
  const auto seen = board->second->get();
  return seen->record && seen->record->value.owner == setup_.region &&
         seen->record->value.mode == authority::Mode::serving;
}

// Whoever stopped it did so in a switch, which begins by leaving `serving`: a record that is read after the stop was
// seen and says `serving` is of no such switch any more.
void GateLoop::let_go(const GateClient& gate, GateLinkSeen& link) const {
  if (!serves_here(link.residency)) return;
  const auto gone = gate.go(link.link);
  if (gone)
    link.stopped = false;
  else
    setup_.log.warn("gate.go", "a link stands still",
                    {{Field::link, link.link}, {Field::reason, one_line(gone.error())}});
}

// Its log is judged by the publication as it was when the rows were written, so over this slot the link would be cut
// again and again. Its receiver compares its rows over a fresh one. Not in the middle of a switch, whose target it may
// be.
Result<void> GateLoop::end_slot(const GateClient& gate, const GateLinkSeen& link) const {
  if (!serves_here(link.residency)) return {};
  CHECK_OK(setup_.store->give_up_slot({link.residency, setup_.region, link.to},
                                      "the gate has cut " + link.link + " and a person gave up what its log holds"));
  return gate.released(link.link);
}

void GateLoop::look() {
  const GateClient gate(setup_.socket);
  GateSeen seen = *board_.get();
  auto links = gate.links();
  const auto policy = links ? gate.policy() : Result<std::string>(tl::unexpect, links.error());
  seen.trouble = policy ? "" : one_line(policy.error());
  seen.policy = policy.value_or("");
  if (seen.trouble != trouble_ && !seen.trouble.empty())
    setup_.log.warn("gate.trouble", "the gate does not answer", {{Field::reason, seen.trouble}});
  trouble_ = seen.trouble;
  if (!seen.policy.empty() && seen.policy != setup_.policy && seen.policy != foreign_)
    setup_.log.error("gate.policy", "the gate judges by another topology than this agent: reload the gate",
                     {{Field::detail, fmt::format("{} instead of {}", seen.policy, setup_.policy)}});
  foreign_ = seen.policy == setup_.policy ? "" : seen.policy;
  if (links) {
    for (auto& link : *links) {
      if (link.stopped) let_go(gate, link);
      if (!link.fresh_slot) continue;
      const auto ended = end_slot(gate, link);
      std::string why = ended ? "" : one_line(ended.error());
      if (std::string& last = slot_troubles_[link.link]; why != last) {
        last = std::move(why);
        if (!last.empty())
          setup_.log.warn("gate.fresh_slot", "the slot of a held link is not ended yet",
                          {{Field::link, link.link}, {Field::reason, last}});
      }
    }
    seen.links = *std::move(links);
    seen.at = monotonic_now();
  }
  board_.set(std::move(seen));
}

void GateLoop::run(const std::stop_token& stop) {
  Bell clock;
  for (int round = 0; !stop.stop_requested(); ++round) {
    life_.begin_pass();
    look();
    if (round % kRegisterRounds == 0) {
      auto transfers = GateClient(setup_.socket).transfers();
      GateSeen seen = *board_.get();
      if (transfers && transfers->is_array()) seen.transfers = *std::move(transfers);
      board_.set(std::move(seen));
    }
    clock.wait(0, monotonic_now() + kPeriod);
  }
}

}  // namespace domicile::agent
