// Markers: the owner's clock written into the stream of rows, so that lag is a difference on one clock.
#pragma once
#include <map>

#include "base/clock.hpp"
#include "engines/postgres/links/link.hpp"

namespace domicile::postgres::links {

using SequenceValues = std::map<std::string, std::int64_t>;  // by schema.name: last value handed out

// Sequences owned by columns of these tables, with their last values; one that was never used is left out.
Result<SequenceValues> sequence_values(const Sql& sql, const std::vector<MappedTable>& tables);

// Commits one marker of an owned residency, sequences included, and returns it once it is on the disk. `lsn` lies
// behind the marker's own commit. Every ~200 ms; the owner's beat names the last one. In an agent's session
// (open_session), whose commits wait for no standby: the loss of one would look like a dead database.
Result<Marker> commit_marker(const Sql& sql, const std::string& residency, Epoch epoch,
                             const SequenceValues& sequences);

struct AppliedMarker {
  Marker marker;
  SequenceValues sequences;
};
Result<std::optional<AppliedMarker>> applied_marker(const Sql& sql, const std::string& residency);

// What a receiver knows about its copy. Lag is a number only when all of it is good.
struct LagFacts {
  bool copy_complete = false, schema_agrees = false, enabled = false, resync = false;
  std::optional<Marker> committed;  // the owner's last one, as its last beat names it
  std::optional<Marker> applied;    // the last one here
};
struct Lag {
  std::optional<Micros> us;  // empty: unknown
  std::string why;           // unknown: the reason
};
// Pure. A marker of another epoch than the owner's last says nothing: unknown. A copy whose marker is ahead of the last
// beat has no lag: beats come once a second, markers five times.
Lag lag(const LagFacts& facts);

// How far a sequence is moved at takeover: beyond what the old owner can have used since the marker.
struct SequenceAdvance {
  double per_second = 0;       // observed rate between two markers
  Micros since_marker = 0;     // last marker applied to the latest end of the old owner's lease
  std::int64_t step = 10'000;  // at least this many
};
// Pure; in units of nextval calls, rounded up, rate doubled: a burst is seldom seen by the last two markers.
std::int64_t sequence_margin(const SequenceAdvance& advance);

// Sets each sequence here to (the marker's value or, if higher, its own) + margin × its increment. Never goes back;
// `switch_id` is journaled with it, so that a repeat of the same switch moves nothing.
Result<SequenceValues> advance_sequences(const Sql& sql, const LinkSpec& link, const std::string& switch_id,
                                         std::int64_t margin);

}  // namespace domicile::postgres::links
