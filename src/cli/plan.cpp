#include "base/file.hpp"
#include "cli/plan_view.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const auto topology = TRY(topology_of(args));
  const auto ownership = TRY(ownership_of(args, topology));
  auto plans = TRY(make_plans(args, topology, ownership, args.has("observe")));
  plans.agent_asked = args.has("agent");
  plans.layers = all_layers(TRY(layers_told(args)), topology);
  if (args.has("json"))
    io.out << dump(json_of(plans)) << "\n";
  else if (args.has("migration"))
    io.out << migrations(plans);
  else
    io.out << shown(plans, io.terminal);
  if (args.has("save")) {
    // A refused schema cannot be applied: its plan would only go stale.
    if (plans.refuses())
      return fail(Kind::refused, "the plan was not saved: a schema is not ready",
                  "run its migration (domicile plan --migration prints it), then plan again", "DOM-P094");
    CHECK_OK(write_file(args.get("save"), dump(to_saved(plans, ownership.owners)) + "\n", 0600));
    io.err << "saved; domicile apply " << args.get("save") << " does exactly this\n";
  }
  if (plans.refuses()) return Exit::refused;
  // As with a database that does not answer: who asked for it must not take it for as it should be. Without an agent
  // nobody asked: before agents run, a plan is for the databases alone.
  if (plans.agent_asked && plans.layers_unknown()) {
    io.err << "not everything could be seen: what is unknown is not known to be as planned\n";
    return Exit::try_later;
  }
  const bool differs = plans.changes() || plans.layers_differ();
  return args.has("detailed-exitcode") && differs ? Exit::differences : Exit::ok;
}

}  // namespace

Verb plan_verb() {
  return {"plan",
          "Show what each region's database, quorum member and gateway are, should be, and the difference.",
          {},
          database_options({{"observe", "", "Plan a guard that only logs what it would refuse."},
                            {"save", "FILE", "Write the plan for `domicile apply FILE`."},
                            {"migration", "", "Print only the SQL that makes the schemas ready."},
                            {"json", "", "Print one JSON object."},
                            {"detailed-exitcode", "",
                             "Exit with 2 when something is to be applied, or the quorum or a gateway differs."}}),
          {"domicile plan --connections connections.yaml",
           "domicile plan --connections connections.yaml --save plan.json && domicile apply plan.json",
           "domicile plan --agent /run/domicile/agent.socket --detailed-exitcode",
           "domicile plan --migration > migration.sql"},
          run};
}

}  // namespace domicile::cli
