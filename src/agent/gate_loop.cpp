#include "agent/gate_loop.hpp"

namespace domicile::agent {
namespace {

constexpr Micros kPeriod = 300 * kMillisecond;
constexpr int kRegisterRounds = 10;  // the register is read every so many rounds

}  // namespace

// Whoever stopped it did so in a switch, which begins by leaving `serving`: a record that is read after the stop was
// seen and says `serving` is of no such switch any more.
void GateLoop::let_go(const GateClient& gate, GateLinkSeen& link) const {
  const auto board = setup_.residencies.find(link.residency);
  if (board == setup_.residencies.end()) return;
  const auto seen = board->second->get();
  if (!seen->record) return;
  const auto& record = seen->record->value;
  if (record.owner != setup_.region || record.mode != authority::Mode::serving) return;
  const auto gone = gate.go(link.link);
  if (gone)
    link.stopped = false;
  else
    setup_.log.warn("gate.go", "a link stands still",
                    {{Field::link, link.link}, {Field::reason, one_line(gone.error())}});
}

void GateLoop::look() {
  const GateClient gate(setup_.socket);
  GateSeen seen = *board_.get();
  auto links = gate.links();
  seen.trouble = links ? "" : one_line(links.error());
  if (seen.trouble != trouble_ && !seen.trouble.empty())
    setup_.log.warn("gate.trouble", "the gate does not answer", {{Field::reason, seen.trouble}});
  trouble_ = seen.trouble;
  if (links) {
    for (auto& link : *links)
      if (link.stopped) let_go(gate, link);
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
