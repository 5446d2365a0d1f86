// A proof of residency: canaries are planted where they are lawful, attempts are made from inside the region that may
// not have them, and then every byte that it holds is searched.
#pragma once
#include "drill/drills.hpp"
#include "prove/report.hpp"

namespace domicile::prove {

struct Settings {
  std::string residency;  // empty: the first one that some region may not hold in full
  std::string from;       // that region; empty: the first of them
  Choice choice;
  fs::path topology_file;  // the lab's
  fs::path program;        // the domicile binary, for the attempts inside the region
};

// What there is to say before anything is done: of what it is a proof, and what it leaves out.
Result<Report> begin_report(const topology::Topology& topology, const Settings& settings);

// A running lab that records; `unavailable` when it does not. What goes wrong afterwards is the report's trouble.
// Writes orders, adds tenants, and, for some seconds each, moves the residency's record: nothing that a lab does not
// survive, unless `choice.may_break`.
Result<Report> prove(const drill::Field& field, const Settings& settings, const drill::Talk& talk);

// The process inside: reads its orders from `spec`, adds a line of JSON to `result` for each attempt made.
Result<void> make_attempts(const fs::path& spec, const fs::path& result, const drill::Talk& talk);

// A residency, and a region that may not hold it in full.
struct Subject {
  std::string residency, forbidden;
};
// Every one of a topology, but for the directory, in its order.
std::vector<Subject> subjects_of(const topology::Topology& topology);
// The first of them, of this residency and region where they are named. `refused` when there is none.
Result<Subject> subject_of(const topology::Topology& topology, const std::string& residency, const std::string& from);

}  // namespace domicile::prove
