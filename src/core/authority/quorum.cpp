#include "core/authority/quorum.hpp"

namespace domicile::authority {

std::optional<std::string> beat_text(const View& view, const std::string& region) {
  if (const auto beat = view.beats.find(region); beat != view.beats.end()) return beat->second.text;
  if (const auto raw = view.unreadable.find("domicile/beat/" + region); raw != view.unreadable.end())
    return raw->second.text;
  return {};
}

}  // namespace domicile::authority
