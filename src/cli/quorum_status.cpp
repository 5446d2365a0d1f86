// domicile quorum status: can the quorum be asked, and can it be believed?
#include "cli/agent_client.hpp"
#include "cli/registry.hpp"
#include "cli/status_view.hpp"

namespace domicile::cli {
namespace {

std::vector<std::string> row_of(const Json& residency, const Json& epochs) {
  const auto name = text_at(residency, "residency");
  const Json& known = child_at(epochs, name.c_str());
  const auto quorum = number_at(residency, "epoch"), disk = number_at(known, "epoch");
  const auto distrusted = text_at(residency, "distrusted");
  return {name, quorum ? fmt::format("{} {}", *quorum, text_at(residency, "owner")) : "-",
          disk && *disk > 0 ? fmt::format("{} {}", *disk, text_at(known, "owner")) : "-",
          distrusted.empty() ? "believed" : "distrusted: " + distrusted};
}

Result<Exit> run(const Args& args, Io& io) {
  auto agent = TRY(AgentClient::of(args));
  const Json status = TRY(agent.get("/v1/status")), epochs = TRY(agent.get("/v1/epochs"));
  const Json& quorum = child_at(status, "quorum");
  bool sound = text_at(quorum, "trouble").empty() && number_at(quorum, "answered_ms_ago");
  std::vector<std::vector<std::string>> rows = {{"RESIDENCY", "QUORUM", "THIS SITE'S DISK", ""}};
  Json list = Json::array();
  if (const Json& residencies = child_at(status, "residencies"); residencies.is_array())
    for (const Json& each : residencies) {
      rows.push_back(row_of(each, epochs));
      sound = sound && text_at(each, "distrusted").empty();
      const auto name = text_at(each, "residency");
      list.push_back({{"residency", name},
                      {"epoch", number_at(each, "epoch") ? Json(*number_at(each, "epoch")) : Json()},
                      {"disk", child_at(epochs, name.c_str())},
                      {"distrusted", text_at(each, "distrusted")}});
    }
  if (args.has("json"))
    io.out << dump({{"region", text_at(status, "region")}, {"quorum", quorum}, {"residencies", list}, {"sound", sound}})
           << "\n";
  else
    io.out << "quorum  " << quorum_line(status) << "\n\n" << columns_text(rows, {io.terminal, 0});
  return sound ? Exit::ok : Exit::unsafe;
}

}  // namespace

Verb quorum_status_verb() {
  return {"quorum status",
          "Say whether the quorum answers, how full it is, and whether it is believed (else the exit code is 5).",
          {},
          with_agent_options({{"json", "", "Print one JSON object."}}),
          {"domicile quorum status", "domicile quorum status --json"},
          run,
          check_agent_options};
}

}  // namespace domicile::cli
