// What an owner's commits wait for in a residency with rpo 0: pure, for one residency and one look.
//
// The order in which record and database change is what makes rpo 0 true. The database waits for a standby before the
// record names it (proven), and goes on waiting for as long as the record does (wait_for holds whom it names): so
// whoever reads there that he has everything has everything. A word that was said ends with its epoch only, and not
// before a majority of the sites keeps the next one: a quorum that is restored to a moment before says it again.
#pragma once
#include <set>

#include "core/authority/decision.hpp"

namespace domicile::authority {

struct StandbyQuestion {
  const Rules& rules;
  std::string region;
  const std::optional<Record>& record;
  std::set<std::string> live;  // regions whose link has confirmed something a moment ago
  bool covering_gone = false;  // the one that the record names has not, for longer than it may
};

struct StandbyPlan {
  bool waits = false;                 // commits of this residency wait
  std::vector<std::string> wait_for;  // for all of these
  std::string why;                    // one sentence, for people; empty: not with this residency or not here
  bool operator==(const StandbyPlan&) const = default;
};

StandbyPlan plan_standby(const StandbyQuestion& question);

// The standby for which an owner's commits wait by the record, whatever the database shows; empty: none.
std::string named_standby(const Record& record);

}  // namespace domicile::authority
