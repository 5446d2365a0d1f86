// domicile gateway config: the nginx.conf of this region's gateway.
#include "agent/gateway_settings.hpp"
#include "cli/agent_client.hpp"
#include "cli/registry.hpp"
#include "core/topology/parse.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const auto config = TRY(agent::read_agent_config(args.get("config", kAgentConfig)));
  const auto topology = TRY(topology::load(TRY(read_file(config.topology)), config.topology.string()));
  CHECK_OK(agent::check_fits(config, topology));
  const auto gateway = TRY(agent::gateway_settings(config, topology));
  if (!args.has("write")) {
    io.out << TRY(edge::render(gateway));
    return Exit::ok;
  }
  CHECK_OK(edge::prepare(gateway));
  io.err << gateway.directory << "/nginx.conf is written; start nginx in that directory:";
  for (const auto& word : edge::start_command(gateway).argv) io.err << " " << word;
  io.err << "\n";
  return Exit::ok;
}

}  // namespace

Verb gateway_config_verb() {
  return {"gateway config",
          "Print the nginx.conf of this region's gateway, or write it to the gateway's directory.",
          {},
          {{"config", "FILE", std::string("agent.yaml, which says what it listens to (") + kAgentConfig + ")."},
           {"write", "", "Make the directory of `gateway.directory` and write nginx.conf there."}},
          {"domicile gateway config --config agent.yaml",
           "domicile gateway config --write && systemctl reload domicile-gateway"},
          run};
}

}  // namespace domicile::cli
