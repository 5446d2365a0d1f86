#include "cli/drill_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<void> valid_kind(const std::string& kind) {
  if (kind == "kill" || kind == "pause" || kind == "cut") return {};
  return fail(Kind::invalid_input, "'" + kind + "' is not kill, pause or cut");
}

}  // namespace

Verb drill_region_loss_verb() {
  return {"drill region-loss",
          "Lose the region that owns a residency while clients write: drills/region-loss-KIND.yaml.",
          {},
          held_options(
              {{"kind", "K", "kill (SIGKILL, the default), pause (SIGSTOP) or cut (with half of the clients inside).",
                false, false, valid_kind}}),
          {"domicile drill region-loss", "domicile drill region-loss --kind cut --runs 10 --json"},
          [](const Args& args, Io& io) -> Result<Exit> {
            return hold_drill(args, io, TRY(drill_file("region-loss-" + args.get("kind", "kill"))));
          }};
}

}  // namespace domicile::cli
