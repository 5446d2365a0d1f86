// What a loss of a region came to, as a pure function of what the clients saw and of what could be read in the end. The
// same for every arm.
#pragma once
#include <optional>
#include <set>

#include "drill/measure.hpp"

namespace domicile::bench::peers {

struct History {
  std::vector<drill::Write> outside;  // of clients that can reach every region; the RTO is theirs
  std::vector<drill::Write> inside;   // of clients that a cut has locked in with the lost region
  std::vector<drill::Write> after;    // of clients that came when the fault had ended
  Micros fault = 0, struck = 0;       // wall clock: before it was done, and when it was
  // Ids that the new primary has in the very end, after the lost region has been brought back; empty: nobody to ask.
  std::optional<std::set<std::string>> readable;
  std::set<std::string> kept;  // ids that the lost region gives back of what the new primary never had
};

struct Findings {
  std::optional<Micros> rto;  // empty: service did not come back while clients wrote
  // From the fault to the new primary's first acknowledgement: earlier than the RTO, and less a matter of how busy the
  // machine is.
  std::optional<Micros> first;
  Micros rpo = 0;  // as drill::loss has it, over the clients outside and inside
  drill::Counts counts;
  std::vector<std::string> missing;  // acknowledged, and not at the new primary
  std::size_t kept = 0;              // of the missing
  std::vector<std::string> lost;     // of the missing: in neither
  // Acknowledged by the old primary after the new one had acknowledged its first write: missing ones only, since what
  // the new one has was acknowledged by itself or before it was one.
  std::size_t both_sides = 0;
  Micros overlap = 0;  // from the new primary's first acknowledgement to the last one of the old; 0: none
};

// The first acknowledgement of the new primary. A write that fell due once the fault was done and that a client outside
// got acknowledged can only be its own, as long as the new primary has it.
std::optional<Micros> opened(const History& history);

// Empty when nobody could be asked what there is.
std::optional<Findings> classify(const History& history);

}  // namespace domicile::bench::peers
