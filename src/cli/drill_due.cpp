// domicile drill due: every drill that is late by what an agent knows, one after the other.
#include "cli/agent_client.hpp"
#include "cli/drill_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

// Of the folder's drills those that are wanted every so many days; `wrong` takes what keeps a file from being read.
std::vector<std::string> wanted_drills(std::vector<Error>& wrong) {
  std::vector<std::string> out;
  for (const fs::path& file : drill_files()) {
    const auto plan = drill_file(file.string());
    if (!plan)
      wrong.push_back(plan.error());
    else if (plan->every_days != 0)
      out.push_back(file.stem().string());
  }
  return out;
}

Result<Exit> run(const Args& args, Io& io) {
  const Json status = TRY(TRY(AgentClient::of(args)).get("/v1/status"));
  std::vector<Error> wrong;
  const auto due = TRY(due_drills(status, wanted_drills(wrong)));
  for (const Error& error : wrong) io.err << one_line(error) << "\n";
  Exit otherwise = wrong.empty() ? Exit::ok : Exit::broken;
  if (args.has("dry-run")) {
    if (args.has("json")) io.out << dump({{"due", due}}) << "\n";
    for (const std::string& name : due)
      if (!args.has("json")) io.out << name << "\n";
    return otherwise;
  }
  if (due.empty()) io.err << "no drill is due\n";
  std::vector<drill::Report> reports;
  for (const std::string& name : due) {
    io.err << "drill " << name << "\n";
    auto report = held_drill(args, io, TRY(drill_file(name)), new_report_folder(name));
    if (report) {
      reports.push_back(std::move(*report));
    } else {  // the others are due all the same
      io.err << fmt::format("{}: {}\n", name, one_line(report.error()));
      otherwise = Exit::broken;
    }
  }
  const Exit held = show_reports(io, args.has("json"), reports);
  return held == Exit::ok ? otherwise : held;
}

}  // namespace

Result<std::vector<std::string>> due_drills(const Json& status, const std::vector<std::string>& wanted) {
  const auto told = status.find("drills");
  if (told == status.end() || !told->is_array())
    return fail(Kind::unavailable, "the agent cannot read when which drill was held", "look at its drills.json");
  std::map<std::string, bool> late;
  for (const Json& each : *told) late[each.value("drill", "")] = each.value("late", true);
  std::vector<std::string> due;
  for (const std::string& name : wanted)
    if (const auto known = late.find(name); known == late.end() || known->second) due.push_back(name);
  return due;
}

Verb drill_due_verb() {
  return {"drill due",
          "Carry out every drill that was not held for longer than it may, one after the other; for a timer.",
          {},
          with_agent_options(drill_options({{"dry-run", "", "Only say which they are."}})),
          {"domicile drill due --dry-run", "domicile drill due --json --agent /run/domicile/agent.sock"},
          run,
          [](const Args& args) -> Result<void> {
            return args.has("agent") || args.has("url") ? check_agent_options(args) : Result<void>();
          }};
}

}  // namespace domicile::cli
