#include "engines/postgres/provision/provision.hpp"

namespace domicile::postgres {

GuardSql guard_of(GuardForm form, const std::string& library) {
  return {form == GuardForm::c ? "c" : "portable", install_sql(form, library) + grant_agent_sql(desired::kAgentRole),
          [](const std::string& schema, const std::string& table, const topology::Table& mapped) {
            return install_table_sql(Connection::quote_identifier(schema) + "." + Connection::quote_identifier(table),
                                     mapped.tenant.str(), mapped.residency.str());
          },
          [](const std::string& schema, const std::string& table, const desired::Law& law) {
            return law_table_sql(Connection::quote_identifier(schema) + "." + Connection::quote_identifier(table), law);
          },
          uninstall_sql()};
}

Result<void> check_guard(Connection& connection, const desired::Seen& seen, GuardForm form) {
  const std::string wanted = form == GuardForm::c ? "c" : "portable";
  if (!seen.guard_form.empty() && seen.guard_form != wanted)
    return fail(Kind::refused,
                fmt::format("the guard is installed in its form '{}', not '{}'", seen.guard_form, wanted),
                "name that form, or `domicile remove` first", "DOM-P071");
  if (form == GuardForm::portable && seen.server.max_prepared_transactions > 0)
    return fail(Kind::refused, "prepared transactions are possible: the portable guard opens no residency",
                "max_prepared_transactions = 0 and restart PostgreSQL, or take the C guard", "DOM-P005");
  if (form != GuardForm::c) return {};
  const auto loaded = TRY(connection.exec("SELECT pg_catalog.current_setting('shared_preload_libraries')"));
  if (loaded.at(0, 0).find("domicile_guard") == std::string_view::npos)
    return fail(Kind::refused, "PostgreSQL has not loaded the guard's library",
                "put the path of domicile_guard.so into shared_preload_libraries and restart PostgreSQL, or take the "
                "portable guard",
                "DOM-P070");
  return {};
}

Result<Summary> apply_region(const std::string& admin, const topology::Topology& topology, const std::string& region,
                             const residency::Owners& owners, GuardForm form, const std::string& guard_library,
                             bool observe) {
  OpenOptions options;
  options.application_name = "domicile apply";
  auto connection = TRY(Connection::open(admin, options));
  const desired::Context context{topology, region, owners, {}, observe, true};
  const auto examined = TRY(examine(connection, context));
  CHECK_OK(check_guard(connection, examined.seen, form));
  Summary summary{region, {}, {}, {}};
  CHECK_OK(apply(connection, context, examined.plan, guard_of(form, guard_library),
                 [&](const desired::Step& step) { summary.done.push_back(step.sentence); }));
  for (const auto& step : examined.plan.steps)
    if (desired::by_agent(step.act)) summary.left_to_agent.push_back(step.sentence);
  for (const auto& finding : examined.findings)
    if (!finding.refuses) summary.warnings.push_back(finding);
  return summary;
}

residency::Owners homes_of(const topology::Topology& topology) {
  residency::Owners owners;
  for (const auto& residency : topology.residencies) owners[residency.name.str()] = residency.home.str();
  return owners;
}

}  // namespace domicile::postgres
