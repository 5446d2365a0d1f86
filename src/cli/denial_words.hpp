// Why something was refused, in a person's words: facts from whoever refused it, and what its rule means. Pure. The
// gate's rules are in gate/protocol/meaning.hpp; docs/guard.md and docs/gateway.md repeat these tables word for word.
#pragma once
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "gate/protocol/meaning.hpp"

namespace domicile::cli {

using gate::Meaning;

std::span<const Meaning> guard_codes();      // SQLSTATEs DM001 … DM008
std::span<const Meaning> gateway_reasons();  // those that refuse

// In the order in which they are printed; the first of each is the member's name in JSON.
using Facts = std::vector<std::pair<std::string, std::string>>;

Facts gate_denial(const Json& denial);   // as the gate's control API tells it
Facts agent_denial(const Json& denial);  // as an agent's control API tells it
Facts gateway_denial(const Json& line);  // of the gateway's log of requests, or of connections
// The guard's line in PostgreSQL's log; and how to find it.
Facts guard_denial(const std::string& id, const std::string& line);
Facts unlogged_guard_denial(const std::string& id);
// A SQLSTATE of the guard, or the gate's DM010; empty: there is no such code.
Facts code_facts(const std::string& code);

std::string facts_text(const Facts& facts, bool colour);
Json facts_json(const Facts& facts);

}  // namespace domicile::cli
