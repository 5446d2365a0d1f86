// May these first rows pass? They are lines of COPY's text format, one a row, and are judged before any of them leaves.
#pragma once
#include "gate/protocol/check.hpp"

namespace domicile::gate {

// Whoever sends rows says first what stands in them: these columns, in this order. Empty: they are those that the link
// lets out of the table. A column that it does not is `column`, another number or order of its own is `shape`.
std::optional<Violation> judge_columns(const LinkTable& table, const std::vector<std::string>& columns);

// Of whole lines, each with its newline, whose values stand in the order of `table.columns`. A number of rows, or the
// first violation.
std::variant<std::uint64_t, Violation> judge_rows(const std::string& residency, const LinkTable& table,
                                                  std::string_view lines);

}  // namespace domicile::gate
