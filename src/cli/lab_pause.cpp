#include "cli/lab_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb lab_pause_verb() {
  return {"lab pause",
          "SIGSTOP every process of a region.",
          {"REGION"},
          {base_option()},
          {"domicile lab pause us-east-1"},
          [](const Args& args, Io& io) { return lab_do_site(args, io, "pause", "paused"); }};
}

}  // namespace domicile::cli
