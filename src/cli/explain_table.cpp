#include "base/file.hpp"
#include "base/json.hpp"
#include "cli/explain_layers.hpp"
#include "cli/registry.hpp"
#include "core/residency/links.hpp"
#include "core/topology/parse.hpp"

namespace domicile::cli {
namespace {

std::string listed(const topology::Table& table, topology::Form form) {
  if (form == topology::Form::none) return "nothing of it";
  std::string columns;
  for (const auto& column : residency::columns_for(table, form)) columns += (columns.empty() ? "" : ", ") + column;
  return fmt::format("{}: {}", topology::name_of(form), columns);
}

// The law of each residency and region, then what a link lets out, with every residency at home, then the database.
std::vector<LayerDecision> layers_of(const topology::Topology& topology, const topology::Table& table) {
  std::vector<LayerDecision> out;
  residency::Owners homes;
  for (const auto& residency : topology.residencies) {
    if (residency.name == topology::kDirectory) continue;
    homes[residency.name] = residency.home;
    for (const auto& region : topology.regions)
      out.push_back({"law",
                     fmt::format("{} holds of {} {}", region.name.str(), residency.name.str(),
                                 listed(table, topology::form_in(residency, region.jurisdiction))),
                     fmt::format("residencies.{}.holds.{}", residency.name.str(), region.jurisdiction.str())});
  }
  for (const auto& link : residency::active_links(topology, homes))
    out.push_back(
        {"replication",
         fmt::format("{} -> {}, rows of {}, {}", link.from, link.to, link.residency, listed(table, link.form)),
         "publication " + residency::name_of(link)});
  out.push_back({"database",
                 fmt::format("rows are written at the owner of their {} only, while its lease lasts, and only where "
                             "it is that of their {}",
                             table.residency.str(), table.tenant.str()),
                 "guard: DM001, DM002"});
  out.push_back({"database",
                 fmt::format("a value of a personal column is stored only where the {} of its row is held in full",
                             table.residency.str()),
                 "law: DM008"});
  return out;
}

Result<Exit> run(const Args& args, Io& io) {
  const std::string file = args.get("topology", "topology.yaml");
  const auto topology = TRY(topology::load(TRY(read_file(file)), file));
  const auto* table = topology::table_of(topology, args.words[0]);
  if (!table)
    return fail(Kind::refused, "no table '" + args.words[0] + "' is mapped: its rows may be nowhere but where they are",
                "map it below 'data' in " + file);
  Json rows = Json::array();
  for (const auto& residency : topology.residencies) {
    if (residency.name == topology::kDirectory) continue;
    for (const auto& region : topology.regions) {
      const auto form = topology::form_in(residency, region.jurisdiction);
      rows.push_back(
          {{"residency", residency.name.str()},
           {"region", region.name.str()},
           {"form", topology::name_of(form)},
           {"columns", residency::columns_for(*table, form)},
           {"rule", fmt::format("residencies.{}.holds.{}", residency.name.str(), region.jurisdiction.str())}});
    }
  }
  const auto layers = layers_of(topology, *table);
  const std::string hash = residency::policy_hash(topology);
  if (args.has("json"))
    io.out << dump({{"table", table->qualified()},
                    {"holds", rows},
                    {"layers", layers_json(layers)},
                    {"policy_hash", hash}})
           << "\n";
  else
    io.out << layers_text(layers, io.terminal) << "\npolicy " << hash << "\n";
  return Exit::ok;
}

}  // namespace

Verb explain_table_verb() {
  return {"explain table",
          "Say which columns of a table each region may hold, and by which rule.",
          {"TABLE"},
          {{"topology", "FILE", "The topology (topology.yaml)."}, {"json", "", "Print one JSON object."}},
          {"domicile explain table app.orders --topology examples/three-regions/topology.yaml"},
          run};
}

}  // namespace domicile::cli
