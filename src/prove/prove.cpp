#include "prove/prove.hpp"

#include <algorithm>
#include <fstream>

#include "base/temp_dir.hpp"
#include "core/topology/parse.hpp"
#include "prove/ground.hpp"
#include "prove/places.hpp"
#include "prove/plant.hpp"

namespace domicile::prove {
namespace {

constexpr Micros kAttempts = 1200 * kSecond;  // all of them; each has an end of its own

Json spec_of(const drill::Field& field, const Settings& settings, const Subject& subject, const fs::path& scratch,
             const std::map<std::string, Target>& targets) {
  return {{"directory", field.directory().string()},
          {"topology", settings.topology_file.string()},
          {"residency", subject.residency},
          {"here", subject.forbidden},
          {"scratch", scratch.string()},
          {"targets", json_of(targets)}};
}

std::vector<Judged> judged_in(const fs::path& file, std::vector<std::string>& trouble) {
  std::vector<Judged> out;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    const auto json = parse_json(line, "an attempt's outcome");
    const auto judged = json ? judged_of(*json) : Result<Judged>(tl::unexpected<Error>(json.error()));
    if (judged)
      out.push_back(*judged);
    else
      trouble.push_back(one_line(judged.error()));
  }
  return out;
}

// What was not made counts too: as unknown.
void add_missing(const std::vector<Attempt>& attempts, std::vector<Judged>& judged) {
  for (const Attempt& attempt : attempts)
    if (std::ranges::find(judged, attempt.id, &Judged::id) == judged.end())
      judged.push_back({attempt.id, attempt.layer, attempt.what, Verdict::unknown, {}, {}, "it was not made", 0});
}

Result<void> run_inside(const drill::Field& field, const Settings& settings, const Subject& subject,
                        const fs::path& spec, const fs::path& result) {
  auto process = TRY(field.start_inside(
      subject.forbidden, {.argv = {settings.program.string(), "prove", "attempts", spec.string(), result.string()}}));
  const auto code = process.wait_for(kAttempts);
  if (!code) return fail(Kind::unavailable, "the attempts do not come to an end");
  if (*code != 0) return fail(Kind::failed, fmt::format("the attempts ended with exit code {}", *code));
  return {};
}

// What lies in the database's memory alone would be found by nobody.
Result<void> flush(const drill::Field& field, const std::string& region) {
  auto connection = TRY(postgres::Connection::open(field.database(region)));
  CHECK_OK(connection.exec("CHECKPOINT", monotonic_now() + 60 * kSecond));
  CHECK_OK(connection.exec("SELECT pg_catalog.pg_switch_wal()", monotonic_now() + 60 * kSecond));
  return {};
}

Result<census::Report> search(const drill::Field& field, const Subject& subject, const fs::path& scratch,
                              const std::map<std::string, Target>& targets, const drill::Talk& talk) {
  for (const auto& site : forbidden_sites(field.topology(), subject.residency))
    if (topology::region_of(field.topology(), site) != nullptr) CHECK_OK(flush(field, site));
  CHECK_OK(make_directories(scratch / "answers", 0700));
  auto places = TRY(forbidden_places(field, subject.residency, scratch / "answers"));
  places.push_back({"attempts: what they wrote", scratch / "attempts"});
  std::vector<census::Canary> canaries;
  for (const auto& [id, target] : targets) canaries.push_back(target.canary);
  talk(fmt::format("searching {} places for {} canaries", places.size(), canaries.size()));
  return census::census(places, canaries);
}

void note(Report& report, const Result<void>& done) {
  if (!done) report.trouble.push_back(one_line(done.error()));
}

// What was seen before an error is in the report.
Result<void> fill(Report& report, const drill::Field& field, const Settings& settings, const Subject& subject,
                  const std::vector<Attempt>& attempts, const drill::Talk& talk) {
  const TempDir folder;
  const fs::path scratch = folder.path(), spec = scratch / "spec.json", result = scratch / "result.jsonl";
  CHECK_OK(make_directories(scratch / "attempts", 0700));
  const auto targets = TRY(plant(field, subject.residency, subject.forbidden, attempts, talk));
  CHECK_OK(write_secret(spec, dump(spec_of(field, settings, subject, scratch / "attempts", targets))));
  talk(fmt::format("{} attempts from inside {}", attempts.size(), subject.forbidden));
  note(report, run_inside(field, settings, subject, spec, result));
  report.attempts = judged_in(result, report.trouble);
  report.census = TRY(search(field, subject, scratch, targets, talk));
  return {};
}

}  // namespace

