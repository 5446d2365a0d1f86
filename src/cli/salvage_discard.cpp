// domicile salvage discard: says that salvaged rows are not wanted. They stay readable.
#include "cli/registry.hpp"
#include "cli/salvage_common.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  auto agent = TRY(AgentClient::of(args));
  Json question = TRY(salvage_question(agent, args));
  question["act"] = "discard";
  question["reason"] = args.get("reason");
  return salvage_decide(agent, std::move(question), args, io);
}

}  // namespace

Verb salvage_discard_verb() {
  return {"salvage discard",
          "Close salvaged rows without writing them; they stay where they are, with who decided and why.",
          {"RESIDENCY"},
          salvage_options({{"reason", "TEXT", "Why. Kept with every decision: no personal data.", true},
                           {"dry-run", "", "Say what would be done."},
                           {"yes", "", "Do not ask. Needed where nobody can be asked."},
                           {"json", "", "Print one JSON object."}}),
          {"domicile salvage discard us --id 17 --reason 'entered again by the customer'"},
          run};
}

}  // namespace domicile::cli
