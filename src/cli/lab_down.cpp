#include "cli/lab_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb lab_down_verb() {
  return {"lab down",
          "End the lab, or what a killed one has left, and remove what it made; what --record kept stays.",
          {},
          {base_option(), {"keep", "", "leave its data, keys and logs where they are"}},
          {"domicile lab down", "domicile lab down --keep"},
          [](const Args& args, Io& io) -> Result<Exit> {
            const fs::path directory = TRY(lab_directory(args));
            CHECK_OK(lab::down(directory, args.has("keep") ? lab::Leave::all : lab::Leave::nothing));
            io.err << (fs::exists(directory) ? fmt::format("lab is down; {} stays\n", directory.string())
                                             : std::string("lab is down\n"));
            return Exit::ok;
          }};
}

}  // namespace domicile::cli
