#include "cli/drill_common.hpp"
#include "cli/registry.hpp"
#include "drill/headroom.hpp"

namespace domicile::cli {
namespace {

// Each of them tells its trouble where it could not begin, too.
std::vector<drill::Report> all(DrillSettings settings, bool rate_is_given, const drills::Plan& planned,
                               const drills::Plan& loss, const std::string& standby, const std::string& home,
                               const drill::Talk& talk) {
  talk("bringing the lab up");
  auto lab = TemporaryLab::up(settings);
  Result<drill::Field> field = fail(Kind::unavailable, "no lab");
  if (lab)
    field = drill::Field::open(settings.directory, settings.topology);
  else
    field = tl::unexpected<Error>(lab.error());
  // What a person did not ask for is what this machine can show.
  if (field && !rate_is_given) {
    const auto rate = drill::rate_with_room(*field, settings.spec, talk);
    if (rate)
      settings.spec.per_s = *rate;
    else
      talk("what this machine has room for was not found: " + one_line(rate.error()));
  }
  bool well = true;
  std::vector<drill::Report> reports;
  const auto add = [&](drills::Plan plan, const char* kind, const std::string& to) {
    plan.kind = kind;
    drill::DrillSpec spec = settings.spec;
    spec.to = to;
    auto run = field ? drill::run_of(drill::run_plan(*field, spec, plan, talk))
                     : drill::run_of(tl::unexpected<Error>(field.error()));
    well &= run.trouble.empty();
    reports.push_back(judged(settings, plan, {std::move(run)}));
    talk(reports.back().held() ? "held" : "did not hold: " + reports.back().broken[0]);
  };
  add(planned, "there", standby);
  add(planned, "back", home);
  add(loss, "kill", "");
  if (!lab) return reports;
  if (!well) (*lab)->keep_logs(talk);
  talk("taking the lab down");
  return reports;
}

Result<Exit> run(const Args& args, Io& io) {
  const DrillSettings settings = TRY(drill_settings(args));
  const auto* rules = topology::residency_of(settings.topology, settings.spec.residency);
  if (rules->standby.empty()) return fail(Kind::refused, rules->name.str() + " has no standby: nothing can be shown");
  if (lab_runs(settings.directory))
    return fail(Kind::conflict, "a lab runs in " + settings.directory.string(),
                "domicile lab down, or --base N for another one beside it");
  const auto reports = all(settings, args.has("rate"), TRY(drill_file("planned-switch")),
                           TRY(drill_file("region-loss-kill")), rules->standby[0], rules->home, talk_to(io));
  // Always below build, also where the lab itself had to lie elsewhere.
  const fs::path folder = checkout() / "build" / (settings.base == 0 ? "lab" : fmt::format("lab-{}", settings.base));
  CHECK_OK(make_directories(folder));
  CHECK_OK(write_file(folder / "report.json", dump(drill::json_of(reports)) + "\n"));
  return show_reports(io, args.has("json"), reports);
}

std::vector<Option> options() {
  auto options = drill_options({});
  for (Option& each : options)
    if (each.name == "rate")
      each.doc = "Writes per second of all clients together (default: 500, or what this machine has room for).";
  return options;
}

}  // namespace

Verb lab_once_verb() {
  return {"lab once",
          "Show everything once: a lab, traffic, a switch there and back, the loss of a region, a report; then no lab.",
          {},
          options(),
          {"domicile lab once", "domicile lab once --json --base 100"},
          run};
}

}  // namespace domicile::cli
