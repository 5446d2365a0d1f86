// Of several standbys the most advanced one takes over first. Pure.
#pragma once
#include <vector>

#include "core/authority/copy.hpp"
#include "core/authority/decision.hpp"

namespace domicile::authority {

// What another standby said about its copy.
struct StandbySays {
  std::string region;
  bool candidate = false;  // complete, without trouble, no resync
  std::string source;      // whose history its copy is of, and which epoch
  Epoch epoch = 0;
  std::optional<Position> position;
};

// Is the copy at `region` known to be at least as far as that of every candidate that answered? Equal ones: in the
// order of the topology. A position that is unknown or cannot be compared is never taken for the further one, so that
// of two that know nothing of each other neither hurries; decide() lets both have their turn a little later.
bool most_advanced(const Rules& rules, const std::string& region, const Copy& copy,
                   const std::optional<Position>& position, const std::vector<StandbySays>& others);

}  // namespace domicile::authority
