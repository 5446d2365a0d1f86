// The schema `domicile` itself: tables, functions for the agent's role, and how to take all of it away again.
#pragma once
#include <string>

namespace domicile::postgres {

// Idempotent; run by a superuser in one transaction.
const std::string& schema_sql();

}  // namespace domicile::postgres
