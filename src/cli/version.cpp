#include "cli/registry.hpp"

namespace domicile::cli {

Verb version_verb() {
  return {"version", "Print the version.", {}, {}, {"domicile version"}, [](const Args&, Io& io) -> Result<Exit> {
            io.out << "domicile " << DOMICILE_VERSION << "\n";
            return Exit::ok;
          }};
}

}  // namespace domicile::cli
