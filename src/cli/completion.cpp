#include "cli/registry.hpp"

namespace domicile::cli {

Verb completion_verb() {
  return {"completion",
          "Print the completion script for bash.",
          {},
          {},
          {"source <(domicile completion)"},
          [](const Args&, Io& io) -> Result<Exit> {
            io.out << bash_completion(verbs());
            return Exit::ok;
          }};
}

}  // namespace domicile::cli
