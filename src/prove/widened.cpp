#include "prove/widened.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "core/topology/parse.hpp"
#include "prove/places.hpp"

namespace domicile::prove {
namespace {

Result<std::string> widened(const std::string& text, const Breach& breach, const topology::Topology& topology) {
  try {
    YAML::Node root = YAML::Load(text);
    YAML::Node wide = YAML::Clone(root["residencies"][breach.residency]);
    for (const auto& region : topology.regions) wide["holds"][region.jurisdiction.str()] = "full";
    root["residencies"][kWidened] = wide;
    return YAML::Dump(root) + "\n";
  } catch (const YAML::Exception& e) {
    return fail(Kind::invalid_input, std::string("the topology cannot be widened: ") + e.what());
  }
}

}  // namespace

Result<Breach> breach_of(const topology::Topology& topology) {
  for (const auto& residency : topology.residencies)
    for (const std::string& site : forbidden_sites(topology, residency.name)) {
      const auto served = std::ranges::find_if(topology.residencies, [&](const topology::Residency& other) {
        return other.name != topology::kDirectory && other.home == site;
      });
      if (topology::region_of(topology, site) != nullptr && served != topology.residencies.end())
        return Breach{residency.name, residency.home, site, served->name};
    }
  return fail(Kind::refused, "no region owns a residency and may not hold another one in full: nothing can leak");
}

Result<fs::path> write_widened(const fs::path& file, const fs::path& folder) {
  const std::string text = TRY(read_file(file));
  const auto topology = TRY(topology::load(text, file.string()));
  if (topology::residency_of(topology, kWidened) != nullptr)
    return fail(Kind::conflict, fmt::format("the topology has a residency {} of its own", kWidened));
  const Breach breach = TRY(breach_of(topology));
  const std::string wide = TRY(widened(text, breach, topology));
  const fs::path target = folder / file.filename();
  (void)TRY(topology::load(wide, target.string()));
  CHECK_OK(write_file(target, wide));
  std::error_code code;
  for (const auto& beside : fs::directory_iterator(fs::absolute(file).parent_path(), code))
    if (beside.path().extension() == ".sql")
      CHECK_OK(write_file(folder / beside.path().filename(), TRY(read_file(beside.path()))));
  return target;
}

}  // namespace domicile::prove
