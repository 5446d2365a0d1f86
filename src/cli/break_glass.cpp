// domicile break-glass: opening a residency without a quorum, on a person's word that nobody else writes.
#include "cli/agent_client.hpp"
#include "cli/registry.hpp"
#include "cli/status_view.hpp"

namespace domicile::cli {
namespace {

Result<Json> attested(const Args& args) {
  Json out = Json::object();
  for (const std::string& each : args.all("attest")) {
    const auto equals = each.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == each.size())
      return fail(Kind::invalid_input, "'" + each + "' is not REGION=TEXT", "--attest us-east-1='powered off by ...'");
    if (!out.emplace(each.substr(0, equals), each.substr(equals + 1)).second)
      return fail(Kind::invalid_input, each.substr(0, equals) + " is attested twice");
  }
  return out;
}

// What it does or has done, and what stands for the missing quorum.
std::string plan_text(const Json& plan) {
  std::string out = fmt::format("{}: {} at epoch {}, after {}\n", text_at(plan, "residency"), text_at(plan, "owner"),
                                number_at(plan, "epoch").value_or(0), text_at(plan, "from"));
  const auto lines = [&](const char* name, const char* member) {
    if (const Json& list = child_at(plan, member); list.is_array())
      for (const Json& each : list)
        if (each.is_string()) out += fmt::format("  {}: {}\n", name, each.get<std::string>());
  };
  lines("proof", "proofs");
  lines("warning", "warnings");
  return out;
}

Result<void> check(const Args& args) {
  CHECK_OK(check_agent_options(args));
  (void)TRY(attested(args));
  return {};
}

Result<Exit> run(const Args& args, Io& io) {
  auto agent = TRY(AgentClient::of(args));
  const std::string& residency = args.words[0];
  Json question{{"residency", residency}, {"by", args.get("by")}, {"reason", args.get("reason")}};
  question["attest"] = TRY(attested(args));
  if (args.has("dry-run")) {
    question["dry_run"] = true;
    const Json plan = TRY(agent.post("/v1/break-glass", question));
    io.out << (args.has("json") ? dump(plan) + "\n" : plan_text(plan));
    return Exit::ok;
  }
  if (!args.has("yes")) {
    if (io.in == nullptr) {
      io.err << "error: there is nobody to ask\n  fix: --yes, or run it on a terminal\n";
      return Exit::usage;
    }
    io.err << "If another region can still write, two histories begin and one of them is lost.\nType '" << residency
           << "' to open it here without a quorum: " << std::flush;
    std::string line;
    if (!std::getline(*io.in, line) || line != residency) return fail(Kind::failed, "not confirmed, nothing was done");
  }
  const Json answer = TRY(agent.post("/v1/break-glass", question));
  io.out << (args.has("json") ? dump(answer) + "\n" : plan_text(answer));
  io.err << residency << " is open here without a quorum; restore the quorum, then: domicile quorum adopt\n";
  return Exit::ok;
}

}  // namespace

Verb break_glass_verb() {
  return {"break-glass",
          "Open a residency at this region without a quorum, when the other sites are proven to be fenced.",
          {"RESIDENCY"},
          with_agent_options(
              {{"by", "NAME", "Who answers for it.", true},
               {"reason", "TEXT", "Why; it is kept with that name.", true},
               {"attest", "REGION=TEXT",
                "How it is known that this site cannot write. Needed for each site that does not answer.", false, true},
               {"dry-run", "", "Ask the other sites, print epoch and proofs, change nothing."},
               {"yes", "", "Do not ask. Needed where nobody can be asked."},
               {"json", "", "Print one JSON object."}}),
          {"domicile break-glass eu --by 'A. Muster' --reason 'etcd is lost at two sites' "
           "--attest eu-central-1='powered off, ticket 4711' --attest us-east-1='powered off, ticket 4712'"},
          run,
          check};
}

}  // namespace domicile::cli
