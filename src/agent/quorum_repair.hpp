// What a person may do when the quorum cannot be believed or is gone.
#pragma once
#include "agent/bodies.hpp"
#include "agent/residency_loop.hpp"
#include "core/authority/adopt.hpp"

namespace domicile::agent {

struct RepairSetup {
  const AgentConfig* config = nullptr;
  std::vector<authority::Rules> rules;  // of every residency
  std::function<std::unique_ptr<authority::Quorum>()> make_quorum;
  Peers* peers = nullptr;
  SiteDisk* disk = nullptr;
  const Published<CopiesSeen>* copies = nullptr;  // null at a voter
  BeatLoop* beat = nullptr;
  Events* events = nullptr;
};

// The quorum was restored and is behind: puts every residency at the highest epoch that a majority of the sites knows,
// plus one. Without an owner the one that the highest epoch belongs to; with one
// see authority::adopt.
Result<Json> adopt_quorum(const RepairSetup& setup, const AdoptBody& question, const std::string& who);

}  // namespace domicile::agent
