// All verbs. A new one is a file <noun>_<verb>.cpp with a function that returns its Verb, and a line here and in
// registry.cpp.
#pragma once
#include <vector>

#include "cli/command.hpp"

namespace domicile::cli {

Verb check_verb();
Verb completion_verb();
Verb explain_table_verb();
Verb help_verb();
Verb version_verb();

const std::vector<Verb>& verbs();

}  // namespace domicile::cli
