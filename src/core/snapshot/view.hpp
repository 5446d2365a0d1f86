// The two files that the gateway reads, as the gateway reads them: checked whole before use, then read without a lock,
// an allocation or a call. Compiles without exceptions and without anything of ours, because it runs inside nginx.
//
//   tenants.snap    host -> tenant -> residency; large, rarely new
//   authority.snap  residency -> owner, epoch, mode, lease; tenants that move; tiny, replaced in microseconds
//
// Both start with a FileHeader. Numbers are little-endian, as on every machine that we run on.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace domicile::snapshot {

inline constexpr std::size_t kMaxResidencies = 128;
inline constexpr std::size_t kMaxHost = 253;
inline constexpr std::size_t kMaxTenantId = 100;
inline constexpr std::size_t kMaxMoves = 64;      // tenants on their way to another residency at the same time
inline constexpr std::size_t kNameSize = 64;      // names of regions, residencies and switches, with the final zero
inline constexpr std::size_t kAddressSize = 128;  // "ip:port", with the final zero
inline constexpr std::size_t kTenantSize = 104;   // a tenant's id, with the final zero
inline constexpr std::uint16_t kNone = 0xffff;    // no residency

enum class Mode : std::uint8_t { serving, draining, moving, down, unknown };
enum class Form : std::uint8_t { none, reduced, full };

std::string_view name_of(Mode mode) noexcept;
std::string_view name_of(Form form) noexcept;

// Why bytes are no snapshot.
enum class Flaw : std::uint8_t {
  none,
  truncated,  // shorter or longer than it says
  foreign,    // not ours, of the other kind, of another format version or for another region
  checksum,
  malformed,  // the checksum is right, and yet the content cannot be
  older       // an epoch, or of tenants a generation, lower than one that was obeyed already
};
std::string_view name_of(Flaw flaw) noexcept;

struct FileHeader {
  char magic[8];             // "DOMSNAP\0"
  std::uint32_t version;     // kFormatVersion
  std::uint32_t kind;        // kTenantsKind, kAuthorityKind
  std::uint64_t length;      // of the whole file
  std::uint64_t checksum;    // of everything behind this field
  std::uint64_t generation;  // grows with every file that its writer makes
  char reserved[24];
};
static_assert(sizeof(FileHeader) == 64);
inline constexpr char kMagic[8] = "DOMSNAP";
inline constexpr std::uint32_t kFormatVersion = 1, kTenantsKind = 1, kAuthorityKind = 2;

// Finds broken files, not forgers: whoever may write the gateway's directory needs no forgery.
std::uint64_t checksum(const void* data, std::size_t size) noexcept;

// SipHash-1-3 with the file's secret seed, so that nobody can choose hosts that fall into one bucket.
std::uint64_t fingerprint(const std::uint64_t seed[2], std::string_view host) noexcept;

// ---- tenants.snap

struct TenantsHead {
  std::uint64_t seed[2];
  std::uint64_t hosts, buckets;
  std::uint64_t index_offset, records_offset, records_size;
  std::uint32_t residencies, reserved;
};  // followed by `residencies` names of kNameSize bytes

// One cache line: a lookup of a known or an unknown host reads one line unless a bucket was full.
struct alignas(64) Bucket {
  std::uint64_t fingerprint[4];  // 0: empty
  std::uint32_t record[4];       // offset among the records
  std::uint16_t residency[4];    // index among the names
  std::uint8_t overflow;         // how many further buckets hold hosts that belong here
  std::uint8_t reserved[7];
};
static_assert(sizeof(Bucket) == 64);

// A record: host length, id length, host, id. An id in the usual text form of a UUID is stored as its 16 bytes.
inline constexpr std::uint8_t kPackedUuid = 0x80;

struct Found {
  std::uint16_t residency = kNone;  // index among TenantsView's names; kNone: unknown host
  std::uint32_t record = 0;
};

struct TenantId {
  char text[kMaxTenantId + 28] = {};
  std::uint8_t size = 0;
  std::string_view view() const noexcept { return {text, size}; }
};

// The host in lower case, without port and without a final dot; empty when it can be no host.
struct HostName {
  char text[kMaxHost + 3];
  std::uint8_t size = 0;
  std::string_view view() const noexcept { return {text, size}; }
};
void normalise(std::string_view host, HostName& out) noexcept;

// The bucket where a host belongs.
inline std::uint64_t home_of(std::uint64_t fingerprint, std::uint64_t buckets) noexcept {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(fingerprint) * buckets) >> 64);
}

