// May these first rows pass? They are lines of COPY's text format, one a row, and are judged before any of them leaves.
#pragma once
#include "gate/protocol/check.hpp"

namespace domicile::gate {

// Of whole lines, each with its newline, whose values stand in the order of `table.columns`. A number of rows, or the
// first violation.
std::variant<std::uint64_t, Violation> judge_rows(const std::string& residency, const LinkTable& table,
                                                  std::string_view lines);

}  // namespace domicile::gate
