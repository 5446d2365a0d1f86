#include "core/topology/topology.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/topology/names.hpp"

namespace domicile::topology {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }

template <class Range, class Get>
auto* find_named(Range& range, Get get, std::string_view name) {
  const auto it = std::find_if(range.begin(), range.end(), [&](const auto& item) { return get(item) == name; });
  return it == range.end() ? nullptr : &*it;
}

}  // namespace

bool SiteKind::valid(std::string_view text) { return follows(kSiteRule, text); }
bool ResidencyKind::valid(std::string_view text) {
  return follows(kSiteRule, text) && std::ranges::find(kReservedResidencies, text) == kReservedResidencies.end();
}
bool JurisdictionKind::valid(std::string_view text) { return follows(kJurisdictionRule, text); }
bool IdentifierKind::valid(std::string_view text) { return follows(kIdentifierRule, text); }

std::string_view name_of(Form form) {
  switch (form) {
    case Form::none:
      return "none";
    case Form::reduced:
      return "reduced";
    case Form::full:
      return "full";
  }
  return "none";
}

std::string_view name_of(Failover failover) { return failover == Failover::automatic ? "automatic" : "approve"; }
std::string_view name_of(Failback failback) { return failback == Failback::automatic ? "automatic" : "manual"; }
std::string_view name_of(Reapply reapply) { return reapply == Reapply::inserts ? "inserts" : "nothing"; }
std::string_view name_of(WithoutStandby without) { return without == WithoutStandby::stop ? "stop" : "go_on"; }
std::string_view name_of(Reads reads) { return reads == Reads::fresh ? "fresh" : "stale"; }

namespace {
constexpr std::array<std::pair<ObjectKind, std::string_view>, 10> kObjectKinds{{
    {ObjectKind::table, "table"},
    {ObjectKind::foreign_table, "foreign table"},
    {ObjectKind::foreign_server, "foreign server"},
    {ObjectKind::extension, "extension"},
    {ObjectKind::view, "view"},
    {ObjectKind::materialized_view, "materialized view"},
    {ObjectKind::function, "function"},
    {ObjectKind::sequence, "sequence"},
    {ObjectKind::large_objects, "large objects"},
    {ObjectKind::slot, "slot"},
}};
}  // namespace

std::string_view name_of(ObjectKind kind) {
  for (const auto& [each, name] : kObjectKinds)
    if (each == kind) return name;
  return "?";
}
std::optional<ObjectKind> object_kind_of(std::string_view text) {
  for (const auto& [each, name] : kObjectKinds)
    if (name == text) return each;
  return std::nullopt;
}

std::optional<Date> date_of(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto number = [&](std::size_t at, std::size_t size) {
    int value = 0;
    for (const char c : text.substr(at, size)) {
      if (!digit(c)) return -1;
      value = value * 10 + (c - '0');
    }
    return value;
  };
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  if (year < 1 || month < 0 || day < 0) return std::nullopt;
  const Date date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                  std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return date;
}

Date date_at(Micros wall) {
  return std::chrono::floor<std::chrono::days>(
      std::chrono::sys_time<std::chrono::microseconds>(std::chrono::microseconds(wall)));
}

std::string date_text(Date date) {
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

const Region* region_of(const Topology& topology, std::string_view name) {
  return find_named(
      topology.regions, [](const Region& region) { return std::string_view(region.name.str()); }, name);
}

const Residency* residency_of(const Topology& topology, std::string_view name) {
  return find_named(
      topology.residencies, [](const Residency& residency) { return std::string_view(residency.name.str()); }, name);
}

const Table* table_of(const Topology& topology, std::string_view qualified) {
  return find_named(
      topology.tables, [](const Table& table) { return table.qualified(); }, qualified);
}

std::string link_name(std::string_view residency, std::string_view from, std::string_view to) {
  std::string name = fmt::format("domicile_{}_{}_{}", residency, from, to);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

const Residency& directory_of(const Topology& topology) { return *residency_of(topology, kDirectory); }

Form form_in(const Residency& residency, const Jurisdiction& jurisdiction) {
  const auto it = residency.holds.find(jurisdiction);
  return it == residency.holds.end() ? Form::none : it->second;
}

Form form_at(const Topology& topology, const Residency& residency, std::string_view region) {
  const Region* found = region_of(topology, region);
  return found ? form_in(residency, found->jurisdiction) : Form::none;
}

std::vector<RegionName> owners_of(const Residency& residency) {
  std::vector<RegionName> owners{residency.home};
  owners.insert(owners.end(), residency.standby.begin(), residency.standby.end());
  return owners;
}

bool may_own(const Residency& residency, std::string_view region) {
  return residency.home == region || std::any_of(residency.standby.begin(), residency.standby.end(),
                                                 [&](const RegionName& standby) { return standby == region; });
}

std::vector<RegionName> sites_of(const Topology& topology) {
  std::vector<RegionName> sites = topology.voters;
  for (const Region& region : topology.regions) sites.push_back(region.name);
  std::sort(sites.begin(), sites.end());
  return sites;
}

}  // namespace domicile::topology
