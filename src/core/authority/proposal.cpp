#include "core/authority/proposal.hpp"

namespace domicile::authority {

bool lapsed(const Proposal& proposal, const View& view) {
  const auto record = view.authorities.find(proposal.residency);
  if (record == view.authorities.end() || record->second.text != proposal.record) return true;
  if (proposal.lost.empty()) return false;
  const auto beat = view.beats.find(proposal.lost);
  const auto now = beat == view.beats.end() ? std::nullopt : std::optional(beat->second.text);
  return now != proposal.beat;
}

}  // namespace domicile::authority
