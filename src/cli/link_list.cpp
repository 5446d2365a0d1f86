// domicile link list: what may leave this region, and what is held.
#include "cli/agent_client.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const Json links = TRY(AgentClient::of_gate(args).get("/v1/links"));
  if (!links.is_array()) return fail(Kind::corrupt, "the gate's answer is no list of links");
  bool held = false;
  for (const Json& link : links) {
    const bool is_held = link.contains("held") && link["held"].is_object();
    held |= is_held;
    if (args.has("json")) {
      io.out << dump(link) << "\n";
      continue;
    }
    const auto text = [&](const char* key) { return member_or<std::string>(link, key, "?").value_or("?"); };
    const bool streams = member_or<bool>(link, "streams", false).value_or(false);
    io.out << fmt::format("{:<44} {:<14} {:<8} {}\n", text("link"), text("to"), text("form"),
                          is_held && member_or<bool>(link["held"], "fresh_slot", false).value_or(false)
                              ? "waits for a fresh slot"
                          : is_held ? "held"
                          : streams ? "streams"
                                    : "idle");
    if (is_held)
      io.out << fmt::format("    rule {}: {}\n", member_or<std::string>(link["held"], "rule", "?").value_or("?"),
                            member_or<std::string>(link["held"], "what", "?").value_or("?"));
  }
  if (held) io.err << "a held link stays cut until a person has looked: domicile link resume LINK --reason …\n";
  return held ? Exit::broken : Exit::ok;
}

}  // namespace

Verb link_list_verb() {
  return {"link list",
          "List what may leave this region, to whom and in which form; exit code 4 when a link is held.",
          {},
          with_gate_option({{"json", "", "Print one JSON object per link."}}),
          {"domicile link list", "domicile link list --json"},
          run};
}

}  // namespace domicile::cli
