// domicile link resume: a person has looked at why a link was cut.
#include <pwd.h>
#include <unistd.h>

#include "cli/agent_client.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

std::string whoever_asks() {
  const passwd* user = ::getpwuid(::getuid());
  return user == nullptr ? std::to_string(::getuid()) : user->pw_name;
}

Result<Exit> run(const Args& args, Io& io) {
  const bool fresh_slot = args.has("fresh-slot");
  const Json order{
      {"link", args.words[0]}, {"reason", args.get("reason")}, {"by", whoever_asks()}, {"fresh_slot", fresh_slot}};
  const Json was = TRY(AgentClient::of_gate(args).post("/v1/links/resume", order));
  if (args.has("json")) io.out << dump(was) << "\n";
  io.err << args.words[0]
         << (fresh_slot ? " gets a fresh slot, over which its copy is compared and made equal: domicile link list\n"
                        : " may go on. The same log is judged again: if what is unlawful lies in it, it cuts the link "
                          "again, and --fresh-slot leads around it\n");
  return Exit::ok;
}

}  // namespace

Verb link_resume_verb() {
  return {
      "link resume",
      "Let a link go on that the gate has cut.",
      {"LINK"},
      with_gate_option({{"reason", "TEXT", "What you have looked at; it is logged with your name.", true},
                        {"fresh-slot", "",
                         "Give up what the log of its slot holds, where rows that may not leave lie in it: the copy is "
                         "compared with this region over a fresh slot, and is no target of a switch until then."},
                        {"json", "", "Print one JSON object."}}),
      {"domicile link resume domicile_us_us_east_1_eu_central_1 --reason 'the gate had an older topology, restarted'",
       "domicile link resume domicile_us_us_east_1_eu_central_1 --fresh-slot --reason 'publication was altered by "
       "hand'"},
      run};
}

}  // namespace domicile::cli
