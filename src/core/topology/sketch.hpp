// A topology that is not allowed to be used, and yet says enough to show what it would survive.
#pragma once
#include <optional>

#include "core/topology/parse.hpp"

namespace domicile::topology {

// The topology of a text that parses, whatever the rules say about it; empty where a problem leaves open who may own
// what: of such a file nothing can be foretold. For showing only: whatever acts on a topology takes parse() or load().
std::optional<Topology> sketch(std::string_view text, const std::vector<Problem>& problems);

}  // namespace domicile::topology
