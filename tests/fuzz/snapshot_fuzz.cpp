// Bytes that claim to be a snapshot, with and without a right checksum, or a ClientHello: never a read outside of them.
#include <cstdlib>
#include <cstring>

#include "core/snapshot/decision.hpp"
#include "edge/module/client_hello.hpp"

using namespace domicile::snapshot;

static void use(const void* data, std::size_t size) {
  TenantsView tenants;
  AuthorityView authority;
  const bool t = tenants.open(data, size) == Flaw::none, a = authority.open(data, size) == Flaw::none;
  if (t)
    for (const char* host : {"acme.example", "muster.example", "x", ""}) {
      const Found found = tenants.find(host);
      TenantId id;
      if (!tenants.tenant(found, id)) continue;
      if (found.residency != kNone && tenants.residency(found.residency).size() >= kNameSize) std::abort();
      (void)tenants.same_host(found, host);
    }
  World world;
  world.bind(&tenants, &authority, "boot");
  (void)decide(world, {.host = "acme.example"});
  (void)decide_connection(world, "acme.example", false);
  if (a)
    for (std::uint16_t i = 0; i < authority.residencies(); ++i) (void)name_of(authority.entry(i).current_mode());
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  HostName sni;
  (void)domicile::edge::read_sni(data, size, sni);
  char* copy = static_cast<char*>(std::aligned_alloc(64, (size + 64) / 64 * 64));
  std::memcpy(copy, data, size);
  use(copy, size);
  if (size >= sizeof(FileHeader)) {
    auto* header = reinterpret_cast<FileHeader*>(copy);
    std::memcpy(header->magic, kMagic, sizeof kMagic);
    header->version = kFormatVersion;
    header->kind = 1 + header->kind % 2;
    header->length = size;
    constexpr std::size_t skip = offsetof(FileHeader, checksum) + sizeof header->checksum;
    header->checksum = checksum(copy + skip, size - skip);
    use(copy, size);
  }
  std::free(copy);
  return 0;
}
