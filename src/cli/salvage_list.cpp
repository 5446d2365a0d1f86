// domicile salvage list: what lost owners wrote and nobody else had, and how copies came back.
#include "cli/registry.hpp"
#include "cli/salvage_common.hpp"
#include "cli/status_view.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  auto agent = TRY(AgentClient::of(args));
  const bool everywhere = args.has("everywhere");
  const Json list = TRY(agent.get(everywhere ? "/v1/salvage?everywhere=1" : "/v1/salvage"));
  if (args.has("json")) {
    io.out << dump(list) << "\n";
    return Exit::ok;
  }
  if (!everywhere) {
    if (const auto unknown = text_at(list, "unknown"); !unknown.empty()) return fail(Kind::unavailable, unknown);
    io.out << salvage_runs_text(list);
    return Exit::ok;
  }
  for (const auto& [region, each] : list.items()) {
    const auto unknown = text_at(each, "unknown");
    io.out << region << "\n" << (unknown.empty() ? salvage_runs_text(each) : "unknown: " + unknown + "\n") << "\n";
  }
  return Exit::ok;
}

}  // namespace

Verb salvage_list_verb() {
  return {"salvage list",
          "List what this region had written in epochs that ended without it, and how its copies came back. No values.",
          {},
          with_agent_options({{"everywhere", "", "Of every region."}, {"json", "", "Print one JSON object."}}),
          {"domicile salvage list", "domicile salvage list --everywhere --json"},
          run};
}

}  // namespace domicile::cli
