#pragma once
#include <string_view>

namespace domicile {

// Of a site, residency, table, position …: letters, digits and _.:/+-, at most 128. No e-mail address is one.
bool is_name(std::string_view text);

}  // namespace domicile
