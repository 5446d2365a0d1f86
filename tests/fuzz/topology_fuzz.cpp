// Any bytes: a topology or problems, never a crash; and whoever gets a topology can compute with it.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/residency/links.hpp"
#include "core/topology/parse.hpp"
#include "core/topology/survivability.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile;
  const auto parsed = topology::parse({reinterpret_cast<const char*>(data), size}, "fuzz", std::nullopt);
  if (!parsed) {
    if (parsed.error().empty()) std::abort();
    return 0;
  }
  topology::survivability(*parsed);
  residency::policy_hash(*parsed);
  for (const auto& link : residency::links_of(*parsed))
    if (residency::name_of(link).size() > 63) std::abort();
  if (directory_of(*parsed).name != topology::kDirectory) std::abort();
  return 0;
}
