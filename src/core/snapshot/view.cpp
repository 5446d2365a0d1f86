#include "core/snapshot/view.hpp"

#include <bit>
#include <cstring>

namespace domicile::snapshot {

namespace {

std::uint64_t load64(const void* from) noexcept {
  std::uint64_t value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

constexpr std::uint64_t rotl(std::uint64_t x, int bits) noexcept { return (x << bits) | (x >> (64 - bits)); }

bool ends_with_zero(const char* text, std::size_t size) noexcept { return std::memchr(text, 0, size) != nullptr; }

// What both kinds have in common.
Flaw check(const FileHeader* header, const void* data, std::size_t size, std::uint32_t kind) noexcept {
  if (size < sizeof(FileHeader)) return Flaw::truncated;
  if (std::memcmp(header->magic, kMagic, sizeof kMagic) != 0) return Flaw::foreign;
  if (header->version != kFormatVersion || header->kind != kind) return Flaw::foreign;
  if (header->length != size) return Flaw::truncated;
  constexpr std::size_t skip = offsetof(FileHeader, checksum) + sizeof header->checksum;
  if (checksum(static_cast<const char*>(data) + skip, size - skip) != header->checksum) return Flaw::checksum;
  return Flaw::none;
}

}  // namespace

std::string_view name_of(Mode mode) noexcept {
  constexpr std::string_view names[] = {"serving", "draining", "moving", "down", "unknown"};
  return names[static_cast<std::size_t>(mode)];
}

std::string_view name_of(Form form) noexcept {
  constexpr std::string_view names[] = {"none", "reduced", "full"};
  return names[static_cast<std::size_t>(form)];
}

std::string_view name_of(Flaw flaw) noexcept {
  constexpr std::string_view names[] = {"none", "truncated", "foreign", "checksum", "malformed", "older"};
  return names[static_cast<std::size_t>(flaw)];
}

std::uint64_t checksum(const void* data, std::size_t size) noexcept {
  // Four independent lanes, so that a large file is read at the speed of memory.
  constexpr std::uint64_t k = 0x9e3779b97f4a7c15;
  std::uint64_t lane[4] = {k, k << 1, k << 2, k << 3};
  const auto* at = static_cast<const unsigned char*>(data);
  std::size_t left = size;
  for (; left >= 32; left -= 32, at += 32)
    for (int i = 0; i < 4; ++i) lane[i] = rotl((lane[i] ^ load64(at + 8 * i)) * k, 29);
  unsigned char tail[32] = {};
  std::memcpy(tail, at, left);
  for (int i = 0; i < 4; ++i) lane[i] = rotl((lane[i] ^ load64(tail + 8 * i)) * k, 29);
  std::uint64_t sum = size * k;
  for (const std::uint64_t l : lane) sum = rotl((sum ^ l) * 0xff51afd7ed558ccd, 31);
  return sum ^ (sum >> 33);
}

std::uint64_t fingerprint(const std::uint64_t seed[2], std::string_view host) noexcept {
  std::uint64_t v0 = 0x736f6d6570736575 ^ seed[0], v1 = 0x646f72616e646f6d ^ seed[1];
  std::uint64_t v2 = 0x6c7967656e657261 ^ seed[0], v3 = 0x7465646279746573 ^ seed[1];
  const auto round = [&] {
    v0 += v1, v1 = rotl(v1, 13) ^ v0, v0 = rotl(v0, 32);
    v2 += v3, v3 = rotl(v3, 16) ^ v2;
    v0 += v3, v3 = rotl(v3, 21) ^ v0;
    v2 += v1, v1 = rotl(v1, 17) ^ v2, v2 = rotl(v2, 32);
  };
  const char* at = host.data();
  std::size_t left = host.size();
  for (; left >= 8; left -= 8, at += 8) {
    const std::uint64_t word = load64(at);
    v3 ^= word, round(), v0 ^= word;
  }
  std::uint64_t last = static_cast<std::uint64_t>(host.size()) << 56;
  if (host.size() >= 8) {
    // The last 0 to 7 bytes by one load that overlaps the word before: a loop over them is mispredicted, and the
    // lookup's cold read waits for it. Two shifts, because one by 64 is undefined.
    last |= load64(at + left - 8) >> 8 * (7 - left) >> 8;
  } else {
    for (std::size_t i = 0; i < left; ++i)
      last |= static_cast<std::uint64_t>(static_cast<unsigned char>(at[i])) << 8 * i;
  }
  v3 ^= last, round(), v0 ^= last;
  v2 ^= 0xff, round(), round(), round();
  const std::uint64_t sum = v0 ^ v1 ^ v2 ^ v3;
  return sum == 0 ? 1 : sum;  // 0 marks an empty place
}

void normalise(std::string_view host, HostName& out) noexcept {
  out.size = 0;
  // A port, but not the inside of an IPv6 literal, which is no tenant's host anyway.
  if (const auto colon = host.find(':'); colon != host.npos) host = host.substr(0, colon);
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  if (host.empty() || host.size() > kMaxHost) return;
  for (std::size_t i = 0; i < host.size(); ++i) {
    const char c = host[i];
    out.text[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  out.size = static_cast<std::uint8_t>(host.size());
}

Flaw TenantsView::open(const void* data, std::size_t size) noexcept {
  const auto* bytes = static_cast<const char*>(data);
  const auto* header = static_cast<const FileHeader*>(data);
  if (const Flaw flaw = check(header, data, size, kTenantsKind); flaw != Flaw::none) return flaw;
  if (size < sizeof(FileHeader) + sizeof(TenantsHead)) return Flaw::malformed;
  const auto* head = reinterpret_cast<const TenantsHead*>(bytes + sizeof(FileHeader));
  const char* names = bytes + sizeof(FileHeader) + sizeof(TenantsHead);
  const std::size_t names_end = sizeof(FileHeader) + sizeof(TenantsHead) + head->residencies * kNameSize;
  if (head->residencies > kMaxResidencies || names_end > size) return Flaw::malformed;
  for (std::uint32_t i = 0; i < head->residencies; ++i)
    if (!ends_with_zero(names + i * kNameSize, kNameSize)) return Flaw::malformed;
  // No sums before the parts are known to be small: they must not wrap.
  if (head->buckets == 0 || head->buckets > size / sizeof(Bucket)) return Flaw::malformed;
  if (head->index_offset < names_end || head->index_offset % alignof(Bucket) != 0 || head->index_offset > size)
    return Flaw::malformed;
  if (head->records_offset > size || head->records_size > size - head->records_offset) return Flaw::malformed;
  if (head->buckets * sizeof(Bucket) > size - head->index_offset ||
      head->index_offset + head->buckets * sizeof(Bucket) > head->records_offset)
    return Flaw::malformed;
  header_ = header;
  head_ = head;
  names_ = names;
  buckets_ = reinterpret_cast<const Bucket*>(bytes + head->index_offset);
  records_ = reinterpret_cast<const std::uint8_t*>(bytes + head->records_offset);
  return Flaw::none;
}

std::string_view TenantsView::residency(std::uint16_t index) const noexcept { return names_ + index * kNameSize; }

Found TenantsView::find(std::string_view host) const noexcept {
  const std::uint64_t print = fingerprint(head_->seed, host);
  const std::uint64_t buckets = head_->buckets;
  std::uint64_t at = home_of(print, buckets);
  const Bucket* bucket = &buckets_[at];
  for (unsigned left = bucket->overflow;; --left) {
    // All four at once: which place matches is random, and a branch a place would be mispredicted.
    unsigned matches = 0;
    for (unsigned i = 0; i < 4; ++i) matches |= static_cast<unsigned>(bucket->fingerprint[i] == print) << i;
    if (matches != 0) {
      const int i = std::countr_zero(matches);
      // The residency is checked here and not at loading: a million cold reads would stop nginx for long.
      if (bucket->residency[i] >= head_->residencies) return {};
      return {bucket->residency[i], bucket->record[i]};
    }
    if (left == 0) return {};
    if (++at == buckets) at = 0;
    bucket = &buckets_[at];
  }
}

bool TenantsView::same_host(Found found, std::string_view host) const noexcept {
  if (found.residency == kNone || found.record + std::uint64_t{2} > head_->records_size) return false;
  const std::uint8_t* record = records_ + found.record;
  if (record[0] != host.size() || found.record + std::uint64_t{2} + record[0] > head_->records_size) return false;
  return std::memcmp(record + 2, host.data(), host.size()) == 0;
}

bool TenantsView::tenant(Found found, TenantId& out) const noexcept {
  out.size = 0;
  if (found.residency == kNone || found.record + std::uint64_t{2} > head_->records_size) return false;
  const std::uint8_t* record = records_ + found.record;
  const bool packed = (record[1] & kPackedUuid) != 0;
  const std::size_t size = packed ? 16 : record[1];
  if (size > kMaxTenantId || found.record + std::uint64_t{2} + record[0] + size > head_->records_size) return false;
  const std::uint8_t* id = record + 2 + record[0];
  if (!packed) {
    std::memcpy(out.text, id, size);
    out.size = static_cast<std::uint8_t>(size);
    return true;
  }
  constexpr char digits[] = "0123456789abcdef";
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.text[out.size++] = '-';
    out.text[out.size++] = digits[id[i] >> 4];
    out.text[out.size++] = digits[id[i] & 15];
  }
  return true;
}

Flaw AuthorityView::open(const void* data, std::size_t size) noexcept {
  const auto* bytes = static_cast<const char*>(data);
  const auto* header = static_cast<const FileHeader*>(data);
  if (const Flaw flaw = check(header, data, size, kAuthorityKind); flaw != Flaw::none) return flaw;
  if (size < sizeof(FileHeader) + sizeof(AuthorityHead)) return Flaw::malformed;
  const auto* head = reinterpret_cast<const AuthorityHead*>(bytes + sizeof(FileHeader));
  const auto* entries = reinterpret_cast<const AuthorityEntry*>(head + 1);
  if (head->residencies > kMaxResidencies || head->moves > kMaxMoves ||
      size != sizeof(FileHeader) + sizeof(AuthorityHead) + head->residencies * sizeof(AuthorityEntry) +
                  head->moves * sizeof(MoveEntry))
    return Flaw::malformed;
  if (!ends_with_zero(head->region, kNameSize) || !ends_with_zero(head->policy_hash, kNameSize) ||
      !ends_with_zero(head->boot_id, kNameSize))
    return Flaw::malformed;
  for (std::uint32_t i = 0; i < head->residencies; ++i) {
    const AuthorityEntry& e = entries[i];
    if (!ends_with_zero(e.residency, kNameSize) || !ends_with_zero(e.owner, kNameSize) ||
        !ends_with_zero(e.switch_id, kNameSize) || !ends_with_zero(e.tunnel, kAddressSize) ||
        !ends_with_zero(e.forward, kAddressSize))
      return Flaw::malformed;
    if (e.mode > static_cast<std::uint8_t>(Mode::unknown) || e.form > static_cast<std::uint8_t>(Form::full))
      return Flaw::malformed;
  }
  const auto* moves = reinterpret_cast<const MoveEntry*>(entries + head->residencies);
  for (std::uint32_t i = 0; i < head->moves; ++i) {
    const MoveEntry& m = moves[i];
    if (!ends_with_zero(m.tenant, kTenantSize) || !ends_with_zero(m.residency, kNameSize)) return Flaw::malformed;
    if (m.tenant[0] == 0 || m.residency[0] == 0 || m.held > 1) return Flaw::malformed;
  }
  header_ = header;
  head_ = head;
  entries_ = entries;
  moves_ = moves;
  return Flaw::none;
}

std::uint16_t AuthorityView::find(std::string_view residency) const noexcept {
  for (std::uint16_t i = 0; i < residencies(); ++i)
    if (residency == entries_[i].residency) return i;
  return kNone;
}

bool lowers_an_epoch(const AuthorityView& now, const AuthorityView& next) noexcept {
  for (std::uint16_t i = 0; i < next.residencies(); ++i) {
    const std::uint16_t before = now.find(next.entry(i).residency);
    if (before != kNone && next.entry(i).epoch < now.entry(before).epoch) return true;
  }
  return false;
}

}  // namespace domicile::snapshot
