// Where the writer of a gateway's snapshots goes on after a restart.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "core/snapshot/compile.hpp"

namespace domicile::edge {

struct Generations {
  std::uint64_t authority = 0, tenants = 0;
};

// What the files in `directory` say of themselves; 0 and empty where one is missing or flawed.
struct Written : Generations {
  std::string policy_hash;  // of authority.snap, as far as it has room for it
};
Written written_in(const std::string& directory);

// The highest ones that `directory` and the workers that live there know: of the files, and of what was obeyed. A file
// that is missing or flawed tells nothing; then nobody can have read a higher one from it than its workers say.
// A clock would not do: set back, it would give lower ones, and a drain would be taken for obeyed that nobody has seen.
Generations highest_generations(const std::string& directory);

// What the last writer told the gateway; empty when no whole file is there.
std::optional<snapshot::AuthoritySnapshot> last_authority(const std::string& directory);

}  // namespace domicile::edge
