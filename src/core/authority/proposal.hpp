// What a person is asked to say yes to: one loss of a residency, and how long that yes lasts. Pure.
#pragma once
#include <optional>
#include <string>

#include "core/authority/quorum.hpp"

namespace domicile::authority {

// Bound to exactly what was seen: a yes to this loss must not open the door to a later one, at any lag.
struct Proposal {
  std::string id;  // <residency>-<epoch that it would open>; empty: none
  std::string residency;
  std::string record;               // text of the record that it would replace
  std::string lost = {};            // the region whose life is over; empty: the record alone decides
  std::optional<std::string> beat;  // its last beat's text; empty: it has none
  bool operator==(const Proposal&) const = default;
};

// Is it over? The lost region has beaten again, or the record is another one. `view`: read after the proposal was made.
bool lapsed(const Proposal& proposal, const View& view);

}  // namespace domicile::authority
