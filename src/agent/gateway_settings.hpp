// The gateway of agent.yaml as values of its nginx.conf.
#pragma once
#include "agent/config.hpp"
#include "core/topology/topology.hpp"
#include "edge/config.hpp"

namespace domicile::agent {

// `refused` where a key would lie that the law does not let in here, or one is missing that is needed once this region
// owns the residency (DOM-E611); `invalid_input` without a gateway, or without what nginx listens to (DOM-E601).
Result<edge::GatewayConfig> gateway_settings(const AgentConfig& config, const topology::Topology& topology);

}  // namespace domicile::agent
