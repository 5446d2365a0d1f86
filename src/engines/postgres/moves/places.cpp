#include "engines/postgres/moves/places.hpp"

namespace domicile::postgres {
namespace {

// False: this region holds nothing, and has no such table.
Result<bool> exists(Connection& connection, const std::string& name, Micros deadline) {
  const auto rows =
      TRY(connection.exec_params("SELECT pg_catalog.to_regclass($1::text) IS NOT NULL", {Param(name)}, deadline));
  return rows.truth(0, 0);
}

void add(std::map<std::string, std::int64_t>& counts, const Rows& rows) {
  for (int i = 0; i < rows.size(); ++i) counts[rows.text(i, 0)] += rows.integer_or(i, 1, 0);
}

// A row that was written whole, or its key, names the tenant; nothing else that is kept does.
Result<void> count_salvage(Connection& connection, const topology::Table& table, const std::string& tenant,
                           Micros deadline, TenantPlaces& places) {
  const std::string named = "COALESCE(row ->> $2::text, key ->> $2::text)";
  add(places.salvage, TRY(connection.exec_params(
                          "SELECT residency, pg_catalog.count(*) FROM domicile.salvage WHERE table_name = $1 AND " +
                              named + " = $3 GROUP BY residency",
                          {table.qualified(), table.tenant.str(), tenant}, deadline)));
  const auto unnamed = TRY(connection.exec_params(
      "SELECT pg_catalog.count(*) FROM domicile.salvage WHERE table_name = $1 AND " + named + " IS NULL",
      {table.qualified(), table.tenant.str()}, deadline));
  places.unnamed += unnamed.integer_or(0, 0, 0);
  return {};
}

}  // namespace

Result<TenantPlaces> places_of(Connection& connection, const topology::Topology& topology, const std::string& tenant,
                               Micros deadline) {
  TenantPlaces places;
  auto transaction = TRY(Transaction::begin(connection, "ISOLATION LEVEL REPEATABLE READ, READ ONLY"));
  for (const auto& table : topology.tables) {
    CHECK_OK(count_salvage(connection, table, tenant, deadline, places));
    const std::string name = connection.quoted(table.schema.str()) + "." + connection.quoted(table.name.str());
    if (!TRY(exists(connection, name, deadline))) continue;
    add(places.rows,
        TRY(connection.exec_params(
            fmt::format("SELECT {0}, pg_catalog.count(*) FROM {1} WHERE {2}::text = $1 GROUP BY {0}",
                        connection.quoted(table.residency.str()), name, connection.quoted(table.tenant.str())),
            {Param(tenant)}, deadline)));
  }
  CHECK_OK(transaction.commit());
  return places;
}

}  // namespace domicile::postgres
