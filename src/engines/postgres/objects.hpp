// Reads what stands beside the mapped tables: see core/desired/objects.hpp and value_logs.hpp.
#pragma once
#include "core/desired/seen.hpp"
#include "core/topology/topology.hpp"
#include "engines/postgres/connection.hpp"

namespace domicile::postgres {

// Fills `objects`, `settings` and what PUBLIC may read; `seen.tables` has to be there. Catalogs that everybody may
// read.
Result<void> read_objects(Connection& connection, const topology::Topology& topology, desired::Seen& seen);

}  // namespace domicile::postgres
