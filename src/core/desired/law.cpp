#include "core/desired/law.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <vector>

namespace domicile::desired {
namespace {

using topology::Form;

// Names of the topology hold neither quotes nor backslashes. The elements are quoted: a residency may be called null.
std::string array_of(const std::set<std::string>& names) {
  std::vector<std::string> quoted;
  for (const auto& name : names) quoted.push_back("\"" + name + "\"");
  return fmt::format("'{{{}}}'::text[]", fmt::join(quoted, ","));
}

std::string new_column(std::string_view name) { return fmt::format("NEW.\"{}\"", name); }

// Compared as text: not every type has an operator for it (json). A default that is not the same for every row cannot
// be compared, and readiness refuses it.
std::string has_value(const SeenColumn& column) {
  const auto value = new_column(column.name);
  if (column.otherwise.empty() || !column.steady) return value + " IS NOT NULL";
  return fmt::format("{0} IS NOT NULL AND ({0})::text IS DISTINCT FROM (({1})::{2})::text", value, column.otherwise,
                     column.type);
}

std::vector<std::string> personal_values(const topology::Table& table, const SeenTable& seen) {
  const std::set<std::string> personal(table.personal.begin(), table.personal.end());
  std::vector<std::string> out;
  for (const auto& name : personal) {
    const auto column = std::ranges::find(seen.columns, name, &SeenColumn::name);
    // A column that is not there yet has no value; readiness says so.
    if (column != seen.columns.end() && !column->generated) out.push_back(has_value(*column));
  }
  return out;
}

}  // namespace

std::string law_of(const topology::Topology& topology, std::string_view region, const topology::Table& table,
                   const SeenTable& seen) {
  std::set<std::string> full, held;
  for (const auto& residency : topology.residencies) {
    const Form form = topology::form_at(topology, residency, region);
    if (form == Form::full) full.insert(residency.name);
    if (form != Form::none) held.insert(residency.name);
  }
  if (full.size() == topology.residencies.size()) return {};
  const auto residency = new_column(table.residency.str());
  std::string law = fmt::format("{0} IS NULL OR {0} <> ALL ({1})", residency, array_of(held));
  const auto values = personal_values(table, seen);
  if (held != full && !values.empty())
    law += fmt::format(" OR {} <> ALL ({}) AND ({})", residency, array_of(full), fmt::join(values, " OR "));
  if (held.empty()) return law;
  const auto label = fmt::format("domicile.guard_label({}::text, {}, '{}')", new_column(table.tenant.str()), residency,
                                 table.name.str());
  if (held.size() < topology.residencies.size())
    law += " OR " + label;
  else if (!values.empty())
    law += fmt::format(" OR ({}) AND {}", fmt::join(values, " OR "), label);
  return law;
}

}  // namespace domicile::desired
