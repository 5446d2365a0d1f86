#include "core/desired/value_logs.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace domicile::desired {
namespace {

using topology::Form;

// The value with which the setting writes no value of a row; empty: no such setting.
std::string_view silent(std::string_view name) {
  if (name == "log_error_verbosity") return "terse";  // DETAIL quotes rows and keys
  if (name == "log_min_error_statement") return "panic";
  if (name == "log_statement") return "none";
  if (name.starts_with("debug_print_")) return "off";
  if (name == "log_transaction_sample_rate" || name == "log_parameter_max_length_on_error") return "0";
  if (name == "log_min_duration_statement" || name == "log_min_duration_sample" ||
      name == "auto_explain.log_min_duration")
    return "-1";
  // log_parameter_max_length only widens what one of these logs; archive_mode is told by itself.
  return {};
}

bool tells(const SeenSetting& setting) {
  const auto quiet = silent(setting.name);
  if (quiet.empty() || setting.value == quiet) return false;
  return !(setting.name == "log_min_error_statement" && setting.value == "fatal");
}

std::string migration_of(const SeenSetting& setting) {
  if (setting.scope.empty()) return fmt::format("ALTER SYSTEM SET {} = '{}';", setting.name, silent(setting.name));
  return fmt::format("ALTER {} RESET {};", setting.scope, setting.name);
}

}  // namespace

std::vector<Finding> value_logs(const Context& context, const Seen& seen) {
  const auto& topology = context.topology;
  if (std::all_of(topology.tables.begin(), topology.tables.end(),
                  [](const auto& table) { return table.personal.empty(); }))
    return {};
  // A log of this region may hold what another one may not: residencies that are full here and less elsewhere.
  std::vector<std::string> bound;
  std::set<std::string> lawful;  // jurisdictions that hold all of those in full
  for (const auto& region : topology.regions) lawful.insert(region.jurisdiction.str());
  for (const auto& residency : topology.residencies) {
    if (topology::form_at(topology, residency, context.region) != Form::full) continue;
    std::set<std::string> less;
    for (const auto& region : topology.regions)
      if (topology::form_in(residency, region.jurisdiction) != Form::full) less.insert(region.jurisdiction.str());
    if (less.empty()) continue;
    bound.push_back(residency.name.str());
    for (const auto& jurisdiction : less) lawful.erase(jurisdiction);
  }
  if (bound.empty()) return {};
  const auto where =
      fmt::format("personal columns of {} may be kept in {} only", fmt::join(bound, ", "), fmt::join(lawful, ", "));
  std::vector<Finding> out;
  std::vector<std::string> loud, migration;
  for (const auto& setting : seen.settings) {
    if (setting.name == "archive_mode" && setting.value != "off")
      out.push_back({"DOM-P081", false, "archive_mode",
                     fmt::format("the archive of the WAL holds every column: {}", where), "",
                     "archive and base backups belong to a place of that law"});
    if (!tells(setting)) continue;
    loud.push_back(fmt::format("{} = {}{}", setting.name, setting.value,
                               setting.scope.empty() ? "" : fmt::format(" ({})", setting.scope)));
    migration.push_back(migration_of(setting));
  }
  if (!loud.empty())
    out.push_back(
        {"DOM-P080", false, "log",
         fmt::format("{}: values of rows can stand in the server's log, and {}", fmt::join(loud, ", "), where),
         fmt::format("{}", fmt::join(migration, "\n")),
         "then SELECT pg_reload_conf(); or make sure that this log is sent nowhere else"});
  return out;
}

}  // namespace domicile::desired
