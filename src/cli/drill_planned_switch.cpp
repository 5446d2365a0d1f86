#include "cli/drill_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const DrillSettings settings = TRY(drill_settings(args));
  const auto talk = talk_to(io);
  std::unique_ptr<TemporaryLab> own;
  if (!lab_runs(settings.directory)) {
    talk("no lab runs: bringing one up");
    own = TRY(TemporaryLab::up(settings));
  }
  const auto field = TRY(drill::Field::open(settings.directory, settings.topology));
  std::vector<drill::RunResult> runs;
  for (std::size_t i = 0; i < settings.runs; ++i) {
    const std::string to = args.has("to") ? args.get("to") : TRY(drill::other_owner(field, settings.spec.residency));
    runs.push_back(drill::run_of(drill::planned_switch(field, settings.spec, to, talk)));
    if (!runs.back().trouble.empty()) break;
  }
  return show_reports(io, args.has("json"),
                      {drill::judge({"planned-switch", "", settings.spec.residency, settings.spec.clients,
                                     settings.spec.per_s, settings.topology.lease.ttl},
                                    runs)});
}

}  // namespace

Verb drill_planned_switch_verb() {
  return {"drill planned-switch",
          "Switch a residency while clients write, and measure what they saw.",
          {},
          drill_options({{"to", "REGION", "Where to (default: the first standby, or home when it is away)."},
                         {"runs", "N", "So many switches, there and back in turn (default: 1)."}}),
          {"domicile drill planned-switch", "domicile drill planned-switch --residency eu --runs 2 --json"},
          run};
}

}  // namespace domicile::cli
