// One daemon per region: makes the loops, gives each its own connections, and ends them in order.
#pragma once
#include <algorithm>
#include <stop_token>

#include "agent/config.hpp"

namespace domicile::agent {

// Runs until `stop`. An error is a start that failed; what goes wrong later is a state that `status` tells.
Result<void> run_agent(const AgentConfig& config, const std::string& version, const std::stop_token& stop);

}  // namespace domicile::agent
