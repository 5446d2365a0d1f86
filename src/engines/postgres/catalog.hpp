// Reads what a database looks like, as the value that plans are made from.
#pragma once
#include "core/desired/seen.hpp"
#include "core/topology/topology.hpp"
#include "engines/postgres/connection.hpp"

namespace domicile::postgres {

// In one read-only snapshot. Only reads catalogs and our own schema.
Result<desired::Seen> observe(Connection& connection, const topology::Topology& topology);
// The same within a transaction that the caller has begun.
Result<desired::Seen> observe_inside(Connection& connection, const topology::Topology& topology);

}  // namespace domicile::postgres
