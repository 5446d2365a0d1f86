// domicile tenant move: gives one tenant another residency, while its clients write.
#include <set>
#include <thread>

#include "base/clock.hpp"
#include "cli/agent_client.hpp"
#include "cli/registry.hpp"
#include "cli/status_view.hpp"
#include "cli/switch_view.hpp"
#include "core/moves/move.hpp"

namespace domicile::cli {
namespace {

constexpr Micros kLook = 100 * kMillisecond;

Result<void> check(const Args& args) {
  CHECK_OK(check_agent_options(args));
  if (args.has("abort") == args.has("to"))
    return fail(Kind::invalid_input, "a move needs --to RESIDENCY, or --abort to take one back");
  return {};
}

std::string what_crosses(const Json& plan) {
  std::string text = fmt::format("{}: {} -> {} ({} -> {}), ", text_at(plan, "tenant"), text_at(plan, "from"),
                                 text_at(plan, "to"), text_at(plan, "from_region"), text_at(plan, "to_region"));
  return text + (text_at(plan, "form") == "full" ? "all columns"
                                                 : "without personal columns, which are deleted where they are");
}

Micros timeout_of(const Args& args) { return std::strtoll(args.get("timeout", "600").c_str(), nullptr, 10) * kSecond; }

struct Ended {
  std::optional<moves::Move> move;  // as it was last seen
  Json phases = Json::array();
};

Ended wait_for_end(AgentClient& agent, const Json& order, Micros timeout, std::ostream& talk) {
  const Micros deadline = monotonic_now() + timeout;
  const auto id = text_at(order, "id");
  Ended ended;
  std::string told, waits;
  for (;; std::this_thread::sleep_for(std::chrono::microseconds(kLook))) {
    if (const auto found = agent.post("/v1/moves/find", {{"tenant", text_at(order, "tenant")}}))
      if (const auto move = moves::move_of(child_at(*found, "move")); move && move->id == id) ended.move = *move;
    if (ended.move && moves::name_of(ended.move->phase) != told) {
      told = moves::name_of(ended.move->phase);
      talk << "  " << told << (ended.move->note.empty() ? "" : ": " + ended.move->note) << "\n" << std::flush;
    }
    if (ended.move && !moves::live(ended.move->phase)) break;
    if (const auto live = agent.get("/v1/moves"); live && live->is_array())
      for (const Json& each : *live)
        if (text_at(each, "id") == id && !text_at(each, "waits").empty() && text_at(each, "waits") != waits)
          talk << "    waits: " << (waits = text_at(each, "waits")) << "\n" << std::flush;
    if (monotonic_now() >= deadline) break;
  }
  if (const auto events = agent.get("/v1/events?count=400&everywhere=1")) ended.phases = phases_of(*events, id);
  return ended;
}

Result<Exit> finish(const Json& order, const Ended& ended, bool json, Io& io) {
  const bool over = ended.move && !moves::live(ended.move->phase);
  const auto outcome = over ? std::string(moves::name_of(ended.move->phase)) : "under_way";
  if (json) {
    Json out = order;
    out.erase("phase");
    out["outcome"] = outcome;
    out["note"] = ended.move ? ended.move->note : "";
    out["phases"] = ended.phases;
    io.out << dump(out) << "\n";
  }
  if (outcome == "done") {
    if (!json) io.out << fmt::format("{} lives in {}\n", text_at(order, "tenant"), text_at(order, "to"));
    return Exit::ok;
  }
  if (outcome == "aborted")
    return fail(Kind::failed,
                fmt::format("the move of {} was taken back: {}", text_at(order, "tenant"), ended.move->note),
                "nothing was lost, it lives where it lived; mend the reason and move it again");
  return fail(Kind::unknown_outcome, fmt::format("{} is still under way", text_at(order, "id")),
              "it goes on by itself: domicile status");
}

Result<Exit> abort(AgentClient& agent, const Args& args, Io& io) {
  const Json order = TRY(agent.post("/v1/moves/abort", {{"tenant", args.words[0]}, {"reason", args.get("reason")}}));
  io.err << fmt::format("move {}: taken back\n", text_at(order, "id"));
  if (args.has("no-wait")) return Exit::ok;
  const auto ended = wait_for_end(agent, order, timeout_of(args), io.err);
  if (ended.move && ended.move->phase == moves::Phase::aborted) {
    io.out << fmt::format("{} lives in {}, as before\n", args.words[0], ended.move->from);
    return Exit::ok;
  }
  return finish(order, ended, false, io);
}

Result<Exit> run(const Args& args, Io& io) {
  auto agent = TRY(AgentClient::of(args));
  if (args.has("abort")) return abort(agent, args, io);
  Json question{{"tenant", args.words[0]},
                {"to", args.get("to")},
                {"reason", args.get("reason")},
                {"without_personal", args.has("without-personal")}};
  Json asked = question;
  asked["dry_run"] = true;
  const Json plan = TRY(agent.post("/v1/moves", asked));
  const bool json = args.has("json");
  if (args.has("dry-run")) {
    io.out << (json ? dump(plan) : what_crosses(plan)) << "\n";
    return Exit::ok;
  }
  if (!args.has("yes")) {
    if (io.in == nullptr) {
      io.err << "error: there is nobody to ask\n  fix: --yes, or run it on a terminal\n";
      return Exit::usage;
    }
    io.err << what_crosses(plan) << "\nMove it? Its requests wait for about two seconds. [y/N] " << std::flush;
    std::string line;
    if (!std::getline(*io.in, line) || (line != "y" && line != "Y" && line != "yes"))
      return fail(Kind::failed, "not confirmed, nothing was done");
  }
  const Json order = TRY(agent.post("/v1/moves", question));
  io.err << fmt::format("move {} of {}\n", text_at(order, "id"), what_crosses(order));
  if (args.has("no-wait")) {
    if (json) io.out << dump(order) << "\n";
    return Exit::ok;
  }
  return finish(order, wait_for_end(agent, order, timeout_of(args), io.err), json, io);
}

}  // namespace

Verb tenant_move_verb() {
  return {"tenant move",
          "Give a tenant another residency: copy its rows, hold its requests for the rest, delete the old ones.",
          {"TENANT"},
          with_agent_options(
              {{"to", "RESIDENCY", "Where it is to live."},
               {"reason", "TEXT", "Why; needed where a stricter law is left. Every region keeps it: no personal data."},
               {"without-personal", "", "Leave personal columns behind, where the law keeps them; they are deleted."},
               {"abort", "",
                "Take back the move that is under way. Once the directory names the new residency it cannot be."},
               {"dry-run", "", "Say whether it is lawful and what would go over; change nothing."},
               {"yes", "", "Do not ask. Needed where nobody can be asked."},
               {"no-wait", "", "Return once the directory's owner has taken the order."},
               {"timeout", "SECONDS", "Wait no longer; the move goes on by itself (600).", false, false, valid_count},
               {"json", "", "Print one JSON object."}}),
          {"domicile tenant move acme --to eu --reason 'now a company of the EU' --dry-run",
           "domicile tenant move acme --to eu --reason 'now a company of the EU'",
           "domicile tenant move acme --to us --without-personal --reason 'asked for in writing on 2026-11-02' --yes",
           "domicile tenant move acme --abort"},
          run,
          check};
}

}  // namespace domicile::cli
