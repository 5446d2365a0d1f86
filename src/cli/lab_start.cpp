#include "cli/lab_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb lab_start_verb() {
  return {"lab start",
          "Start a killed region again, with its data.",
          {"REGION"},
          {base_option()},
          {"domicile lab start us-east-1"},
          [](const Args& args, Io& io) { return lab_do_site(args, io, "start", "started"); }};
}

}  // namespace domicile::cli
