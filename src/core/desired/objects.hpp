// What a database has beside the mapped tables and could carry tenants' rows past them: found by name, and refused
// unless the topology accepts it in writing. What can only be misused by somebody who may read the tables anyway is a
// warning.
#pragma once
#include <array>
#include <string_view>
#include <vector>

#include "core/desired/readiness.hpp"

namespace domicile::desired {

// Names of columns that make an unmapped table one of tenants' rows: those that mapped tables use for tenant and
// residency; where nothing is mapped, the defaults of the topology's keys. Sorted.
std::vector<std::string> carrier_columns(const topology::Topology& topology);

// Extensions whose functions open connections to elsewhere, for whoever may call them.
inline constexpr std::array<std::string_view, 7> kReachingExtensions{"aws_lambda", "aws_s3",    "dblink", "http",
                                                                     "pg_net",     "pglogical", "plsh"};

std::vector<Finding> objects(const Context& context, const Seen& seen);

}  // namespace domicile::desired
