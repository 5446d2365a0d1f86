// Keeps this region's gateway informed: authority.snap within milliseconds of a change. The directory has a loop of its
// own (tenants_loop.hpp): however large it is, a lease's end must not wait for it.
#pragma once
#include <stop_token>

#include "agent/beat_loop.hpp"
#include "agent/boards.hpp"
#include "agent/config.hpp"
#include "core/snapshot/compile.hpp"
#include "core/topology/topology.hpp"

namespace domicile::agent {

struct GatewaySetup {
  std::string region, policy_hash;
  fs::path directory;
  const topology::Topology* topology = nullptr;
  const std::map<std::string, SiteConfig>* sites = nullptr;
  const Published<QuorumSeen>* quorum = nullptr;
  std::map<std::string, const Published<ResidencySeen>*> residencies;
  Log log{2, Log::Format::text, Level::info, ""};
  const Published<MovesSeen>* moves = nullptr;  // null: no tenant ever moves
};

class GatewayLoop {
 public:
  // `changes` rings when an input has changed.
  GatewayLoop(GatewaySetup setup, Published<GatewaySeen>& board, Bell& changes);
  void run(const std::stop_token& stop);
  const LoopLife& life() const { return life_; }

 private:
  snapshot::AuthorityRow row_of(const topology::Residency& residency, const ResidencySeen& seen,
                                const QuorumSeen& quorum) const;
  void recall();
  void look_at_moves(GatewaySeen& next);
  void write_authority();

  GatewaySetup setup_;
  LoopLife life_;
  Bell& changes_;
  Published<GatewaySeen>& board_;
  GatewaySeen last_;
  Micros begun_at_ = 0;
  std::string written_;  // the content of the last file, generation apart
  // What the process before this one told the gateway. It holds until this one knows better: a lease that was given
  // runs to its end, whoever has died since.
  std::map<std::string, snapshot::AuthorityRow> before_;
  // The last moves that fit into a file; until MovesSeen has been read, those of the process before this one: a tenant
  // that is held must not be let go for a moment.
  std::vector<snapshot::MoveRow> moves_;
};

}  // namespace domicile::agent
