// A campaign: clients write and read, faults happen, everything is undone, and the history is judged.
#pragma once
#include "campaign/schedule.hpp"
#include "core/history/checks.hpp"
#include "drill/drills.hpp"

namespace domicile::campaign {

struct Settings {
  std::uint64_t seed = 1;
  Micros length = 60 * kSecond;
  double per_s = 40;                // operations, all clients together
  std::size_t clients = 12;         // threads
  fs::path history;                 // the file; replaced
  Micros patience = 180 * kSecond;  // until the regions are settled again
};

Ground ground_of(const topology::Topology& topology);

// On a running lab with instruments, whose topology maps the ledger's tables (examples/campaign). Where it records what
// crosses, personal values are searched for in the end. Where the regions do not settle, the verdict is of what clients
// saw alone, and does not hold. An error: it did not come to its end; what was recorded until then is in the file.
Result<history::Verdict> run(const drill::Field& field, const Settings& settings, const drill::Talk& talk);

}  // namespace domicile::campaign
