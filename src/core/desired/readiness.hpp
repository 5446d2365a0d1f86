// Is a schema ready for its residencies? Says everything that is missing at once, each with the migration that mends
// it.
#pragma once
#include <string>
#include <vector>

#include "core/desired/desired.hpp"

namespace domicile::desired {

struct Finding {
  std::string code;     // stable: DOM-P003; docs/reference/readiness.md
  bool refuses = true;  // false: a warning, apply goes on
  std::string object;   // qualified table, setting or role
  std::string cause;
  std::string migration = {};  // SQL that mends it; empty where a person has to decide
  std::string advice = {};     // what to do where SQL alone cannot
  bool operator==(const Finding&) const = default;
};

// Sorted: what refuses first, then by object and code.
std::vector<Finding> readiness(const Context& context, const Seen& seen);
bool refuses(const std::vector<Finding>& findings);
// All migrations as one script with a comment before each.
std::string migration_script(const std::vector<Finding>& findings);
Json to_json(const std::vector<Finding>& findings);

}  // namespace domicile::desired
