// The write guard's SQL: what installs and removes it, for both forms. Each function returns statements for one
// multi-statement execution (PQexec) by a superuser, or for the portable form by the database's owner; wrap them in a
// transaction. All of them may be repeated. The contract of the functions they create is in docs/guard.md.
#pragma once
#include <string>
#include <string_view>

#include "core/desired/law.hpp"

namespace domicile {

enum class GuardForm { c, portable };

inline constexpr std::string_view kGuardSchema = "domicile";

// `library_path` is the absolute path of domicile_guard.so; unused by the portable form. The C form needs the same path
// in shared_preload_libraries and works in the schema `domicile` only.
std::string install_sql(GuardForm form, std::string_view library_path, std::string_view schema = kGuardSchema);
// Removes triggers, functions and settings of either form and restores the privileges that were found. The directory
// (tenant, host) and its rows stay; drop_directory_sql removes them too.
std::string uninstall_sql(std::string_view schema = kGuardSchema);
std::string drop_directory_sql(std::string_view schema = kGuardSchema);
// Guards one table with everything below it, present and future. `table` as SQL writes it: app.orders, "odd Name".
std::string install_table_sql(std::string_view table, std::string_view tenant_column, std::string_view residency_column,
                              std::string_view schema = kGuardSchema);
// Holds a guarded table, with everything below it, to the law; one with an empty condition takes it off.
std::string law_table_sql(std::string_view table, const desired::Law& law, std::string_view schema = kGuardSchema);
std::string uninstall_table_sql(std::string_view table, std::string_view schema = kGuardSchema);
// Lets the agent's role call what an agent calls, and nobody else.
std::string grant_agent_sql(std::string_view role, std::string_view schema = kGuardSchema);

}  // namespace domicile
