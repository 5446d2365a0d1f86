// domicile transfers: what has crossed, as the gate counted it.
#include "base/clock.hpp"
#include "cli/agent_client.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const Json rows = TRY(AgentClient::of_gate(args).get("/v1/transfers"));
  if (!rows.is_array()) return fail(Kind::corrupt, "the gate's answer is no register");
  if (!args.has("json"))
    io.out << fmt::format("{:<44} {:<24} {:<8} {:>12} {:>14}  {}\n", "link", "table", "form", "rows", "bytes", "last");
  for (const Json& row : rows) {
    if (args.has("json")) {
      io.out << dump(row) << "\n";
      continue;
    }
    const auto text = [&](const char* key) { return member_or<std::string>(row, key, "?").value_or("?"); };
    const auto number = [&](const char* key) { return member_or<std::int64_t>(row, key, 0).value_or(0); };
    io.out << fmt::format("{:<44} {:<24} {:<8} {:>12} {:>14}  {}\n", text("link"), text("table"), text("form"),
                          number("rows"), number("bytes"),
                          number("last_at_us") == 0 ? "-" : iso8601(number("last_at_us")));
  }
  return Exit::ok;
}

}  // namespace

Verb transfers_verb() {
  return {"transfers",
          "Print this region's transfer register: rows and bytes that the gate has let out, by link, table and form.",
          {},
          with_gate_option({{"json", "", "Print one JSON object per line of the register."}}),
          {"domicile transfers", "domicile transfers --json"},
          run};
}

}  // namespace domicile::cli
