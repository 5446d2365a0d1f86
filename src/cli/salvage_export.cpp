// domicile salvage export: salvaged rows with their values as a file, for whoever has to look at them elsewhere.
#include "base/file.hpp"
#include "cli/registry.hpp"
#include "cli/salvage_common.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  auto agent = TRY(AgentClient::of(args));
  Json question = TRY(salvage_question(agent, args));
  question["values"] = true;
  const Json entries = TRY(agent.post("/v1/salvage/show", question));
  std::string lines;
  for (const Json& entry : entries) lines += dump(entry) + "\n";
  CHECK_OK(write_secret(args.get("out"), lines));
  io.err << fmt::format("{} rows in {}, with personal columns: it must not leave the jurisdiction\n", entries.size(),
                        args.get("out"));
  return Exit::ok;
}

}  // namespace

Verb salvage_export_verb() {
  return {"salvage export",
          "Write salvaged rows of both sides with their values to a file, one JSON object a line, for its owner only.",
          {"RESIDENCY"},
          salvage_options({{"out", "FILE", "Where to.", true}}),
          {"domicile salvage export us --out /root/us-salvage.jsonl"},
          run};
}

}  // namespace domicile::cli
