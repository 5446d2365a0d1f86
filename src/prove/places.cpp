#include "prove/places.hpp"

namespace domicile::prove {

std::vector<std::string> forbidden_sites(const topology::Topology& topology, const std::string& residency) {
  std::vector<std::string> sites;
  const auto* rules = topology::residency_of(topology, residency);
  for (const auto& site : topology::sites_of(topology))
    if (rules == nullptr || topology::form_at(topology, *rules, site.str()) != topology::Form::full)
      sites.push_back(site);
  return sites;
}

Result<std::vector<census::Place>> forbidden_places(const drill::Field&, const std::string&, const fs::path&) {
  return fail(Kind::unavailable, "not there yet");
}

}  // namespace domicile::prove
