// A person opens a residency without a quorum: asks the other sites, then lets the residency's loop decide and open.
#pragma once
#include "agent/bodies.hpp"
#include "agent/residency_loop.hpp"
#include "core/topology/topology.hpp"

namespace domicile::agent {

struct GlassSetup {
  const AgentConfig* config = nullptr;
  const topology::Topology* topology = nullptr;
  Peers* peers = nullptr;
  std::map<std::string, ResidencyLoop*> residencies;
};

// `who`: the caller's certificate or "local".
Result<Json> break_glass(const GlassSetup& setup, const GlassBody& question, const std::string& who);

}  // namespace domicile::agent
