// The drills themselves: faults and switches done on purpose to a running lab while clients write.
#pragma once
#include "drill/region.hpp"

namespace domicile::drill {

using Talk = std::function<void(const std::string&)>;  // what is being done, for people

struct DrillSpec {
  std::string residency;
  std::size_t clients = 20;  // each a tenant of its own
  double per_s = 500;
  Micros patience = 40 * kSecond;  // for service to come up, to switch, to come back
  std::string to;                  // where `other` leads; empty: the first standby, or home when it is away
  fs::path program;                // the domicile binary, for clients inside a region
};

// Waits until every client's writes are acknowledged promptly for a second. The answer is those writes: they are no
// drill's.
Result<std::vector<Write>> warm_up(const LoadSpec& load, Micros patience);
Result<LoadSpec> load_for(const Field& field, const DrillSpec& spec);

// A drill that broke off is a run that did not hold, not a report that is missing.
RunResult run_of(Result<RunResult> result);
// Does what the plan says. What goes wrong once clients write is the run's trouble, beside what they saw until then; an
// error comes from before that. Every fault is undone when it returns, and by the lab when this process dies before.
Result<RunResult> run_plan(const Field& field, const DrillSpec& spec, const drills::Plan& plan, const Talk& talk);
// What the plan's places mean now, as running agents tell.
Result<drills::Scene> scene_now(const Field& field, const std::string& residency, const std::string& to = {});
Subject subject_of(const drills::Plan& plan, const DrillSpec& spec, Micros ttl);

// The region where the residency is to be switched next: its first standby, or home when it is away.
Result<std::string> other_owner(const Field& field, const std::string& residency);
// Who owns it now, asked of any agent that answers, other than `not_of`'s.
Result<Authority> owner_of(const Field& field, const std::string& residency, const std::string& not_of = {});

}  // namespace domicile::drill
