#include "core/authority/quorum.hpp"

namespace domicile::authority {

std::optional<std::string> beat_text(const View& view, const std::string& region) {
  if (const auto beat = view.beats.find(region); beat != view.beats.end()) return beat->second.text;
  if (const auto raw = view.unreadable.find("domicile/beat/" + region); raw != view.unreadable.end())
    return raw->second.text;
  return {};
}

std::optional<Marker> told_marker(const View& view, const std::string& region, const std::string& residency) {
  const auto beat = view.beats.find(region);
  if (beat == view.beats.end()) return {};
  const auto marker = beat->second.value.markers.find(residency);
  if (marker == beat->second.value.markers.end()) return {};
  return marker->second;
}

}  // namespace domicile::authority
