// The rules that hold between the parts of a topology, each with the place in the file that breaks it.
#pragma once
#include "core/topology/reader.hpp"

namespace domicile::topology {

// `topology` holds what could be read; what could not has its problem already.
void check_rules(const Topology& topology, const yaml::Node& root, std::optional<Date> today, Reader& reader);

}  // namespace domicile::topology
