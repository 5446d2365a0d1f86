// What a drill has to show: one object per drill, its bars, and a short table for people.
#pragma once
#include <map>
#include <optional>
#include <set>

#include "base/json.hpp"
#include "core/drills/plan.hpp"
#include "drill/measure.hpp"

namespace domicile::drill {

struct Phase {
  std::string name;
  Micros length = 0;
};

// An event of an agent, as GET /v1/events gives it. All agents of a lab share one wall clock.
struct Event {
  Micros at = 0;
  std::string name, residency, switch_id;
};
Result<std::vector<Event>> events_of(const Json& list);

// A switch as its events tell it: `begin` is when it was ordered, or the fault that it answers.
struct Story {
  Micros hold = 0, release = 0;  // 0: the events do not tell
  std::vector<Phase> phases;     // adjoining, from `begin` on
};
Story story_of(std::vector<Event> events, const std::string& residency, const std::string& switch_id, Micros begin);

// What one run gathered. All instants are wall clock; 0: it did not come to that.
struct RunResult {
  std::vector<Write> writes;                      // of clients outside, who can reach any gateway
  std::vector<Write> inside;                      // of clients that a cut has locked in with the lost region
  std::optional<std::set<std::string>> readable;  // every marker that the new owner has; empty: nobody to ask
  Micros fault = 0;                               // the first one; 0: none
  // Ids of the rows that the lost region has kept as salvage after its return; empty: it did not come back.
  std::optional<std::set<std::string>> salvaged;
  std::string trouble;  // why the run came to no end; empty: it did
  Micros begin = 0;     // of the switch: when it was ordered, or the fault that it answers
  std::string switch_id;
  std::vector<Event> events;              // of the agents, about the residency
  Micros undone = 0, followed = 0;        // the end of the faults, and when every copy followed its owner again
  std::string owner_before, owner_after;  // of the residency; empty: nobody could be asked

  // What follows from the rest: see derive().
  std::optional<Micros> returned = {};  // from the end of the fault until every copy there follows its owner again
  std::optional<Micros> halted = {};    // from the fault to the last write that was acknowledged before its end
  Story story = {};
};
// Computes the rest from what was gathered.
void derive(RunResult& run, const std::string& residency);

struct Subject {
  std::string drill;  // planned-switch, region-loss
  std::string kind;   // kill, pause, cut; there, back; may be empty
  std::string residency;
  std::size_t clients = 0;
  double per_s = 0;
  drills::Hold hold = {};  // what must hold, without kTtl
  bool fault = false;      // the drill sets one
};

struct Report {
  Subject subject;
  std::size_t runs = 0;
  Counts counts;
  // Empty when a run had no owner to ask in the end: then nobody knows what is missing.
  std::optional<std::size_t> readable = 0;
  std::optional<std::vector<std::string>> missing = std::vector<std::string>{};
  // Of the missing: found again in salvage, and in neither. Empty where nobody came back to be asked.
  std::optional<std::size_t> salvaged;
  std::optional<std::vector<std::string>> lost;
  std::size_t invented = 0;  // salvaged rows that no client ever wrote
  std::optional<Micros> return_p50, pause_p50, pause_p99, pause_max, rto_p50, rto_p99, rpo_max, halt_max;
  std::vector<Phase> phases;        // medians over the runs
  std::vector<std::string> broken;  // what did not hold, in words; empty: everything held
  bool held() const { return broken.empty(); }
};

// By what the subject's file demands; and always: the run came to its end, something was acknowledged, somebody could
// be asked what is missing, and the salvage holds nothing that nobody wrote.
Report judge(const Subject& subject, const std::vector<RunResult>& runs);

Json json_of(const drills::Hold& hold);
Json json_of(const Report& report);
Json json_of(const std::vector<Report>& reports);  // {"drills": [...]}
// For people: figures, verdicts and a bar per phase, for a terminal of 80 columns.
std::string table(const std::vector<Report>& reports, bool colour);
// A bar of `cells` character cells for value / whole, in eighths of a cell.
std::string bar(double value, double whole, int cells);

}  // namespace domicile::drill
