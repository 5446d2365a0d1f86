// The scratch lab's own topology: one residency more, which may lie in full everywhere, and its model may not. Its rows
// go there by the product's own ways, past every check: first rows, the gate's stream and a tenant's move all find them
// lawful, and only whoever searches by the other topology calls them a leak.
#pragma once
#include "base/file.hpp"
#include "core/topology/topology.hpp"

namespace domicile::prove {

inline constexpr const char* kWidened = "leak";

// What is leaked from where to where.
struct Breach {
  std::string residency;    // may not be held in full at `site`
  std::string owner, site;  // regions: the residency's home, and the side that must not have it
  std::string served;       // a residency whose home is `site`
};
// The first one there is. `refused` when no region both owns a residency and may not hold another one in full.
Result<Breach> breach_of(const topology::Topology& topology);

// Writes the topology of `file` to `folder`, with `kWidened` in it, and copies the SQL files beside it; the new file.
Result<fs::path> write_widened(const fs::path& file, const fs::path& folder);

}  // namespace domicile::prove
