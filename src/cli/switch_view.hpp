// A planned switch as seen from outside: is it lawful, what will happen, how it ended. Pure.
#pragma once
#include "base/json.hpp"
#include "base/result.hpp"

namespace domicile::cli {

// The residency's part of an agent's status; invalid_input when it has none of that name.
Result<Json> residency_in(const Json& status, const std::string& residency);

// Why `to` must not or cannot become the owner now: `refused` with the law's sentence, `conflict`, `unavailable`.
Result<void> may_switch(const Json& status, const Json& residency, const std::string& to);

// What a switch does, in order.
std::string switch_plan_text(const Json& residency, const std::string& to, const std::string& reason);
Json switch_plan(const Json& residency, const std::string& to, const std::string& reason);

enum class SwitchEnd { under_way, serving, rolled_back };
// `order`: the agent's answer to it; `residency`: the latest status. A record that is not ours yet is under way.
SwitchEnd end_of(const Json& order, const Json& residency);

// The events of this switch among `events`, oldest first.
Json phases_of(const Json& events, const std::string& switch_id);
std::string phase_line(const Json& phase);

}  // namespace domicile::cli
