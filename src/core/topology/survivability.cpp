#include "core/topology/survivability.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace domicile::topology {

std::vector<std::string> lawful_standbys(const Topology& topology, const Residency& residency) {
  std::vector<std::string> out;
  for (const Region& region : topology.regions)
    if (region.name != residency.home && form_in(residency, region.jurisdiction) == Form::full)
      out.push_back(region.name);
  std::sort(out.begin(), out.end());
  return out;
}

std::string_view name_of(Fate::Kind kind) {
  switch (kind) {
    case Fate::Kind::serve:
      return "serve";
    case Fate::Kind::switch_over:
      return "switch";
    case Fate::Kind::outage:
      return "outage";
    case Fate::Kind::writes_stop:
      return "writes-stop";
  }
  return "serve";
}

std::string sentence(const Fate& fate) {
  switch (fate.kind) {
    case Fate::Kind::serve:
      return fate.writes_wait ? "writes wait for a standby" : "serve";
    case Fate::Kind::switch_over:
      return "switch to " + fate.to + (fate.asks ? " (asks)" : "") + (fate.writes_wait ? ", then writes wait" : "");
    case Fate::Kind::outage:
      return fate.could.empty() ? "outage by law"
                                : fmt::format("outage: no standby named ({} could be)", fmt::join(fate.could, ", "));
    case Fate::Kind::writes_stop:
      return "writes stop when leases end";
  }
  return "";
}

std::vector<std::string> losses_of(const Topology& topology) {
  const auto sites = sites_of(topology);
  std::vector<std::string> losses(sites.begin(), sites.end());
  losses.emplace_back(kMinority);
  losses.emplace_back(kMajority);
  return losses;
}

std::vector<Fate> survivability(const Topology& topology) {
  auto residencies = topology.residencies;
  std::sort(residencies.begin(), residencies.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  // With fewer than three sites a single loss takes the majority with it.
  const bool one_is_too_many = sites_of(topology).size() < 3;
  std::vector<Fate> fates;
  for (const Residency& residency : residencies)
    for (const std::string& lost : losses_of(topology)) {
      Fate fate{residency.name, lost};
      const bool site = lost != kMinority && lost != kMajority;
      if (lost == kMajority || (site && one_is_too_many)) {
        fate.kind = Fate::Kind::writes_stop;
      } else if (residency.home == lost) {
        fate.kind = residency.standby.empty() ? Fate::Kind::outage : Fate::Kind::switch_over;
        if (residency.standby.empty()) {
          fate.could = lawful_standbys(topology, residency);
        } else {
          fate.to = residency.standby.front();
          fate.asks = residency.failover == Failover::approve;
        }
      }
      const auto owners = owners_of(residency);
      fate.writes_wait = residency.rpo == 0 && residency.without_standby == WithoutStandby::stop &&
                         owners.size() == 2 && std::ranges::find(owners, lost) != owners.end() &&
                         fate.kind != Fate::Kind::writes_stop;
      fates.push_back(std::move(fate));
    }
  return fates;
}

}  // namespace domicile::topology
