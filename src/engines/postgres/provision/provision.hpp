// Makes one region's database ready for an agent, with the real guard: schema, roles, publications and the guard of
// every mapped table, in one call. What agents do themselves (slots, subscriptions, first rows) is left to them.
#pragma once
#include <string>
#include <vector>

#include "engines/postgres/apply.hpp"
#include "engines/postgres/guard/guard_sql.hpp"

namespace domicile::postgres {

// `library`: absolute path of domicile_guard.so on the database's host; unused by the portable form.
GuardSql guard_of(GuardForm form, const std::string& library);
// `refused` (DOM-P070) when the server has not loaded the C form's library, or another form is installed (DOM-P071).
Result<void> check_guard(Connection& connection, const desired::Seen& seen, GuardForm form);

struct Summary {
  std::string region;
  std::vector<std::string> done;           // sentences of the steps that this call did; empty: it was so already
  std::vector<std::string> left_to_agent;  // sentences
  std::vector<desired::Finding> warnings;
};

// `admin`: conninfo of a superuser at the database. Idempotent. `refused` names the first thing that the schema lacks.
Result<Summary> apply_region(const std::string& admin, const topology::Topology& topology, const std::string& region,
                             const residency::Owners& owners, GuardForm form, const std::string& guard_library,
                             bool observe = false);

// Owners before any agent has spoken: each residency's home.
residency::Owners homes_of(const topology::Topology& topology);

}  // namespace domicile::postgres
