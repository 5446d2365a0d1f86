// Every place in the world that holds a byte of a tenant, and in which form. Pure.
#pragma once
#include <string>

#include "cli/observed.hpp"
#include "core/topology/topology.hpp"

namespace domicile::cli {

// `observed`: see observe(). Sites in the topology's order: regions, then voters.
Branch places_of(const topology::Topology& topology, const std::string& tenant, const std::string& residency,
                 const Json& observed);
// Of what was seen alone: who feeds whom, in which form; a site that was not seen stands alone.
std::string places_mermaid(const topology::Topology& topology, const std::string& tenant, const std::string& residency,
                           const Json& observed);

}  // namespace domicile::cli
