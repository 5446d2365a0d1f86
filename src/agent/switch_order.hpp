// A planned switch is ordered of the residency's loop: judged first, then handed over and answered.
#pragma once
#include "agent/precheck.hpp"
#include "agent/residency_loop.hpp"

namespace domicile::agent {

struct Ordered {
  authority::Record record;  // draining
  std::vector<std::string> warnings;
};

// At the owner. `patience`: how long what stands against it may take to go away.
Result<Ordered> order_switch(ResidencyLoop& loop, const PrecheckSetup& setup, const SwitchOrder& order,
                             Micros patience);
// The judgement alone: warnings, or why not.
Result<std::vector<std::string>> check_switch(const ResidencyLoop& loop, const PrecheckSetup& setup,
                                              const std::string& to, bool terminate, Micros patience);

}  // namespace domicile::agent
