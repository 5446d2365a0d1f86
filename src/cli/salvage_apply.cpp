// domicile salvage apply: writes salvaged rows where the residency is owned now, by a rule, a hook or by hand.
#include "base/process.hpp"
#include "cli/registry.hpp"
#include "cli/salvage_common.hpp"
#include "cli/status_view.hpp"
#include "core/salvage/salvage.hpp"

namespace domicile::cli {
namespace {

constexpr Micros kHook = 60 * kSecond;

Result<void> valid_rule(const std::string& value) {
  if (salvage::rule_of(value)) return {};
  return fail(Kind::invalid_input, "there is no rule " + value, "ask, take-ours, take-theirs or newer");
}

Result<void> check(const Args& args) {
  CHECK_OK(check_agent_options(args));
  if (args.has("rule") && args.has("hook"))
    return fail(Kind::invalid_input, "either a rule or a hook decides conflicts");
  return {};
}

// What the program says about one conflict, which it gets as JSON: ours, theirs, or wait.
Result<std::string> ask_hook(const std::string& program, const Json& entry) {
  Command command;
  command.argv = {program};
  command.input = dump(entry) + "\n";
  const auto done = TRY(run(command, kHook));
  if (done.exit_code != 0)
    return fail(Kind::failed, fmt::format("the hook ended with {} at id {}", done.exit_code, entry["id"].dump()));
  const auto word = done.out.substr(0, done.out.find_first_of(" \n"));
  if (word == "ours") return std::string("take-ours");
  if (word == "theirs") return std::string("take-theirs");
  if (word == "wait") return std::string("ask");
  return fail(Kind::failed, fmt::format("the hook said neither ours, theirs nor wait about id {}", entry["id"].dump()));
}

Result<Json> choices_of(AgentClient& agent, Json question, const std::string& program) {
  question["values"] = true;
  Json choices = Json::object();
  for (const Json& entry : TRY(agent.post("/v1/salvage/show", question)))
    if (text_at(entry, "state") == "open" && text_at(entry, "verdict") == "conflict")
      choices[entry["id"].dump()] = TRY(ask_hook(program, entry));
  return choices;
}

Result<Exit> run(const Args& args, Io& io) {
  auto agent = TRY(AgentClient::of(args));
  Json question = TRY(salvage_question(agent, args));
  if (args.has("hook")) question["choices"] = TRY(choices_of(agent, question, args.get("hook")));
  question["act"] = "apply";
  question["rule"] = args.get("rule", "ask");
  question["reason"] = args.get("reason");
  return salvage_decide(agent, std::move(question), args, io);
}

}  // namespace

Verb salvage_apply_verb() {
  return {
      "salvage apply",
      "Write salvaged rows where the residency is owned now: those that are missing there, and conflicts by a rule.",
      {"RESIDENCY"},
      salvage_options(
          {{"rule", "RULE",
            "Of conflicts: ask (they wait), take-ours (the salvage wins), take-theirs (the owner wins), newer.", false,
            false, valid_rule},
           {"hook", "PROGRAM",
            "Decides each conflict: gets it as JSON with both sides' values, prints ours, theirs or wait."},
           {"reason", "TEXT", "Why. Kept with every decision: no personal data.", true},
           {"dry-run", "", "Say what would be done."},
           {"yes", "", "Do not ask. Needed where nobody can be asked."},
           {"json", "", "Print one JSON object."}}),
      {"domicile salvage apply us --reason 'loss of 2026-11-28' --dry-run",
       "domicile salvage apply us --reason 'loss of 2026-11-28'",
       "domicile salvage apply us --table app.orders --rule newer --reason 'agreed with support' --yes"},
      run,
      check};
}

}  // namespace domicile::cli
