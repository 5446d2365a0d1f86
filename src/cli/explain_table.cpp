#include "base/file.hpp"
#include "base/json.hpp"
#include "cli/registry.hpp"
#include "core/residency/links.hpp"
#include "core/topology/parse.hpp"

namespace domicile::cli {
namespace {

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
  const std::string hash = residency::policy_hash(topology);
  if (args.has("json")) {
    io.out << dump({{"table", table->qualified()}, {"holds", rows}, {"policy_hash", hash}}) << "\n";
    return Exit::ok;
  }
  for (const auto& row : rows) {
    std::string columns;
    for (const auto& column : row["columns"]) columns += (columns.empty() ? "" : ", ") + column.get<std::string>();
    io.out << fmt::format("{:<16} {:<16} {:<8} {}\n", row["residency"].get<std::string>(),
                          row["region"].get<std::string>(), row["form"].get<std::string>(), columns);
  }
  io.out << "\npolicy " << hash << "\n";
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
