#include "core/authority/carry.hpp"

namespace domicile::authority {

std::map<std::string, Marker> carried_markers(const std::map<std::string, Marker>& named, const View& view,
                                              const std::string& region) {
  std::map<std::string, Marker> carried;
  for (const auto& [residency, marker] : named) {
    const auto record = view.authorities.find(residency);
    if (record == view.authorities.end() || record->second.value.history.empty()) continue;
    const Opened& last = record->second.value.history.back();
    if (last.owner == region && last.epoch == marker.epoch) carried.emplace(residency, marker);
  }
  return carried;
}

}  // namespace domicile::authority
