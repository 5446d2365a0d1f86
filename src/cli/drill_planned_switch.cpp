#include "cli/drill_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const DrillSettings settings = TRY(drill_settings(args));
  const auto talk = talk_to(io);
  std::vector<drill::RunResult> runs;
  {
    std::unique_ptr<TemporaryLab> own;
    const auto prepare = [&]() -> Result<drill::Field> {
      if (!lab_runs(settings.directory)) {
        talk("no lab runs: bringing one up");
        own = TRY(TemporaryLab::up(settings));
      }
      return drill::Field::open(settings.directory, settings.topology);
    };
    const auto field = prepare();
    for (std::size_t i = 0; i < settings.runs; ++i) {
      runs.push_back(drill::run_of([&]() -> Result<drill::RunResult> {
        if (!field) return tl::unexpected<Error>(field.error());
        const auto to = args.has("to") ? args.get("to") : TRY(drill::other_owner(*field, settings.spec.residency));
        return drill::planned_switch(*field, settings.spec, to, talk);
      }()));
      if (!runs.back().trouble.empty()) break;
    }
    if (own && !runs.back().trouble.empty()) own->keep_logs(talk);
  }
  return show_reports(io, args.has("json"), {judged(settings, "planned-switch", "", runs)});
}

}  // namespace

Verb drill_planned_switch_verb() {
  return {"drill planned-switch",
          "Switch a residency while clients write, and measure what they saw.",
          {},
          drill_options(
              {{"to", "REGION", "Where to (default: the first standby, or home when it is away)."},
               {"runs", "N", "So many switches, there and back in turn (default: 1).", false, false, valid_count}}),
          {"domicile drill planned-switch", "domicile drill planned-switch --residency eu --runs 2 --json"},
          run};
}

}  // namespace domicile::cli
