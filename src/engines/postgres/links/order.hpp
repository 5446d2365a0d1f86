// In which order tables are filled.
#pragma once
#include "engines/postgres/links/sql.hpp"

namespace domicile::postgres::links {

// The places of `tables` (schema.table), parents before the tables that reference them. Tables of a cycle keep their
// order.
Result<std::vector<std::size_t>> parents_first(const Sql& sql, const std::vector<std::string>& tables);

}  // namespace domicile::postgres::links
