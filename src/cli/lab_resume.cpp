#include "cli/lab_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb lab_resume_verb() {
  return {"lab resume",
          "SIGCONT every process of a paused region.",
          {"REGION"},
          {base_option()},
          {"domicile lab resume us-east-1"},
          [](const Args& args, Io& io) { return lab_do_site(args, io, "resume", "running again"); }};
}

}  // namespace domicile::cli
