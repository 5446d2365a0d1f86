// Reads a topology file and says everything that is wrong with it at once.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/result.hpp"
#include "core/topology/topology.hpp"

namespace domicile::topology {

struct Problem {
  std::string code;  // stable: DOM-E014; the list is codes.hpp
  std::string cause, fix;
  std::string file;
  int line = 0, column = 0;   // from 1; 0: the file as a whole
  std::string where() const;  // file:line:column
  bool operator==(const Problem&) const = default;
};

using Parsed = tl::expected<Topology, std::vector<Problem>>;

// `today` decides whether acceptances still hold. Without it none has expired: an agent that restarts must not stay
// down because a paper ran out overnight; `domicile check` is where that is found.
Parsed parse(std::string_view text, std::string_view file, std::optional<Date> today);

// The same for callers that only go on or give up: all problems in one Error.
Result<Topology> load(std::string_view text, std::string_view file, std::optional<Date> today = std::nullopt);

Error to_error(const std::vector<Problem>& problems);

}  // namespace domicile::topology
