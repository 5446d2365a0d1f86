#include "cli/drill_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<std::vector<drill::Report>> all(const DrillSettings& settings, const drill::Talk& talk) {
  talk("bringing the lab up");
  const auto lab = TRY(TemporaryLab::up(settings));
  const auto field = TRY(drill::Field::open(settings.directory, settings.topology));
  const auto* rules = topology::residency_of(settings.topology, settings.spec.residency);
  if (rules->standby.empty()) return fail(Kind::refused, rules->name.str() + " has no standby: nothing can be shown");
  const auto judged = [&](const char* drill, const char* kind, Result<drill::RunResult> run) {
    const auto report = drill::judge(
        {drill, kind, settings.spec.residency, settings.spec.clients, settings.spec.per_s, settings.topology.lease.ttl},
        {drill::run_of(std::move(run))});
    talk(report.held() ? "held" : "did not hold: " + report.broken[0]);
    return report;
  };
  std::vector<drill::Report> reports;
  reports.push_back(
      judged("planned-switch", "there", drill::planned_switch(field, settings.spec, rules->standby[0], talk)));
  reports.push_back(judged("planned-switch", "back", drill::planned_switch(field, settings.spec, rules->home, talk)));
  reports.push_back(judged("region-loss", "kill", drill::region_loss(field, settings.spec, "kill", talk)));
  talk("taking the lab down");
  return reports;
}

Result<Exit> run(const Args& args, Io& io) {
  const DrillSettings settings = TRY(drill_settings(args));
  const auto reports = TRY(all(settings, talk_to(io)));
  // Always below build, also where the lab itself had to lie elsewhere.
  const fs::path folder = checkout() / "build" / (settings.base == 0 ? "lab" : fmt::format("lab-{}", settings.base));
  CHECK_OK(make_directories(folder));
  CHECK_OK(write_file(folder / "report.json", dump(drill::json_of(reports)) + "\n"));
  return show_reports(io, args.has("json"), reports);
}

}  // namespace

Verb lab_once_verb() {
  return {"lab once",
          "Show everything once: a lab, traffic, a switch there and back, the loss of a region, a report; then no lab.",
          {},
          drill_options({}),
          {"domicile lab once", "domicile lab once --json --base 100"},
          run};
}

}  // namespace domicile::cli
