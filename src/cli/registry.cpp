#include "cli/registry.hpp"

namespace domicile::cli {

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all = {
      check_verb(),          //
      completion_verb(),     //
      explain_table_verb(),  //
      help_verb(),           //
      version_verb(),        //
  };
  return all;
}

}  // namespace domicile::cli
