// domicile approve: a person's yes to a switch that asks.
#include "cli/agent_client.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  auto agent = TRY(AgentClient::of(args));
  const Json answer = TRY(agent.post("/v1/approve", {{"proposal", args.words[0]}, {"reason", args.get("reason")}}));
  if (args.has("json")) io.out << dump(answer) << "\n";
  io.err << args.words[0] << " is approved; domicile status --watch shows what follows\n";
  return Exit::ok;
}

}  // namespace

Verb approve_verb() {
  return {"approve",
          "Say yes to a switch that waits for a person; domicile status shows which do.",
          {"ID"},
          with_agent_options(
              {{"reason", "TEXT", "Why; it is kept with your name.", true}, {"json", "", "Print one JSON object."}}),
          {"domicile approve us-5 --reason 'us-east-1 burns, 40 s of orders may be lost'"},
          run,
          check_agent_options};
}

}  // namespace domicile::cli
