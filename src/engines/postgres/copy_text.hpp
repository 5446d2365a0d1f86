// Rows as lines of COPY's text format. Source: PostgreSQL 15 documentation, COPY, "Text Format".
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace domicile::postgres {

using CopyFields = std::vector<std::optional<std::string>>;  // nullopt: NULL

// With its newline.
std::string copy_line(const CopyFields& fields);
// Without the newline. `corrupt`: an escape that COPY TO never writes.
Result<CopyFields> copy_fields(std::string_view line);

}  // namespace domicile::postgres
