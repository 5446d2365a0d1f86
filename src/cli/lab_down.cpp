#include "cli/lab_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb lab_down_verb() {
  return {"lab down",
          "End the lab, or what a killed one has left.",
          {},
          {base_option()},
          {"domicile lab down"},
          [](const Args& args, Io& io) -> Result<Exit> {
            CHECK_OK(lab::down(TRY(lab_directory(args))));
            io.err << "lab is down\n";
            return Exit::ok;
          }};
}

}  // namespace domicile::cli
