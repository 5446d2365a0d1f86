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

// Of the region.
struct Residencies {
  std::set<std::string> full, held;
};

// One that is the same for every row: what the apply worker fills in.
bool has_default(const SeenColumn& column) { return !column.otherwise.empty() && column.steady; }

// Compared as text: not every type has an operator for it (json). A default that is not the same for every row cannot
// be compared, and readiness refuses it.
std::string has_value(const SeenColumn& column) {
  const auto value = new_column(column.name);
  if (!has_default(column)) return value + " IS NOT NULL";
  return fmt::format("{0} IS NOT NULL AND ({0})::text IS DISTINCT FROM (({1})::{2})::text", value, column.otherwise,
                     column.type);
}

// In the order of their names. A column that is not there yet has no value; readiness says so.
std::vector<const SeenColumn*> personal_columns(const topology::Table& table, const SeenTable& seen) {
  const std::set<std::string> personal(table.personal.begin(), table.personal.end());
  std::vector<const SeenColumn*> out;
  for (const auto& name : personal) {
    const auto column = std::ranges::find(seen.columns, name, &SeenColumn::name);
    if (column != seen.columns.end() && !column->generated) out.push_back(&*column);
  }
  return out;
}

std::string condition_of(const topology::Topology& topology, const topology::Table& table, const Residencies& may,
                         const std::vector<const SeenColumn*>& personal) {
  const auto residency = new_column(table.residency.str());
  std::string law = fmt::format("{0} IS NULL OR {0} <> ALL ({1})", residency, array_of(may.held));
  std::vector<std::string> values;
  for (const auto* column : personal) values.push_back(has_value(*column));
  if (may.held != may.full && !values.empty())
    law += fmt::format(" OR {} <> ALL ({}) AND ({})", residency, array_of(may.full), fmt::join(values, " OR "));
  if (may.held.empty()) return law;
  const auto label = fmt::format("domicile.guard_label({}::text, {}, '{}')", new_column(table.tenant.str()), residency,
                                 table.name.str());
  if (may.held.size() < topology.residencies.size())
    law += " OR " + label;
  else if (!values.empty())
    law += fmt::format(" OR ({}) AND {}", fmt::join(values, " OR "), label);
  return law;
}

std::vector<std::string> arguments_of(const topology::Table& table, const Residencies& may,
                                      const std::vector<const SeenColumn*>& personal) {
  std::vector<std::string> out{table.tenant.str(), table.residency.str(), fmt::format("{}", fmt::join(may.held, " ")),
                               fmt::format("{}", fmt::join(may.full, " "))};
  for (const auto* column : personal) {
    if (has_default(*column)) return {};
    if (may.held != may.full) out.push_back(column->name);
  }
  return out;
}

}  // namespace

Law law_of(const topology::Topology& topology, std::string_view region, const topology::Table& table,
           const SeenTable& seen) {
  Residencies may;
  for (const auto& residency : topology.residencies) {
    const Form form = topology::form_at(topology, residency, region);
    if (form == Form::full) may.full.insert(residency.name);
    if (form != Form::none) may.held.insert(residency.name);
  }
  if (may.full.size() == topology.residencies.size()) return {};
  const auto personal = personal_columns(table, seen);
  return {condition_of(topology, table, may, personal), arguments_of(table, may, personal)};
}

}  // namespace domicile::desired
