// domicile switch: moves a residency to another region, as a planned switch.
#include <charconv>
#include <set>
#include <thread>

#include "base/clock.hpp"
#include "cli/agent_client.hpp"
#include "cli/registry.hpp"
#include "cli/status_view.hpp"
#include "cli/switch_view.hpp"

namespace domicile::cli {
namespace {

constexpr Micros kLook = 100 * kMillisecond;  // between two looks at a switch under way

Result<std::int64_t> seconds_of(const std::string& text) {
  std::int64_t seconds = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (code != std::errc() || end != text.data() + text.size() || seconds < 1 || seconds > 3600)
    return fail(Kind::invalid_input, "'" + text + "' is no number of seconds from 1 to 3600");
  return seconds;
}

Result<void> check(const Args& args) {
  CHECK_OK(check_agent_options(args));
  if (args.has("wait") && args.has("no-wait"))
    return fail(Kind::invalid_input, "--wait and --no-wait exclude each other");
  (void)TRY(seconds_of(args.get("timeout", "60")));
  return {};
}

// True: go on.
bool confirmed(const Json& residency, const std::string& to, Io& io) {
  io.err << fmt::format("Switch {} from {} to {}? Writes wait for about a second. [y/N] ",
                        text_at(residency, "residency"), text_at(residency, "owner"), to)
         << std::flush;
  std::string line;
  return std::getline(*io.in, line) && (line == "y" || line == "Y" || line == "yes");
}

struct Ended {
  SwitchEnd end = SwitchEnd::under_way;
  Json phases = Json::array();
};

// Looks until it has ended or the time is up. An agent that does not answer meanwhile is asked again: the switch does
// not need it to talk to us.
Ended wait_for_end(AgentClient& agent, const Json& order, Micros timeout, std::ostream* talk) {
  const Micros deadline = monotonic_now() + timeout;
  const auto id = text_at(order, "switch"), residency = text_at(order, "residency");
  Ended ended;
  std::set<std::string> told;
  while (true) {
    // The status first: events that came before the end are then among those read after it.
    if (const auto status = agent.get("/v1/status"))
      if (const auto now = residency_in(*status, residency)) ended.end = end_of(order, *now);
    // The other half of a switch happens elsewhere; asking there takes as long as its slowest site, so only at the end.
    const char* where = ended.end == SwitchEnd::under_way ? "" : "&everywhere=1";
    if (const auto events = agent.get(std::string("/v1/events?count=400") + where))
      ended.phases = phases_of(*events, id);
    for (const Json& phase : ended.phases)
      if (told.insert(text_at(phase, "region") + "/" + text_at(phase, "id")).second && talk != nullptr)
        *talk << phase_line(phase) << "\n" << std::flush;
    if (ended.end != SwitchEnd::under_way || monotonic_now() >= deadline) return ended;
    std::this_thread::sleep_for(std::chrono::microseconds(kLook));
  }
}

std::string why_rolled_back(const Json& phases) {
  for (const Json& phase : phases)
    if (text_at(phase, "name") == "switch.rollback") return text_at(phase, "text");
  return "the reason is in the events of both regions";
}

Result<Exit> finish(const Json& order, const Ended& ended, bool json, Io& io) {
  const auto to = text_at(order, "to"), residency = text_at(order, "residency");
  if (json) {
    Json out = order;
    out["phases"] = ended.phases;
    out["outcome"] = ended.end == SwitchEnd::serving       ? "serving"
                     : ended.end == SwitchEnd::rolled_back ? "rolled_back"
                                                           : "under_way";
    io.out << dump(out) << "\n";
  } else if (ended.end == SwitchEnd::serving) {
    io.out << fmt::format("{} is served by {}\n", residency, to);
  }
  switch (ended.end) {
    case SwitchEnd::serving:
      return Exit::ok;
    case SwitchEnd::rolled_back:
      return fail(Kind::unavailable, fmt::format("{} was rolled back: {}", residency, why_rolled_back(ended.phases)),
                  "nothing was lost and its owner serves again; mend the reason and switch again");
    case SwitchEnd::under_way:
      break;
  }
  return fail(Kind::unknown_outcome, fmt::format("{} is still under way", text_at(order, "switch")),
              "it goes on by itself: domicile status --watch");
}

void tell_warnings(const Json& answer, std::ostream& out) {
  if (const Json& warnings = child_at(answer, "warnings"); warnings.is_array())
    for (const Json& each : warnings)
      if (each.is_string()) out << "warning: " << each.get<std::string>() << "\n";
}

// The plan, and what the owner's precheck says now. An agent that has no such question is one version older.
Result<Exit> dry_run(AgentClient& agent, const Args& args, const Json& residency, Io& io) {
  const std::string to = args.get("to"), reason = args.get("reason");
  const auto checked = agent.get(fmt::format("/v1/switch/check?residency={}&to={}&terminate={}", args.words[0], to,
                                             args.has("terminate") ? 1 : 0));
  if (!checked && checked.error().kind != Kind::invalid_input && checked.error().kind != Kind::failed)
    return tl::unexpected<Error>(checked.error());
  if (args.has("json")) {
    Json plan = switch_plan(residency, to, reason);
    plan["precheck"] = checked ? *checked : Json();
    io.out << dump(plan) << "\n";
  } else {
    io.out << switch_plan_text(residency, to, reason);
  }
  if (checked)
    tell_warnings(*checked, io.err);
  else
    io.err << "precheck: not known: " << one_line(checked.error()) << "\n";
  return Exit::ok;
}

Result<Exit> run(const Args& args, Io& io) {
  const std::string to = args.get("to"), reason = args.get("reason");
  const bool json = args.has("json");
  auto agent = TRY(AgentClient::of(args));
  const Json status = TRY(agent.get("/v1/status"));
  const Json residency = TRY(residency_in(status, args.words[0]));
  CHECK_OK(may_switch(status, residency, to));
  if (args.has("dry-run")) return dry_run(agent, args, residency, io);
  if (!args.has("yes")) {
    if (io.in == nullptr) {
      io.err << "error: there is nobody to ask\n  fix: --yes, or run it on a terminal\n";
      return Exit::usage;
    }
    if (!confirmed(residency, to, io)) return fail(Kind::failed, "not confirmed, nothing was done");
  }
  Json question{{"residency", args.words[0]}, {"to", to}, {"reason", reason}};
  if (args.has("terminate")) question["terminate"] = true;
  const Json order = TRY(agent.post("/v1/switch", question));
  tell_warnings(order, io.err);
  io.err << fmt::format("switch {} of {}: {} -> {}\n", text_at(order, "switch"), text_at(order, "residency"),
                        text_at(order, "from"), text_at(order, "to"));
  if (args.has("no-wait")) {
    if (json) io.out << dump(order) << "\n";
    return Exit::ok;
  }
  const Micros timeout = TRY(seconds_of(args.get("timeout", "60"))) * kSecond;
  return finish(order, wait_for_end(agent, order, timeout, &io.err), json, io);
}

}  // namespace

Verb switch_verb() {
  return {"switch",
          "Move a residency to another region without losing a write (a planned switch).",
          {"RESIDENCY"},
          with_agent_options(
              {{"to", "REGION", "Its home or one of its standbys.", true},
               {"reason", "TEXT", "Why; it is kept with the switch.", true},
               {"dry-run", "", "Check, print the steps, change nothing."},
               {"terminate", "", "End the sessions that still hold the fence after its timeout; else it rolls back."},
               {"yes", "", "Do not ask. Needed where nobody can be asked."},
               {"wait", "", "Wait until it serves, and print each phase (as without it)."},
               {"no-wait", "", "Return once the owner has taken the order."},
               {"timeout", "SECONDS", "Wait no longer; the switch goes on by itself (60)."},
               {"json", "", "Print one JSON object."}}),
          {"domicile switch eu --to eu-west-1 --reason 'kernel update' --dry-run",
           "domicile switch eu --to eu-west-1 --reason 'kernel update'",
           "domicile switch eu --to eu-central-1 --reason 'back home' --yes --json"},
          run,
          check};
}

}  // namespace domicile::cli
