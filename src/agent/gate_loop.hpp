// Looks at this region's gate: what it holds is an alarm, and a link that stands still after a switch that was taken
// back goes on.
#pragma once
#include <stop_token>

#include "agent/boards.hpp"
#include "agent/gate_client.hpp"
#include "agent/loop_life.hpp"
#include "base/log.hpp"

namespace domicile::agent {

struct GateSetup {
  std::string region, socket;
  std::map<std::string, const Published<ResidencySeen>*> residencies;
  Log log{2, Log::Format::text, Level::info, ""};
};

class GateLoop {
 public:
  GateLoop(GateSetup setup, Published<GateSeen>& board) : setup_(std::move(setup)), board_(board) {}
  void run(const std::stop_token& stop);
  const LoopLife& life() const { return life_; }

 private:
  void look();
  void let_go(const GateClient& gate, GateLinkSeen& link) const;

  GateSetup setup_;
  LoopLife life_;
  Published<GateSeen>& board_;
  std::string trouble_;
};

}  // namespace domicile::agent
