// What a drill saw, line by line, so that anybody can compute its figures again.
//
//   domicile-drill-log 1
//   subject {"drill","kind","residency","clients","per_s","must_hold",…}
//   run {"fault","begin","undone","followed","switch","owner_before","owner_after","readable","salvaged","trouble"}
//   write|inside ID CLIENT INTENDED DONE OUTCOME STATUS TRIES      as in write.hpp; inside: of clients that were cut
//   off readable ID    salvaged ID    event AT NAME RESIDENCY SWITCH   "-": empty
//
// Instants are microseconds of the wall clock. The lines after a `run` belong to it.
#pragma once
#include "drill/report.hpp"

namespace domicile::drill {

struct RawLog {
  Subject subject;
  std::vector<RunResult> runs;
};

std::string raw_log(const Subject& subject, const std::vector<RunResult>& runs);
// Strict; `corrupt` names the line. What follows from the rest is derived.
Result<RawLog> raw_log_of(const std::string& text);

// What a report says and its raw log does not, in words; empty: they agree. `report`: one object of "drills".
std::vector<std::string> disagreements(const Json& report, const RawLog& log);

}  // namespace domicile::drill
