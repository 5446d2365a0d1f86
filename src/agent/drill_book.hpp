// When which drill was held last, as whoever runs drills tells this agent: DIR/drills.json.
#pragma once
#include <map>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/json.hpp"

namespace domicile::agent {

struct DrillRecord {
  std::size_t every_days = 0;  // how old its last success may be; 0: nobody said
  Micros at = 0, held_at = 0;  // wall clock: last tried, last held; 0: never
  std::string broken;          // of the last try: what did not hold first; empty: it held
  std::string report;          // SHA-256 of its raw log
  bool operator==(const DrillRecord&) const = default;
};
using DrillBook = std::map<std::string, DrillRecord>;

// POST /v1/drills: {"schedule": {DRILL: days}, "result"?: {"drill","at_us","held","broken"?,"report"?}}. What the
// schedule does not name any more is forgotten.
struct DrillNews {
  std::map<std::string, std::size_t> schedule;
  std::string drill;  // empty: no result
  DrillRecord result;
};
Result<DrillNews> drill_body(std::string_view text);
DrillBook told(DrillBook book, const DrillNews& news);

Result<DrillBook> read_drills(const fs::path& directory);  // empty where nobody told anything
// `conflict`: another call is at it.
Result<void> keep_drills(const fs::path& directory, const DrillNews& news);

// [{drill, every_days, at, held_at, broken, report, late}] for the status; `late`: it should have been held since.
Json json_of(const DrillBook& book, Micros now);

}  // namespace domicile::agent
