// How verbs reach an agent's control API: over its Unix socket, or over mutual TLS from elsewhere; and a gate's, over
// its socket alone.
#pragma once
#include "base/http_client.hpp"
#include "base/json.hpp"
#include "cli/command.hpp"

namespace domicile::cli {

// --agent, --config, --url, --ca, --certificate, --key; appended to a verb's own options.
std::vector<Option> with_agent_options(std::vector<Option> own);
Result<void> check_agent_options(const Args& args);

class AgentClient {
 public:
  // --url; else --agent, DOMICILE_AGENT, or the socket that agent.yaml names (--config).
  static Result<AgentClient> of(const Args& args);
  // --gate, DOMICILE_GATE, or the usual socket of a gate.
  static AgentClient of_gate(const Args& args);
  // An answer of 400 or more is an Error with the agent's own words, kind and code. A read that was not answered is
  // `unavailable`; an order that was not is `unknown_outcome`.
  Result<Json> get(const std::string& path) { return send("GET", path, "", 5 * kSecond); }
  // An order may be passed on to another region, which has ten seconds.
  Result<Json> post(const std::string& path, const Json& body, Micros patience = 15 * kSecond) {
    return send("POST", path, dump(body), patience);
  }

 private:
  AgentClient(HttpClient http, std::string base, std::string place, std::string who = "agent")
      : http_(std::move(http)), base_(std::move(base)), place_(std::move(place)), who_(std::move(who)) {}
  Result<Json> send(const std::string& method, const std::string& path, std::string body, Micros timeout);

  HttpClient http_;
  std::string base_, place_, who_;
};

// --gate; appended to the options of a verb that asks a gate.
std::vector<Option> with_gate_option(std::vector<Option> own);

inline constexpr const char* kGateSocket = "/run/domicile-gate/gate.sock";
inline constexpr const char* kAgentConfig = "/etc/domicile/agent.yaml";

}  // namespace domicile::cli
