#include "core/snapshot/compile.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace domicile::snapshot {

namespace {

std::size_t aligned(std::size_t size) { return (size + 63) / 64 * 64; }

// Header and checksum, once everything behind them is in place.
void seal(std::string& bytes, std::uint32_t kind, std::uint64_t generation) {
  FileHeader header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kFormatVersion;
  header.kind = kind;
  header.length = bytes.size();
  header.generation = generation;
  std::memcpy(bytes.data(), &header, sizeof header);
  constexpr std::size_t skip = offsetof(FileHeader, checksum) + sizeof header.checksum;
  header.checksum = checksum(bytes.data() + skip, bytes.size() - skip);
  std::memcpy(bytes.data(), &header, sizeof header);
}

template <std::size_t N>
Result<void> put(char (&to)[N], std::string_view text, std::string_view what) {
  if (text.size() >= N || text.find('\0') != text.npos)
    return fail(Kind::invalid_input, fmt::format("{} '{}' does not fit into {} bytes", what, text, N - 1));
  std::memset(to, 0, N);
  std::memcpy(to, text.data(), text.size());
  return {};
}

// The 16 bytes of an id in the usual lower-case text form of a UUID, or nothing.
bool pack_uuid(std::string_view id, std::uint8_t out[16]) {
  if (id.size() != 36) return false;
  std::size_t n = 0;
  for (std::size_t i = 0; i < id.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (id[i] != '-') return false;
      continue;
    }
    const char c = id[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    out[n / 2] = static_cast<std::uint8_t>(n % 2 == 0 ? digit << 4 : out[n / 2] | digit);
    ++n;
  }
  return true;
}

void append_record(std::string& records, std::string_view host, std::string_view id) {
  std::uint8_t uuid[16];
  const bool packed = pack_uuid(id, uuid);
  records += static_cast<char>(host.size());
  records += static_cast<char>(packed ? kPackedUuid : id.size());
  records += host;
  if (packed)
    records.append(reinterpret_cast<const char*>(uuid), 16);
  else
    records += id;
}

struct Checked {
  std::vector<std::string> names;             // residencies in order of appearance
  std::vector<std::uint16_t> residency_of;    // by host
  std::vector<std::uint64_t> fingerprint_of;  // by host
};

Result<Checked> check(const TenantsSnapshot& tenants) {
  Checked checked;
  std::unordered_map<std::string_view, std::uint16_t> names, residency_of_tenant;
  std::unordered_map<std::string_view, std::string_view> tenant_of_host;
  tenant_of_host.reserve(tenants.hosts.size());
  residency_of_tenant.reserve(tenants.hosts.size());
  for (const auto& [host, id, residency] : tenants.hosts) {
    HostName usual;
    normalise(host, usual);
    if (usual.view() != host || host.empty())
      return fail(Kind::invalid_input, fmt::format("'{}' is no host name in its usual form", host),
                  "write it in lower case, without port and without a final dot, at most 253 characters");
    if (id.empty() || id.size() > kMaxTenantId)
      return fail(Kind::invalid_input,
                  fmt::format("host '{}' has a tenant id that is empty or longer than {} bytes", host, kMaxTenantId));
    if (residency.empty() || residency.size() >= kNameSize)
      return fail(Kind::invalid_input, fmt::format("tenant '{}' has no residency or one with too long a name", id));
    if (const auto [it, fresh] = tenant_of_host.try_emplace(host, id); !fresh)
      return fail(Kind::conflict,
                  fmt::format("host '{}' is listed twice, for tenants '{}' and '{}'", host, it->second, id),
                  "a host belongs to exactly one tenant");
    const auto [name, new_name] = names.try_emplace(residency, static_cast<std::uint16_t>(names.size()));
    if (new_name) checked.names.push_back(residency);
    if (names.size() > kMaxResidencies)
      return fail(Kind::invalid_input, fmt::format("more than {} residencies", kMaxResidencies));
    if (const auto [it, fresh] = residency_of_tenant.try_emplace(id, name->second);
        !fresh && it->second != name->second)
      return fail(
          Kind::conflict,
          fmt::format("tenant '{}' is in two residencies, '{}' and '{}'", id, checked.names[it->second], residency),
          "a tenant has exactly one residency");
    checked.residency_of.push_back(name->second);
    checked.fingerprint_of.push_back(fingerprint(tenants.seed, host));
  }
  return checked;
}

// Open addressing by whole buckets. False: some host lies too far from its place, or two hosts share a fingerprint.
bool place(const TenantsSnapshot& tenants, const Checked& checked, std::vector<Bucket>& buckets, std::string& records) {
  std::vector<std::uint32_t> order(tenants.hosts.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](auto a, auto b) { return checked.fingerprint_of[a] < checked.fingerprint_of[b]; });
  for (const std::uint32_t host : order) {
    const std::uint64_t print = checked.fingerprint_of[host];
    const auto home = static_cast<std::size_t>(home_of(print, buckets.size()));
    std::size_t distance = 0;
    for (;; ++distance) {
      if (distance > 200 || distance >= buckets.size()) return false;
      Bucket& bucket = buckets[(home + distance) % buckets.size()];
      if (std::find(std::begin(bucket.fingerprint), std::end(bucket.fingerprint), print) !=
          std::end(bucket.fingerprint))
        return false;
      const auto* free = std::find(std::begin(bucket.fingerprint), std::end(bucket.fingerprint), 0u);
      if (free == std::end(bucket.fingerprint)) continue;
      const auto i = free - std::begin(bucket.fingerprint);
      bucket.fingerprint[i] = print;
      bucket.record[i] = static_cast<std::uint32_t>(records.size());
      bucket.residency[i] = checked.residency_of[host];
      break;
    }
    buckets[home].overflow = static_cast<std::uint8_t>(std::max<std::size_t>(buckets[home].overflow, distance));
    append_record(records, tenants.hosts[host].host, tenants.hosts[host].tenant_id);
    if (records.size() > UINT32_MAX - 512) return false;
  }
  return true;
}

}  // namespace

