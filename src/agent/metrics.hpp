// Prometheus metrics, made from the loops' published values when they are asked for. Names and meanings are in
// docs/reference/metrics.md. A value that is not known is left out: absent is unknown, never zero.
#pragma once
#include <string>

#include "agent/beat_loop.hpp"
#include "agent/boards.hpp"
#include "core/topology/topology.hpp"

namespace domicile::agent {

struct MetricsInput {
  std::string region;
  const topology::Topology* topology = nullptr;
  const Published<QuorumSeen>* quorum = nullptr;
  const Published<MarkersSeen>* markers = nullptr;  // null at a voter
  const Published<CopiesSeen>* copies = nullptr;
  const Published<GatewaySeen>* gateway = nullptr;
  const Published<GateSeen>* gate = nullptr;
  const Published<DriftSeen>* drift = nullptr;
  const Published<StandbysSeen>* standbys = nullptr;
  std::map<std::string, const Published<ResidencySeen>*> residencies;
  std::string edge_state;  // path; empty: no gateway
};

std::string render_metrics(const MetricsInput& input);

}  // namespace domicile::agent
