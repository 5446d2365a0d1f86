// Reads a drill's file and says everything that is wrong with it at once, in the manner of the topology's parser.
#pragma once
#include "core/drills/plan.hpp"
#include "core/topology/parse.hpp"

namespace domicile::drills {

using Parsed = tl::expected<Plan, std::vector<topology::Problem>>;
Parsed parse(std::string_view text, std::string_view file);
// The same for callers that only go on or give up.
Result<Plan> load(std::string_view text, std::string_view file);

}  // namespace domicile::drills
