// Looks at this region's gate: what it holds is an alarm; a link that stands still after a switch that was taken back
// goes on; one whose log a person has given up gets a fresh slot.
#pragma once
#include <stop_token>

#include "agent/boards.hpp"
#include "agent/gate_client.hpp"
#include "agent/loop_life.hpp"
#include "base/log.hpp"
#include "core/replication/store.hpp"

namespace domicile::agent {

struct GateSetup {
  std::string region, socket, policy;  // policy: the hash of this agent's topology
  std::map<std::string, const Published<ResidencySeen>*> residencies;
  std::unique_ptr<replication::Store> store;
  Log log{2, Log::Format::text, Level::info, ""};
};

class GateLoop {
 public:
  GateLoop(GateSetup setup, Published<GateSeen>& board) : setup_(std::move(setup)), board_(board) {}
  void run(const std::stop_token& stop);
  const LoopLife& life() const { return life_; }

 private:
  void look();
  bool serves_here(const std::string& residency) const;
  void let_go(const GateClient& gate, GateLinkSeen& link) const;
  Result<void> end_slot(const GateClient& gate, const GateLinkSeen& link) const;

  GateSetup setup_;
  LoopLife life_;
  Published<GateSeen>& board_;
  std::string trouble_, foreign_;                     // as of the last look; foreign: a policy that is not ours
  std::map<std::string, std::string> slot_troubles_;  // by link
};

}  // namespace domicile::agent
