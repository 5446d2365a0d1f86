// How many rows of a tenant lie in one database, wherever they stand: what a move has brought or not deleted yet, and
// what was salvaged. Counts alone.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "core/topology/topology.hpp"
#include "engines/postgres/connection.hpp"

namespace domicile::postgres {

struct TenantPlaces {
  std::map<std::string, std::int64_t> rows;     // of all mapped tables, by residency
  std::map<std::string, std::int64_t> salvage;  // decided about or not: all of it lies there; by residency
  std::int64_t unnamed = 0;                     // salvaged rows that name no tenant: removed, and their key has none
};

// As of one moment. Reads whole tables where no index begins with the tenant, hence `deadline` (CLOCK_MONOTONIC).
Result<TenantPlaces> places_of(Connection& connection, const topology::Topology& topology, const std::string& tenant,
                               Micros deadline);

}  // namespace domicile::postgres