Result<std::string> compile(const TenantsSnapshot& tenants) {
  const Checked checked = TRY(check(tenants));
  std::vector<Bucket> buckets;
  std::string records;
  // Four of five places taken: 20 bytes a host. Only a hostile or unlucky set needs more room.
  std::size_t count = tenants.hosts.size() * 5 / 16 + 1;
  for (int attempt = 0;; ++attempt, count = count * 5 / 4 + 1) {
    if (attempt == 6)
      return fail(Kind::failed,
                  "the tenants cannot be laid out: two hosts have the same fingerprint or there are too many",
                  "compile again with another seed");
    buckets.assign(count, Bucket{});
    records.clear();
    if (place(tenants, checked, buckets, records)) break;
  }
  TenantsHead head{};
  std::memcpy(head.seed, tenants.seed, sizeof head.seed);
  head.hosts = tenants.hosts.size();
  head.buckets = buckets.size();
  head.residencies = static_cast<std::uint32_t>(checked.names.size());
  const std::size_t names_at = sizeof(FileHeader) + sizeof(TenantsHead);
  head.index_offset = aligned(names_at + checked.names.size() * kNameSize);
  head.records_offset = head.index_offset + buckets.size() * sizeof(Bucket);
  head.records_size = records.size();
  std::string bytes(head.records_offset, '\0');
  std::memcpy(bytes.data() + sizeof(FileHeader), &head, sizeof head);
  for (std::size_t i = 0; i < checked.names.size(); ++i)
    std::memcpy(bytes.data() + names_at + i * kNameSize, checked.names[i].data(), checked.names[i].size());
  std::memcpy(bytes.data() + head.index_offset, buckets.data(), buckets.size() * sizeof(Bucket));
  bytes += records;
  seal(bytes, kTenantsKind, tenants.generation);
  return bytes;
}

Result<void> check(const std::vector<MoveRow>& moves) {
  if (moves.size() > kMaxMoves)
    return fail(Kind::invalid_input, fmt::format("more than {} tenants move at the same time", kMaxMoves));
  for (std::size_t i = 0; i < moves.size(); ++i) {
    const MoveRow& move = moves[i];
    const auto fits = [](const std::string& text, std::size_t most) {
      return !text.empty() && text.size() <= most && text.find('\0') == text.npos;
    };
    if (!fits(move.tenant_id, kMaxTenantId))
      return fail(Kind::invalid_input,
                  fmt::format("a tenant that moves has an id that is empty or longer than {} bytes", kMaxTenantId));
    if (!fits(move.residency, kNameSize - 1))
      return fail(Kind::invalid_input,
                  fmt::format("tenant '{}' moves to no residency or to one with too long a name", move.tenant_id));
    for (std::size_t j = 0; j < i; ++j)
      if (moves[j].tenant_id == move.tenant_id)
        return fail(Kind::conflict, fmt::format("tenant '{}' moves twice", move.tenant_id));
  }
  return {};
}

Result<std::string> compile(const AuthoritySnapshot& authority) {
  if (authority.rows.size() > kMaxResidencies)
    return fail(Kind::invalid_input, fmt::format("more than {} residencies", kMaxResidencies));
  CHECK_OK(check(authority.moves));
  AuthorityHead head{};
  CHECK_OK(put(head.region, authority.region, "region"));
  CHECK_OK(put(head.policy_hash, authority.policy_hash, "policy hash"));
  CHECK_OK(put(head.boot_id, authority.boot_id, "boot id"));
  head.residencies = static_cast<std::uint32_t>(authority.rows.size());
  head.moves = static_cast<std::uint32_t>(authority.moves.size());
  std::string bytes(sizeof(FileHeader), '\0');
  bytes.append(reinterpret_cast<const char*>(&head), sizeof head);
  for (std::size_t i = 0; i < authority.rows.size(); ++i) {
    const AuthorityRow& row = authority.rows[i];
    for (std::size_t j = 0; j < i; ++j)
      if (authority.rows[j].residency == row.residency)
        return fail(Kind::conflict, fmt::format("residency '{}' is listed twice", row.residency));
    AuthorityEntry entry{};
    if (row.residency.empty()) return fail(Kind::invalid_input, "a residency without a name");
    CHECK_OK(put(entry.residency, row.residency, "residency"));
    CHECK_OK(put(entry.owner, row.owner, "owner"));
    CHECK_OK(put(entry.switch_id, row.switch_id, "switch id"));
    CHECK_OK(put(entry.tunnel, row.tunnel, "tunnel address"));
    CHECK_OK(put(entry.forward, row.forward, "forward address"));
    entry.epoch = row.epoch;
    entry.lease_end = row.lease_end;
    entry.mode = static_cast<std::uint8_t>(row.mode);
    entry.form = static_cast<std::uint8_t>(row.here);
    entry.reads_stale = row.reads_stale ? 1 : 0;
    bytes.append(reinterpret_cast<const char*>(&entry), sizeof entry);
  }
  for (const MoveRow& move : authority.moves) {
    MoveEntry entry{};
    std::memcpy(entry.tenant, move.tenant_id.data(), move.tenant_id.size());
    std::memcpy(entry.residency, move.residency.data(), move.residency.size());
    entry.held = move.held ? 1 : 0;
    bytes.append(reinterpret_cast<const char*>(&entry), sizeof entry);
  }
  seal(bytes, kAuthorityKind, authority.generation);
  return bytes;
}

}  // namespace domicile::snapshot
