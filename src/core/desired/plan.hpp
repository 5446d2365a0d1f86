// The difference between what is seen and what is desired, as steps in the order in which they are safe.
#pragma once
#include <string>
#include <vector>

#include "core/desired/desired.hpp"

namespace domicile::desired {

// In this order: what stops a leak first, what lets anything out last.
enum class Act {
  drop_publication,
  change_publication,
  install_schema,
  create_role,
  change_role,
  install_guard,
  guard_table,
  law_table,
  set_observe,
  grant_agent,
  create_publication,
  // The agents' part: they hold the addresses and journal before they act. `apply` only names these.
  disable_subscription,
  drop_subscription,
  drop_slot,
  create_slot,
  create_subscription,
  enable_subscription,
};

std::string_view name_of(Act act);
inline bool by_agent(Act act) { return act >= Act::disable_subscription; }

struct Step {
  Act act;
  std::string object;
  std::string sentence;  // what and why, for people
  bool operator==(const Step&) const = default;
};

struct Plan {
  std::string region;
  std::string base;  // hash of what was seen
  std::vector<Step> steps;
  bool changes() const;  // is there anything for `apply` to do?
  bool operator==(const Plan&) const = default;
};

Plan diff(const Desired& desired, const Seen& seen);
// The steps of publications that the plan would have if nothing were kept for salvage.
std::vector<Step> held_back(const Desired& desired, const Seen& seen);

Json to_json(const Plan& plan);
// Binds a saved plan to what it was made from: base and steps of every region.
Result<Plan> plan_from_json(const Json& json);

}  // namespace domicile::desired