class TenantsView {
 public:
  // Points into `data`, which must stay and be 64-byte aligned. Nothing of `this` changes when there is a flaw.
  Flaw open(const void* data, std::size_t size) noexcept;
  bool empty() const noexcept { return head_ == nullptr; }
  std::uint64_t generation() const noexcept { return header_->generation; }
  std::uint64_t hosts() const noexcept { return head_->hosts; }
  std::uint16_t residencies() const noexcept { return static_cast<std::uint16_t>(head_->residencies); }
  std::string_view residency(std::uint16_t index) const noexcept;
  // Of a normalised host. It compares 64-bit fingerprints: with a million tenants an unknown host is taken for a known
  // one with a probability of 5.4e-14; `same_host` excludes even that.
  Found find(std::string_view host) const noexcept;
  // Reads the record, a second cold line: is it really this host, and whose?
  bool same_host(Found found, std::string_view host) const noexcept;
  bool tenant(Found found, TenantId& out) const noexcept;

  // The index may be copied to memory with huge pages: half of the cost of a cold lookup is the TLB.
  const Bucket* index() const noexcept { return buckets_; }
  std::size_t index_bytes() const noexcept { return head_ ? head_->buckets * sizeof(Bucket) : 0; }
  void use_index(const Bucket* copy) noexcept { buckets_ = copy; }

 private:
  const FileHeader* header_ = nullptr;
  const TenantsHead* head_ = nullptr;
  const char* names_ = nullptr;
  const Bucket* buckets_ = nullptr;
  const std::uint8_t* records_ = nullptr;
};

// ---- authority.snap

struct AuthorityHead {
  char region[kNameSize];       // for whose gateway
  char policy_hash[kNameSize];  // of the topology that all of this was derived from
  char boot_id[kNameSize];      // of the clock that lease_end is read on
  std::uint32_t residencies, moves;
};  // followed by `residencies` of AuthorityEntry and `moves` of MoveEntry

struct AuthorityEntry {
  char residency[kNameSize], owner[kNameSize], switch_id[kNameSize];
  char tunnel[kAddressSize];   // the owner's tunnel address; empty when none is known
  char forward[kAddressSize];  // the owner's forward address; empty when none is known
  std::uint64_t epoch;
  std::int64_t lease_end;  // microseconds of CLOCK_BOOTTIME of the gateway's host; 0 when this region is not the owner
  std::uint8_t mode, form, reads_stale, reserved[5];

  Mode current_mode() const noexcept { return static_cast<Mode>(mode); }
  Form form_here() const noexcept { return static_cast<Form>(form); }
};

// A tenant that moves: tenants.snap takes seconds to be made anew, so until it is, its residency is told here.
struct MoveEntry {
  char tenant[kTenantSize];   // as in tenants.snap
  char residency[kNameSize];  // instead of that of tenants.snap; perhaps one that this file does not know
  std::uint8_t held;          // 1: every request of it waits
  std::uint8_t reserved[7];
};

class AuthorityView {
 public:
  Flaw open(const void* data, std::size_t size) noexcept;  // as TenantsView's; 8-byte alignment is enough
  bool empty() const noexcept { return head_ == nullptr; }
  std::uint64_t generation() const noexcept { return header_->generation; }
  std::string_view region() const noexcept { return head_->region; }
  std::string_view policy_hash() const noexcept { return head_->policy_hash; }
  std::string_view boot_id() const noexcept { return head_->boot_id; }
  std::uint16_t residencies() const noexcept { return static_cast<std::uint16_t>(head_->residencies); }
  const AuthorityEntry& entry(std::uint16_t index) const noexcept { return entries_[index]; }
  std::uint16_t find(std::string_view residency) const noexcept;  // kNone when it is not there
  std::uint16_t moves() const noexcept { return static_cast<std::uint16_t>(head_->moves); }
  const MoveEntry& move(std::uint16_t index) const noexcept { return moves_[index]; }

 private:
  const FileHeader* header_ = nullptr;
  const AuthorityHead* head_ = nullptr;
  const AuthorityEntry* entries_ = nullptr;
  const MoveEntry* moves_ = nullptr;
};

// An authority.snap that lowers the epoch of any residency is refused whole.
bool lowers_an_epoch(const AuthorityView& now, const AuthorityView& next) noexcept;

inline constexpr std::size_t kMaxAuthorityBytes = sizeof(FileHeader) + sizeof(AuthorityHead) +
                                                  kMaxResidencies * sizeof(AuthorityEntry) +
                                                  kMaxMoves * sizeof(MoveEntry);

}  // namespace domicile::snapshot
