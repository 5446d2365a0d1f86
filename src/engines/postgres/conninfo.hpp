// What a libpq connection string says, without connecting.
#pragma once
#include <map>
#include <string>

#include "base/result.hpp"

namespace domicile::postgres {

// The settings that stand in the string itself; those of a service file or of the environment are not looked up.
Result<std::map<std::string, std::string>> settings_of(const std::string& conninfo);

}  // namespace domicile::postgres
