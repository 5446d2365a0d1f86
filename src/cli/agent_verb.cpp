// domicile agent: the daemon of one region.
#include "agent/agent.hpp"
#include "cli/registry.hpp"
#include "cli/until_signal.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io&) {
  const auto stop = stop_at_signal();
  const auto config = TRY(agent::read_agent_config(args.get("config")));
  CHECK_OK(agent::run_agent(config, DOMICILE_VERSION, stop));
  return Exit::ok;
}

}  // namespace

Verb agent_verb() {
  return {"agent",
          "Run the daemon of one region.",
          {},
          {{"config", "FILE", "agent.yaml: who this agent is and where everything is.", true}},
          {"domicile agent --config /etc/domicile/agent.yaml"},
          run};
}

}  // namespace domicile::cli
