// The systems that are compared, each brought up in a place of its own.
#pragma once
#include "lab/namespace.hpp"
#include "script.hpp"

namespace domicile::bench::peers {

struct ArmSpec {
  int base;  // of the ports on the host
  lab::Isolation isolation;
  const Interrupts& interrupts;
  fs::path domicile;  // the program
  fs::path logs;      // where those of Patroni and repmgr stay
};

Result<std::unique_ptr<Arm>> domicile_arm(const ArmSpec& spec);
Result<std::unique_ptr<Arm>> patroni(const ArmSpec& spec, bool tuned);
Result<std::unique_ptr<Arm>> repmgr(const ArmSpec& spec, bool tuned);

}  // namespace domicile::bench::peers