std::vector<Subject> subjects_of(const topology::Topology& topology) {
  std::vector<Subject> all;
  for (const auto& each : topology.residencies) {
    if (each.name == topology::kDirectory) continue;
    for (const auto& region : topology.regions)
      if (topology::form_at(topology, each, region.name.str()) != topology::Form::full)
        all.push_back({each.name.str(), region.name.str()});
  }
  return all;
}

Result<Subject> subject_of(const topology::Topology& topology, const std::string& residency, const std::string& from) {
  if (!residency.empty() && topology::residency_of(topology, residency) == nullptr)
    return fail(Kind::invalid_input, "the topology has no residency " + residency);
  if (!from.empty() && topology::region_of(topology, from) == nullptr)
    return fail(Kind::invalid_input, "the topology has no region " + from);
  for (const Subject& each : subjects_of(topology))
    if ((residency.empty() || each.residency == residency) && (from.empty() || each.forbidden == from)) return each;
  return fail(Kind::refused, "every region may hold it in full: there is nothing to prove",
              "name another residency or region, or a topology in which a jurisdiction holds one reduced");
}

Result<Report> begin_report(const topology::Topology& topology, const Settings& settings) {
  const Subject subject = TRY(subject_of(topology, settings.residency, settings.from));
  Report report;
  report.residency = subject.residency;
  report.forbidden = forbidden_sites(topology, subject.residency);
  report.scope = {subject.forbidden, settings.choice.layer, settings.choice.quick};
  for (const Subject& other : subjects_of(topology))
    if (other.residency != subject.residency || other.forbidden != subject.forbidden)
      report.scope.elsewhere.push_back(other.residency + " at " + other.forbidden);
  auto all = settings.choice;
  all.may_break = true;
  const auto attempts = chosen(settings.choice);
  for (const Attempt& attempt : chosen(all))
    if (std::ranges::find(attempts, attempt.id, &Attempt::id) == attempts.end()) report.left_out.push_back(attempt.id);
  return report;
}

Result<Report> prove(const drill::Field& field, const Settings& settings, const drill::Talk& talk) {
  Report report = TRY(begin_report(field.topology(), settings));
  if (field.recorded().empty())
    return fail(Kind::unavailable, "the lab that runs does not record what crosses: nothing could be searched there",
                "domicile lab down, and again: this command brings up a lab that does; or domicile lab up --record");
  const auto attempts = chosen(settings.choice);
  note(report, fill(report, field, settings, {report.residency, report.scope.from}, attempts, talk));
  add_missing(attempts, report.attempts);
  return report;
}

Result<void> make_attempts(const fs::path& spec, const fs::path& result, const drill::Talk& talk) {
  const Json orders = TRY(parse_json(TRY(read_secret(spec)), "the orders"));
  const fs::path topology_file = TRY(member<std::string>(orders, "topology"));
  auto topology = TRY(topology::load(TRY(read_file(topology_file)), topology_file.string()));
  const auto field = TRY(drill::Field::open(TRY(member<std::string>(orders, "directory")), std::move(topology)));
  Ground ground =
      TRY(make_ground(field, TRY(member<std::string>(orders, "residency")), TRY(member<std::string>(orders, "here"))));
  ground.scratch = TRY(member<std::string>(orders, "scratch"));
  const auto targets = TRY(targets_of(TRY(member<Json>(orders, "targets"))));
  std::ofstream out(result, std::ios::app);
  for (const Attempt& attempt : all_attempts()) {
    const auto target = targets.find(attempt.id);
    if (target == targets.end()) continue;
    const Judged judged = judge(attempt, attempt.run(ground, target->second), target->second.canary);
    talk(holds(judged.verdict) ? fmt::format("{}: {} by {}", judged.id, name_of(judged.verdict), judged.rule)
                               : fmt::format("{}: {}: {}", judged.id, name_of(judged.verdict), judged.why));
    out << dump(json_of(judged)) << std::endl;
  }
  if (!out) return fail(Kind::failed, "cannot write the outcomes");
  return {};
}

}  // namespace domicile::prove
