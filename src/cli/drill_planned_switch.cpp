#include "cli/drill_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb drill_planned_switch_verb() {
  return {
      "drill planned-switch",
      "Switch a residency while clients write, and measure what they saw: drills/planned-switch.yaml.",
      {},
      held_options({{"to", "REGION", "Where to (default: the first standby, or home when it is away)."}}),
      {"domicile drill planned-switch", "domicile drill planned-switch --residency eu --runs 2 --json"},
      [](const Args& args, Io& io) -> Result<Exit> { return hold_drill(args, io, TRY(drill_file("planned-switch"))); }};
}

}  // namespace domicile::cli
