// Which faults a campaign does, and when: drawn from a seed before anything runs, so that a run can be told beforehand
// and done again. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace domicile::campaign {

enum class FaultKind {
  kill_site,       // SIGKILL to every process of a region; then it returns
  pause_site,      // SIGSTOP to every process; then it wakes up
  isolate,         // cut from all other sites; clients still reach it
  isolate_all,     // and they do not
  kill_program,    // SIGKILL to one program and its children; then it is started again
  pause_program,   // SIGSTOP
  agent_restart,   // the agent is killed and started at once
  etcd_loss,       // a member of the quorum is killed; then it returns
  cut,             // between two sites, both ways
  cut_one_way,     // from one site to the other
  flap,            // cut for half of each period
  slow,            // so many bytes a second
  full_disk,       // no file of the site grows
  clock_step,      // the wall clock of the site's programs jumps
  planned_switch,  // ordered while the other faults go on
};
std::string_view name_of(FaultKind kind);

struct Fault {
  Micros at = 0;      // since the clients began
  Micros length = 0;  // 0: it ends by itself
  FaultKind kind = FaultKind::kill_site;
  std::string site;         // planned_switch: the residency
  std::string other;        // the program, or the other site
  std::int64_t figure = 0;  // flap: period ms; slow: bytes a second; clock_step: microseconds
  bool operator==(const Fault&) const = default;
};
std::string text_of(const Fault& fault);  // without its times

struct Ground {
  std::vector<std::string> regions, sites;  // sites: voters too
  std::vector<std::string> residencies;     // that may be switched
};

// One every few seconds until `length`; all are over by then. What takes a whole region, or the quorum's member in it,
// does so one region after another, and a while after the last one has returned: else nobody would be served.
std::vector<Fault> draw_schedule(std::uint64_t seed, Micros length, const Ground& ground);
std::string table(const std::vector<Fault>& faults);  // a line for each

}  // namespace domicile::campaign
