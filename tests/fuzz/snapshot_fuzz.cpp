// Bytes that claim to be a snapshot, with and without a right checksum, or a ClientHello: never a read outside of them.
#include <cstdlib>
#include <cstring>

#include "core/snapshot/compile.hpp"
#include "core/snapshot/decision.hpp"
#include "edge/module/client_hello.hpp"

using namespace domicile::snapshot;

// Two tenants, one with a packed id: for an authority's moves to be looked up by.
struct TwoTenants {
  TwoTenants()
      : bytes(compile(TenantsSnapshot{.generation = 1,
                                      .seed = {1, 2},
                                      .hosts = {{"acme.example", "acme", "us"},
                                                {"muster.example", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "eu"}}})
                  .value()),
        file(static_cast<char*>(std::aligned_alloc(64, (bytes.size() + 64) / 64 * 64))) {
    std::memcpy(file, bytes.data(), bytes.size());
    if (view.open(file, bytes.size()) != Flaw::none) std::abort();
  }
  ~TwoTenants() { std::free(file); }
  TwoTenants(const TwoTenants&) = delete;
  std::string bytes;
  char* file;
  TenantsView view;
};

static void use_authority(const AuthorityView& authority) {
  static const TwoTenants tenants;
  World world;
  world.bind(&tenants.view, &authority, "boot");
  for (const char* host : {"acme.example", "muster.example"}) {
    const Decision request = decide(world, {.host = host}), connection = decide_connection(world, host, false);
    if (request.residency != connection.residency) std::abort();
    if (request.residency != kNone && request.residency >= authority.residencies()) std::abort();
  }
  for (std::uint16_t i = 0; i < authority.moves(); ++i) {
    const Move* move = world.move_of(authority.move(i).tenant);
    if (move == nullptr || move->tenant.size() >= kTenantSize) std::abort();
    if (move->residency != kNone && move->residency >= authority.residencies()) std::abort();
  }
}

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
  if (a) {
    use_authority(authority);
    for (std::uint16_t i = 0; i < authority.residencies(); ++i) (void)name_of(authority.entry(i).current_mode());
  }
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
