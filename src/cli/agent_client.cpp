#include "cli/agent_client.hpp"

#include <cstdlib>

#include "agent/config.hpp"

namespace domicile::cli {

namespace {

Kind kind_of(const std::string& name) {
  for (const Kind kind : {Kind::invalid_input, Kind::conflict, Kind::refused, Kind::unavailable, Kind::unknown_outcome,
                          Kind::corrupt, Kind::unsafe})
    if (name_of(kind) == name) return kind;
  return Kind::failed;
}

}  // namespace

std::vector<Option> with_agent_options(std::vector<Option> own) {
  own.push_back({"agent", "PATH", "The agent's Unix socket (DOMICILE_AGENT)."});
  own.push_back({"config", "FILE", std::string("agent.yaml, which names that socket (") + kAgentConfig + ")."});
  own.push_back({"url", "URL", "The agent's control API instead: https://host:port, with:"});
  own.push_back({"ca", "FILE", "The authority that signed the agent's certificate."});
  own.push_back({"certificate", "FILE", "Your own certificate; its name has the role."});
  own.push_back({"key", "FILE", "Your own key."});
  return own;
}

Result<void> check_agent_options(const Args& args) {
  if (args.has("url") && (args.has("agent") || args.has("config")))
    return fail(Kind::invalid_input, "--url and a local agent exclude each other", "name one agent");
  for (const char* file : {"ca", "certificate", "key"})
    if (args.has("url") != args.has(file))
      return fail(Kind::invalid_input, "--url, --ca, --certificate and --key belong together",
                  "an agent speaks mutual TLS only");
  if (args.has("url") && !args.get("url").starts_with("https://"))
    return fail(Kind::invalid_input, "--url must begin with https://");
  return {};
}

Result<AgentClient> AgentClient::of(const Args& args) {
  if (args.has("url")) {
    std::string base = args.get("url");
    while (base.ends_with('/')) base.pop_back();
    return AgentClient(HttpClient({args.get("ca"), args.get("certificate"), args.get("key")}), base, base);
  }
  const char* set = std::getenv("DOMICILE_AGENT");
  std::string socket = args.get("agent", args.has("config") || set == nullptr ? "" : set);
  if (socket.empty()) {
    const auto config = agent::read_agent_config(args.get("config", kAgentConfig));
    if (!config) return wrap("no agent is named (--agent, DOMICILE_AGENT, --config or --url)", config.error());
    socket = config->api.socket;
  }
  return AgentClient(HttpClient({}, socket), "http://agent", socket);
}

std::vector<Option> with_gate_option(std::vector<Option> own) {
  own.push_back({"gate", "PATH", std::string("The gate's Unix socket (DOMICILE_GATE; ") + kGateSocket + ")."});
  return own;
}

AgentClient AgentClient::of_gate(const Args& args) {
  const char* set = std::getenv("DOMICILE_GATE");
  const std::string socket = args.get("gate", set == nullptr ? kGateSocket : set);
  return AgentClient(HttpClient({}, socket), "http://gate", socket, "gate");
}

Result<Json> AgentClient::send(const std::string& method, const std::string& path, std::string body, Micros timeout) {
  HttpRequest request{.method = method, .url = base_ + path, .body = std::move(body), .timeout = timeout};
  const auto response = http_.send(request);
  if (!response) {
    Error error = response.error();
    // A read has no outcome that could be unknown.
    if (method == "GET") error.kind = Kind::unavailable;
    if (error.kind == Kind::unknown_outcome) error.fix = "domicile status shows whether it happened";
    if (error.fix.empty()) error.fix = fmt::format("is the {} running, and is this its address?", who_);
    return wrap(fmt::format("the {} at {} does not answer", who_, place_), error);
  }
  const auto json = parse_json(response->body, "the answer");
  if (response->status < 400) {
    if (!json) return wrap(fmt::format("the {} at {} answered something else than JSON", who_, place_), json.error());
    return *json;
  }
  if (!json || !json->is_object() || !json->contains("what"))
    return fail(Kind::failed, fmt::format("{} answered {} to {} {}", place_, response->status, method, path),
                fmt::format("is this the {}'s address?", who_));
  Error error{kind_of(member_or<std::string>(*json, "kind", "").value_or("")),
              member_or<std::string>(*json, "what", "").value_or(""),
              member_or<std::string>(*json, "fix", "").value_or(""),
              member_or<std::string>(*json, "code", "").value_or("")};
  const auto denial = member_or<std::string>(*json, "denial", "").value_or("");
  if (!denial.empty()) error.what += " (denial " + denial + ")";
  return tl::unexpected<Error>(error);
}

}  // namespace domicile::cli
