#include "cli/lab_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb lab_kill_verb() {
  return {"lab kill",
          "SIGKILL every process of a region.",
          {"REGION"},
          {base_option()},
          {"domicile lab kill us-east-1"},
          [](const Args& args, Io& io) { return lab_do_site(args, io, "kill", "killed"); }};
}

}  // namespace domicile::cli
