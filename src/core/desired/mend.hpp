// What of a plan an agent does by itself in its loop, and what it can only report. Pure.
#pragma once
#include "core/desired/plan.hpp"
#include "core/desired/readiness.hpp"

namespace domicile::desired {

struct Mend {
  std::vector<Step> now;     // the agent brings back what `apply` made last
  std::vector<Step> report;  // only `domicile apply`, or a person, can
};

// `tried`: sentences of steps that the agent has done and that are there again: done twice they would only hide that
// something else is meant. Slots and subscriptions are in neither list: the loops that journal before they act tend
// them. Nothing is ever dropped here: what an ended epoch left behind is somebody's salvage.
Mend mend_of(const Plan& plan, const std::set<std::string>& tried);

// What of the schema is not ready, as the agent may judge it: without what only `apply` needs (a superuser's rights)
// and without warnings.
std::vector<Finding> drift_of(const std::vector<Finding>& findings);
// Of the warnings those that a person should see without asking for a plan: who might take the log past the gate.
std::vector<Finding> warnings_of(const std::vector<Finding>& findings);

}  // namespace domicile::desired
