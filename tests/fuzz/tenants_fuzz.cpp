// Random bytes as a CSV of tenants: no crash, and nothing unlawful is taken.
#include <cstdlib>

#include "core/tenants/import.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const std::set<std::string> residencies = {"eu", "us"};
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const auto& text : {std::string(bytes), "tenant,residency,hosts\n" + std::string(bytes)})
    for (const auto& entry : domicile::tenants::check_csv(text, residencies).entries)
      if (!domicile::tenants::valid_tenant(entry.tenant) || entry.hosts.empty() ||
          !residencies.contains(entry.residency))
        std::abort();
  return 0;
}
