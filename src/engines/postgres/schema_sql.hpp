// The schema `domicile` itself: tables, functions for the agent's role, and how to take all of it away again.
#pragma once
#include <string>

namespace domicile::postgres {

// Idempotent; run by a superuser in one transaction.
const std::string& schema_sql();
// The part of it that links read and write, for who needs only that.
const std::string& link_tables_sql();
// The part that salvage is kept in.
const std::string& salvage_tables_sql();
// What the role domicile_agent may do in the schema: each table and function by name. The guard grants its own.
const std::string& agent_rights_sql();

}  // namespace domicile::postgres
