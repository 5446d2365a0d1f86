// domicile drill run: a drill's file is carried out, and its report written.
#include <algorithm>

#include "cli/agent_client.hpp"
#include "cli/drill_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const std::string& name = args.words.at(0);
  return hold_drill(args, io, TRY(drill_file(name)), new_report_folder(fs::path(name).stem().string()));
}

}  // namespace

Verb drill_run_verb() {
  auto options = with_agent_options(
      held_options({{"to", "REGION", "Where `other` leads (default: the first standby, or home)."}}));
  for (Option& option : options)
    if (option.name == "report") option.doc += " Default: build/drills/NAME-TIME.";
  return {"drill run",
          "Carry out a drill of the folder drills, or of a file, and measure what clients saw.",
          {"DRILL"},
          std::move(options),
          {"domicile drill run quorum-minority", "domicile drill run slow-wan --dry-run",
           "domicile drill run ./mine.yaml --report out --json --agent /run/domicile/agent.sock"},
          run,
          [](const Args& args) -> Result<void> {
            return args.has("agent") || args.has("url") ? check_agent_options(args) : Result<void>();
          }};
}

}  // namespace domicile::cli
