// domicile drill recompute: a report's figures from its raw log, and whether the report says the same.
#include "base/sha256.hpp"
#include "cli/drill_common.hpp"
#include "cli/registry.hpp"
#include "drill/raw_log.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  fs::path file = args.words.at(0);
  if (fs::is_directory(file)) file /= "report.json";
  const Json report = TRY(parse_json(TRY(read_file(file)), file.string()));
  const Json raw = TRY(member<Json>(report, "raw_log"));
  const fs::path name = TRY(member<std::string>(raw, "file"));
  if (name != name.filename()) return fail(Kind::invalid_input, "the raw log must lie beside its report");
  const std::string text = TRY(read_file(file.parent_path() / name));
  const Json drills = TRY(member<Json>(report, "drills"));
  if (!drills.is_array() || drills.size() != 1) return fail(Kind::corrupt, "a report of one drill was expected");
  std::vector<std::string> differences;
  if (sha256_hex(text) != TRY(member<std::string>(raw, "sha256")))
    differences.emplace_back("raw_log: it is not the one that the report was computed from");
  const auto log = TRY(drill::raw_log_of(text));
  for (auto& difference : drill::disagreements(drills[0], log)) differences.push_back(std::move(difference));
  if (args.has("json"))
    io.out << dump({{"agrees", differences.empty()},
                    {"differences", differences},
                    {"drills", Json::array({drill::json_of(drill::judge(log.subject, log.runs))})}})
           << "\n";
  else
    io.out << drill::table({drill::judge(log.subject, log.runs)}, io.terminal)
           << (differences.empty() ? "the report agrees with its raw log\n" : "");
  for (const auto& difference : differences) io.err << "differs: " << difference << "\n";
  return differences.empty() ? Exit::ok : Exit::broken;
}

}  // namespace

Verb drill_recompute_verb() {
  return {"drill recompute",
          "Compute a report's figures again from its raw log, and say whether the report agrees.",
          {"REPORT"},
          {json_option()},
          {"domicile drill recompute build/drills/slow-wan-20261128T090000Z"},
          run};
}

}  // namespace domicile::cli
