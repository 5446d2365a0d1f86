// domicile explain denial: when, who, by which rule, what it means and what to do.
#include <algorithm>
#include <fstream>

#include "agent/config.hpp"
#include "cli/agent_client.hpp"
#include "cli/denial_words.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<void> valid(const Args& args) {
  CHECK_OK(check_agent_options(args));
  const std::string& id = args.words[0];
  const bool plain = std::ranges::all_of(id, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; });
  if (plain && id.size() < 64 &&
      (id.starts_with("g-") || id.starts_with("e-") || id.starts_with("a-") || id.starts_with("q-") ||
       id.starts_with("DM")))
    return {};
  return fail(Kind::invalid_input, "'" + id.substr(0, 64) + "' is no denial",
              "g-… is told by a gate, e-… by a gateway (X-Domicile-Denial), a-… by an agent, q-… and DM001 … DM008 by "
              "the guard");
}

// Requests and connections; each log and the one that was turned away last, line by line: it may be large.
Result<Facts> in_gateway_logs(const fs::path& gateway, const std::string& id) {
  bool read = false;
  for (const char* name : {"access.log", "connections.log", "access.log.1", "connections.log.1"}) {
    std::ifstream log(gateway / "logs" / name);
    read |= log.is_open();
    for (std::string line; std::getline(log, line);) {
      if (line.find(id) == line.npos) continue;
      const auto json = parse_json(line, "a line of the gateway's log");
      if (json && member_or<std::string>(*json, "denial", "").value_or("") == id) return gateway_denial(*json);
    }
  }
  if (!read) return fail(Kind::failed, "cannot read " + (gateway / "logs" / "access.log").string(), "--gateway DIR");
  return fail(Kind::invalid_input, "no line of this gateway's logs has the denial " + id,
              "ask where it was refused, which may be the owner's gateway; older logs: grep for it", "DOM-E701");
}

// The guard's line in PostgreSQL's log, which names the class. Without the log there is only the way to it.
Result<Facts> in_postgres_log(const Args& args, const std::string& id) {
  if (!args.has("log")) return unlogged_guard_denial(id);
  std::ifstream log(args.get("log"));
  if (!log.is_open()) return fail(Kind::failed, "cannot read " + args.get("log"), "--log FILE");
  for (std::string line; std::getline(log, line);)
    if (line.find("denial " + id + ": DM") != line.npos) return guard_denial(id, line);
  return fail(Kind::invalid_input, "no line of this log has the denial " + id,
              "look where the database was that refused, and in older logs", "DOM-E701");
}

Result<fs::path> gateway_of(const Args& args) {
  if (args.has("gateway")) return fs::path(args.get("gateway"));
  const auto config = TRY(agent::read_agent_config(args.get("config", kAgentConfig)));
  if (!config.gateway) return fail(Kind::invalid_input, "this agent has no gateway", "--gateway DIR");
  return config.gateway->directory;
}

Result<Facts> facts_of(const Args& args) {
  const std::string& id = args.words[0];
  if (id.starts_with("g-")) return gate_denial(TRY(AgentClient::of_gate(args).get("/v1/denials/" + id)));
  if (id.starts_with("a-")) return agent_denial(TRY(TRY(AgentClient::of(args)).get("/v1/denials/" + id)));
  if (id.starts_with("e-")) return in_gateway_logs(TRY(gateway_of(args)), id);
  if (id.starts_with("q-")) return in_postgres_log(args, id);
  auto facts = code_facts(id);
  if (facts.empty())
    return fail(Kind::invalid_input, "there is no code " + id, "DM001 to DM008, and DM010", "DOM-E701");
  return facts;
}

Result<Exit> run(const Args& args, Io& io) {
  const auto facts = TRY(facts_of(args));
  io.out << (args.has("json") ? dump(facts_json(facts)) + "\n" : facts_text(facts, io.terminal));
  return Exit::ok;
}

}  // namespace

Verb explain_denial_verb() {
  return {
      "explain denial",
      "Explain a refusal by its id, which the client saw too: when, who, by which rule, and what to do.",
      {"ID"},
      with_gate_option(
          {{"gateway", "DIR", "The gateway's folder, for an id of its logs."},
           {"log", "FILE", "PostgreSQL's log, for an id of the guard (in DETAIL of its error)."},
           {"config", "FILE",
            std::string("agent.yaml, which names that folder and the agent's socket (") + kAgentConfig + ")."},
           {"agent", "PATH", "The Unix socket of the agent that refused (DOMICILE_AGENT)."},
           {"url", "URL", "That agent's control API instead: https://host:port, with:"},
           {"ca", "FILE", "The authority that signed the agent's certificate."},
           {"certificate", "FILE", "Your own certificate; its name has the role."},
           {"key", "FILE", "Your own key."},
           {"json", "", "Print one JSON object."}}),
      {"domicile explain denial g-6928ab12-7", "domicile explain denial e-5f3c9a1b7d20e846 --json",
       "domicile explain denial a-6f3c9a1b7d20e847 --agent /run/domicile/agent.sock", "domicile explain denial DM001"},
      run,
      valid};
}

}  // namespace domicile::cli
