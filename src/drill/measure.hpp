// What a drill's figures mean, as pure functions of what the clients saw.
#pragma once
#include <optional>
#include <set>
#include <span>

#include "drill/write.hpp"

namespace domicile::drill {

inline constexpr Micros kPromptly = kSecond;      // a write is served in time when acknowledged within this
inline constexpr Micros kWindow = kSecond;        // "a second" of the RTO
inline constexpr Micros kSteadily = 3 * kSecond;  // service is back only when it stays back for this long
inline constexpr double kServed = 0.99;           // share of the offered writes

// From the fault to the start of the first second in which at least 99 % of the offered writes were acknowledged, each
// within a second of falling due, and which begins three such seconds in a row. A write that waited through the outage
// does not count as served, although it was acknowledged in the end. Seconds may begin at the fault or whenever a write
// fell due. Empty: service did not come back within the writes that are given. Zero: it never left.
std::optional<Micros> rto(std::span<const Write> writes, Micros fault);

struct Loss {
  std::vector<std::string> missing;  // acknowledged and not readable, by time
  std::size_t readable = 0;          // acknowledged and readable
  Micros rpo = 0;
};
// `readable`: every marker that the new owner has. RPO: from the first acknowledgement that is missing to the fault, or
// to the last missing one where an old owner went on after it; 0 when none is missing. `fault` may be 0 (a planned
// switch).
Loss loss(std::span<const Write> writes, const std::set<std::string>& readable, Micros fault);

// The waiting, from their intended time, of acknowledged and refused writes that fell due in [hold, release].
std::vector<Micros> waits(std::span<const Write> writes, Micros hold, Micros release);

// The nearest-rank percentile, 0 < share <= 1; empty for no values.
std::optional<Micros> percentile(std::vector<Micros> values, double share);

struct Counts {
  std::size_t offered = 0, acknowledged = 0, refused = 0, unknown = 0;
};
Counts count(std::span<const Write> writes);

}  // namespace domicile::drill
