#include "gate/protocol/rows.hpp"

#include <algorithm>

namespace domicile::gate {

std::optional<Violation> judge_columns(const LinkTable& table, const std::vector<std::string>& columns) {
  for (const auto& column : columns)
    if (std::ranges::find(table.columns, column) == table.columns.end())
      return Violation{Rule::column, fmt::format("column {} of {} may not leave", column, table.qualified())};
  if (columns != table.columns)
    return Violation{Rule::shape, fmt::format("rows of {} have their columns in other places", table.qualified())};
  return {};
}

// A tab or newline inside a value is escaped (COPY, "Text Format"), so both are what they look like. Names of
// residencies hold nothing that would be escaped.
std::variant<std::uint64_t, Violation> judge_rows(const std::string& residency, const LinkTable& table,
                                                  std::string_view lines) {
  const auto named = std::ranges::find(table.columns, table.residency_column);
  const bool filtered = !table.residency_column.empty();
  if (filtered && named == table.columns.end())
    return Violation{Rule::residency_column,
                     fmt::format("column {} of {} is not in the rows", table.residency_column, table.qualified())};
  const auto place = static_cast<std::size_t>(named - table.columns.begin());
  std::uint64_t rows = 0;
  while (!lines.empty()) {
    const auto end = lines.find('\n');
    if (end == std::string_view::npos) return Violation{Rule::message, "the last row has no end"};
    std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end + 1);
    const auto count = static_cast<std::size_t>(std::ranges::count(line, '\t')) + 1;
    if (count != table.columns.size())
      return Violation{Rule::shape, fmt::format("a row of {} has {} columns instead of {}", table.qualified(), count,
                                                table.columns.size())};
    if (filtered) {
      for (std::size_t skipped = 0; skipped < place; ++skipped) line.remove_prefix(line.find('\t') + 1);
      if (line.substr(0, line.find('\t')) != residency)
        return Violation{Rule::residency,
                         fmt::format("a row of {} is not of residency {}", table.qualified(), residency)};
    }
    ++rows;
  }
  return rows;
}

}  // namespace domicile::gate
