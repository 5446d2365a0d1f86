#include "core/residency/links.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.hpp"
#include "base/sha256.hpp"

namespace domicile::residency {

using topology::Topology;

std::string salvage_publication(std::string_view residency) {
  std::string name = fmt::format("domicile_salvage_{}", residency);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::vector<Link> links_of(const Topology& topology) {
  auto receivers = topology.regions;
  std::sort(receivers.begin(), receivers.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  auto residencies = topology.residencies;
  std::sort(residencies.begin(), residencies.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::vector<Link> links;
  for (const auto& residency : residencies)
    for (const auto& from : topology::owners_of(residency))
      for (const auto& to : receivers) {
        const Form form = topology::form_in(residency, to.jurisdiction);
        if (to.name == from || form == Form::none) continue;
        links.push_back({residency.name, from, to.name, form});
      }
  return links;
}

std::vector<Link> active_links(const Topology& topology, const Owners& owners) {
  auto links = links_of(topology);
  std::erase_if(links, [&](const Link& link) {
    const auto owner = owners.find(link.residency);
    return owner == owners.end() || owner->second != link.from;
  });
  return links;
}

std::vector<std::string> columns_for(const topology::Table& table, Form form) {
  if (form == Form::none) return {};
  std::vector<std::string> columns{table.residency, table.tenant};
  columns.insert(columns.end(), table.shared.begin(), table.shared.end());
  if (form == Form::full) columns.insert(columns.end(), table.personal.begin(), table.personal.end());
  return columns;
}

std::string policy_text(const Topology& topology) {
  // nlohmann's objects are sorted by key; lists whose order means nothing are sorted here, `standby` is a preference.
  Json policy = {
      {"domicile", 1}, {"regions", Json::object()}, {"residencies", Json::object()}, {"data", Json::object()}};
  for (const auto& region : topology.regions) policy["regions"][region.name.str()] = region.jurisdiction.str();
  for (const auto& residency : topology.residencies) {
    Json holds = Json::object();
    for (const auto& [jurisdiction, form] : residency.holds)
      if (form != Form::none) holds[jurisdiction.str()] = topology::name_of(form);
    Json standby = Json::array();
    for (const auto& region : residency.standby) standby.push_back(region.str());
    policy["residencies"][residency.name.str()] = {
        {"home", residency.home.str()}, {"standby", standby}, {"holds", holds}, {"reads", name_of(residency.reads)}};
  }
  const auto sorted = [](const std::vector<topology::Identifier>& names) {
    std::vector<std::string> texts(names.begin(), names.end());
    std::sort(texts.begin(), texts.end());
    return texts;
  };
  for (const auto& table : topology.tables)
    policy["data"][table.qualified()] = {{"tenant", table.tenant.str()},
                                         {"residency", table.residency.str()},
                                         {"personal", sorted(table.personal)},
                                         {"shared", sorted(table.shared)}};
  return dump(policy);
}

std::vector<CarriedTable> carried_tables(const Topology& topology, std::string_view residency, Form form) {
  if (residency == topology::kDirectory)
    return {{"domicile", "tenant", "", {"tenant_id", "residency", "tombstone", "moving", "move"}},
            {"domicile", "host", "", {"host", "tenant_id"}}};
  std::vector<CarriedTable> tables;
  for (const auto& table : topology.tables)
    tables.push_back({table.schema, table.name, table.residency, columns_for(table, form)});
  return tables;
}

CarriedTable marker_table() {
  return {"domicile", "marker", "residency", {"residency", "clock_us", "epoch", "lsn", "sequences"}};
}

std::string policy_hash(const Topology& topology) { return sha256_hex(policy_text(topology)); }

}  // namespace domicile::residency
