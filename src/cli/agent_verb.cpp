// domicile agent: the daemon of one region.
#include <signal.h>

#include <thread>

#include "agent/agent.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

namespace {

// SIGTERM and SIGINT become a stop request; everything is then ended in order.
Result<Exit> run(const Args& args, Io&) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const auto config = TRY(agent::read_agent_config(args.get("config")));
  std::stop_source stop;
  std::thread([signals, stop]() mutable {
    int number = 0;
    sigwait(&signals, &number);
    stop.request_stop();
  }).detach();
  CHECK_OK(agent::run_agent(config, DOMICILE_VERSION, stop.get_token()));
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
