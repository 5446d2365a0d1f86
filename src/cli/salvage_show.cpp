// domicile salvage show: the rows of one ended epoch, and how they stand to the owner's.
#include "cli/registry.hpp"
#include "cli/salvage_common.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  auto agent = TRY(AgentClient::of(args));
  Json question = TRY(salvage_question(agent, args));
  question["values"] = args.has("values");
  const Json entries = TRY(agent.post("/v1/salvage/show", question));
  io.out << (args.has("json") ? dump(entries) + "\n" : salvage_entries_text(entries));
  return Exit::ok;
}

}  // namespace

Verb salvage_show_verb() {
  return {"salvage show",
          "Show salvaged rows by their keys: missing at the owner, in conflict with it, or superseded by it.",
          {"RESIDENCY"},
          salvage_options({{"values", "", "Also both sides' values; at a host of the region that keeps them only."},
                           {"json", "", "Print one JSON list."}}),
          {"domicile salvage show us", "domicile salvage show us --epoch 4 --table app.orders",
           "domicile salvage show us --id 17 --values"},
          run};
}

}  // namespace domicile::cli
