// What the verbs of salvage share: which ended epoch is meant, which of its rows, and how they are shown.
#pragma once
#include "base/json.hpp"
#include "cli/agent_client.hpp"

namespace domicile::cli {

// --epoch, --table, --id and the agent's; appended to a verb's own options.
std::vector<Option> salvage_options(std::vector<Option> own);
// {residency, epoch, table?, ids?}. Without --epoch the last one that this region keeps of the residency.
Result<Json> salvage_question(AgentClient& agent, const Args& args);

std::string salvage_runs_text(const Json& list);
std::string salvage_entries_text(const Json& entries);
// What a decision did, or would do.
std::string salvage_outcome_text(const Json& outcome);

// Carries out {…question, act, reason, …}: asks first on a terminal, shows what was done. Exit 1 when the owner refused
// a row.
Result<Exit> salvage_decide(AgentClient& agent, Json question, const Args& args, Io& io);

}  // namespace domicile::cli
