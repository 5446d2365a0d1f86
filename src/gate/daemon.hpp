// `domicile gate`: the gate with its settings, control API and systemd notifications, until it is told to stop.
#pragma once
#include <stop_token>

#include "gate/config.hpp"

namespace domicile::gate {

Result<void> run_gate(const GateFile& file, const std::stop_token& stop);

}  // namespace domicile::gate
