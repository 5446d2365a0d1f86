// The agent's side of the gateway's directory: puts snapshots there.
#pragma once
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace domicile::edge {

// Renames a whole file into place. Not fsynced, for speed (base's write_file costs 1-20 ms): after a crash of the host
// the agent writes it anew, no lease outlives a boot, and a torn file is refused by its checksum.
Result<void> publish(const std::string& path, std::string_view content);

}  // namespace domicile::edge
