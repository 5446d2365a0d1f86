#include "engines/postgres/links/order.hpp"

#include <algorithm>

namespace domicile::postgres::links {

Result<std::vector<std::size_t>> parents_first(const Sql& sql, const std::vector<std::string>& tables) {
  const auto references = TRY(sql.query(
      "SELECT cn.nspname || '.' || c.relname, pn.nspname || '.' || p.relname FROM pg_catalog.pg_constraint k "
      "JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace "
      "JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace "
      "WHERE k.contype = 'f' AND k.conrelid <> k.confrelid"));
  std::vector<std::size_t> left, sorted;
  for (std::size_t i = 0; i < tables.size(); ++i) left.push_back(i);
  const auto waits = [&](std::size_t table) {
    return std::ranges::any_of(references, [&](const Row& reference) {
      return *reference[0] == tables[table] &&
             std::ranges::any_of(left, [&](std::size_t other) { return tables[other] == *reference[1]; });
    });
  };
  while (!left.empty()) {
    auto next = std::ranges::find_if_not(left, waits);
    if (next == left.end()) next = left.begin();
    sorted.push_back(*next);
    left.erase(next);
  }
  return sorted;
}

}  // namespace domicile::postgres::links
