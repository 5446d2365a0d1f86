// The list of revoked certificates: serial numbers, one a line.
#pragma once
#include <set>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace domicile::agent {

// A serial number as it is compared: capital hex digits without leading zeros. Empty: `text` is none. Colons between
// bytes and openssl's own `serial=` before them are allowed.
std::string serial_of(std::string_view text);
// `#` begins a comment, blank lines are nothing; any other line that is no serial number is an error that names it
// (DOM-E609): a list that is half understood lets a revoked certificate in.
Result<std::set<std::string>> parse_revoked(std::string_view text);

}  // namespace domicile::agent
