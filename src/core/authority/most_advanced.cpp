#include "core/authority/most_advanced.hpp"

#include <algorithm>

namespace domicile::authority {

bool most_advanced(const Rules& rules, const std::string& region, const Copy& copy,
                   const std::optional<Position>& position, const std::vector<StandbySays>& others) {
  if (!position) return false;
  const auto order = [&](const std::string& standby) {
    return std::ranges::find(rules.standbys, standby) - rules.standbys.begin();
  };
  return std::ranges::none_of(others, [&](const StandbySays& other) {
    if (!other.candidate || other.source != copy.source || other.epoch != copy.epoch) return false;
    if (!other.position || !other.position->comparable_with(*position)) return true;
    if (other.position->lsn == position->lsn) return order(other.region) < order(region);
    return other.position->lsn > position->lsn;
  });
}

}  // namespace domicile::authority
