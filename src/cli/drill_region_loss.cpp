#include "cli/drill_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<void> valid_kind(const std::string& kind) {
  if (kind == "kill" || kind == "pause" || kind == "cut") return {};
  return fail(Kind::invalid_input, "'" + kind + "' is not kill, pause or cut");
}

Result<Exit> run(const Args& args, Io& io) {
  const DrillSettings settings = TRY(drill_settings(args));
  const std::string kind = args.get("kind", "kill");
  const auto talk = talk_to(io);
  const bool running = lab_runs(settings.directory);
  if (running && settings.runs > 1)
    return fail(Kind::conflict, "a lab runs, and each of several losses needs a fresh one", "domicile lab down");
  std::vector<drill::RunResult> runs;
  for (std::size_t i = 0; i < settings.runs; ++i) {
    if (!running) talk(fmt::format("run {} of {}: bringing a lab up", i + 1, settings.runs));
    runs.push_back(drill::run_of([&]() -> Result<drill::RunResult> {
      const auto own = running ? nullptr : TRY(TemporaryLab::up(settings));
      const auto field = TRY(drill::Field::open(settings.directory, settings.topology));
      auto run = drill::region_loss(field, settings.spec, kind, talk);
      if (own && (!run || !run->trouble.empty())) own->keep_logs(talk);
      return run;
    }()));
  }
  return show_reports(io, args.has("json"), {judged(settings, "region-loss", kind.c_str(), runs)});
}

}  // namespace

Verb drill_region_loss_verb() {
  return {"drill region-loss",
          "Lose the region that owns a residency while clients write, and measure what they saw.",
          {},
          drill_options(
              {{"kind", "K", "kill (SIGKILL, the default), pause (SIGSTOP) or cut (with half of the clients inside).",
                false, false, valid_kind},
               {"runs", "N", "So many losses, each of a fresh lab (default: 1).", false, false, valid_count}}),
          {"domicile drill region-loss", "domicile drill region-loss --kind cut --runs 10 --json"},
          run};
}

}  // namespace domicile::cli
