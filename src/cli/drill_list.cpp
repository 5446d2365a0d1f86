// domicile drill list: every file of the folder drills, also one that is wrong, with what is wrong.
#include "cli/drill_common.hpp"
#include "cli/registry.hpp"
#include "cli/status_view.hpp"
#include "core/drills/parse.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  Json list = Json::array();
  bool wrong = false;
  std::vector<std::vector<std::string>> rows{{"DRILL", "RESIDENCY", "ABOUT"}};
  for (const fs::path& file : drill_files()) {
    const auto plan = drills::parse(TRY(read_file(file)), file.string());
    Json one{{"drill", file.stem().string()}, {"file", file.string()}};
    if (plan) {
      one["residency"] = plan->residency;
      one["about"] = plan->about;
      rows.push_back({file.stem().string(), plan->residency, plan->about});
    } else {
      wrong = true;
      one["problems"] = Json::array();
      for (const auto& problem : plan.error()) {
        one["problems"].push_back(
            {{"code", problem.code}, {"where", problem.where()}, {"cause", problem.cause}, {"fix", problem.fix}});
        io.err << fmt::format("{}: error [{}]: {}\n  fix: {}\n", problem.where(), problem.code, problem.cause,
                              problem.fix);
      }
    }
    list.push_back(std::move(one));
  }
  if (args.has("json"))
    io.out << dump({{"drills", list}}) << "\n";
  else
    io.out << columns_text(rows, {io.terminal, 0});
  return wrong ? Exit::usage : Exit::ok;
}

}  // namespace

Verb drill_list_verb() {
  return {"drill list", "List the drills of the folder drills.", {}, {json_option()}, {"domicile drill list"}, run};
}

}  // namespace domicile::cli
