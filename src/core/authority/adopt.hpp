// A restored quorum is to be believed again, on a person's word: must it be, and for whom? Pure.
#pragma once
#include <vector>

#include "core/authority/precheck.hpp"

namespace domicile::authority {

// What one site's disk knows of the residency.
struct SiteKnows {
  Epoch epoch = 0;
  std::string owner;
};

struct AdoptQuestion {
  const Rules& rules;
  std::optional<Record> record;  // what the quorum holds; empty: nothing
  std::vector<SiteKnows> sites;  // those that answered, a majority
  std::string fresh_id;
};

// Whom a person wants as owner instead of the last one, with that region's copy as it is just now.
struct NamedOwner {
  std::string region;
  TargetCopy copy;
};

// Whose the highest epoch on the sites' disks is; the home where nobody ever owned it.
std::string last_owner(const AdoptQuestion& question);

// The record that takes the place of the quorum's, or nothing: the quorum is not behind and nobody was named.
// Errors, all `refused`: DOM-E202 (may not own it), DOM-E214 (somebody was named, but the quorum is not behind: to move
// a residency is a switch's work, which looks at copies and fences), DOM-E215 (the copy of the one who was named is
// none that could be served from; the last owner's needs no proof).
Result<std::optional<Record>> adopt(const AdoptQuestion& question, const std::optional<NamedOwner>& named);

}  // namespace domicile::authority
