// domicile quorum adopt: a quorum that was restored from a backup is believed again, above every epoch that was ever
// opened.
#include "cli/agent_client.hpp"
#include "cli/registry.hpp"
#include "cli/status_view.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  auto agent = TRY(AgentClient::of(args));
  Json question = {{"reason", args.get("reason")}};
  for (const char* name : {"residency", "owner"})
    if (args.has(name)) question[name] = args.get(name);
  const Json answer = TRY(agent.post("/v1/quorum/adopt", question));
  if (args.has("json")) {
    io.out << dump(answer) << "\n";
    return Exit::ok;
  }
  if (const Json& list = child_at(answer, "adopted"); list.is_array())
    for (const Json& each : list)
      io.out << (true_at(each, "adopted")
                     ? fmt::format("{}: epoch {} for {}\n", text_at(each, "residency"),
                                   number_at(each, "epoch").value_or(0), text_at(each, "owner"))
                     : fmt::format("{}: was not behind, stays at epoch {}\n", text_at(each, "residency"),
                                   number_at(each, "epoch").value_or(0)));
  return Exit::ok;
}

Result<void> check(const Args& args) {
  CHECK_OK(check_agent_options(args));
  if (args.has("owner") && !args.has("residency"))
    return fail(Kind::invalid_input, "--owner needs --residency", "an owner is chosen for one residency at a time");
  return {};
}

}  // namespace

Verb quorum_adopt_verb() {
  return {"quorum adopt",
          "Believe a restored quorum again: every residency goes above the highest epoch on the sites' disks.",
          {},
          with_agent_options({{"reason", "TEXT", "Why; it is kept with your name.", true},
                              {"residency", "NAME", "Only this one."},
                              {"owner", "REGION", "Who is to own it; else the owner of the highest epoch."},
                              {"json", "", "Print one JSON object."}}),
          {"domicile quorum adopt --reason 'etcd restored from the backup of 04:00'",
           "domicile quorum adopt --reason 'us-east-1 is lost' --residency us --owner eu-central-1"},
          run,
          check};
}

}  // namespace domicile::cli
