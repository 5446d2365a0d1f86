// domicile drill undo: what a drill that was ended has left. The lab does it by itself as soon as the drill's process
// is gone; this waits for it and says so, or insists.
#include "cli/drill_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

std::string sentence(const Json& fault) {
  return fmt::format("{} {} of the drill {}", fault.value("verb", ""), dump(fault.value("body", Json::object())),
                     fault.value("drill", ""));
}

Result<Exit> run(const Args& args, Io& io) {
  const fs::path directory = TRY(lab_directory(args));
  const auto status = lab::ask(directory, "GET", "/status");
  if (!status) {
    io.err << "no lab runs: with it every fault has ended\n";
    return Exit::ok;
  }
  const Json faults = TRY(member_or<Json>(*status, "faults", Json::array()));
  bool lives = false;
  for (const Json& fault : faults) lives |= fault.value("alive", false);
  if (lives && !args.has("force"))
    return fail(
        Kind::conflict,
        fmt::format("the drill {} still runs (process {})", faults[0].value("drill", ""), faults[0].value("pid", 0)),
        "end it: the lab then undoes what it did; or --force");
  for (const Json& fault : faults) io.err << "undoing: " << sentence(fault) << "\n";
  (void)TRY(lab::ask(directory, "POST", "/undo", Json::object()));
  io.err << (faults.empty() ? "nothing is left to undo\n" : "everything is undone\n");
  return Exit::ok;
}

}  // namespace

Verb drill_undo_verb() {
  return {"drill undo",
          "Undo what a drill has set that was ended half-way, and say whether anything was left.",
          {},
          {base_option(), {"force", "", "although the drill's process still lives"}},
          {"domicile drill undo"},
          run};
}

}  // namespace domicile::cli
