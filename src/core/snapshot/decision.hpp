// What the gateway does with a connection or a request. Pure: the nginx module, `domicile explain` and the tests call
// the same functions, so they cannot disagree.
#pragma once
#include "core/snapshot/view.hpp"

namespace domicile::snapshot {

enum class Action : std::uint8_t {
  serve,            // here, by the application
  tunnel,           // the connection goes to the owner, undecrypted
  forward,          // the decrypted request goes to the owner by mutual TLS
  hold,             // waits until the authority changes
  misdirected_421,  // the client should open another connection, to somewhere else or with another SNI
  refuse_451,       // this region may not hold it, by law
  unavailable_503,  // no owner at the moment
  unknown_504,      // it was written or it was not: the lease ended meanwhile
  bad_400           // identities that contradict each other
};
inline constexpr std::size_t kActions = 9;

enum class Reason : std::uint8_t {
  owner_here,
  owner_elsewhere,
  unknown_host,       // no tenant has it
  no_snapshot,        // nothing valid was read yet
  unknown_residency,  // a tenant's residency that the authority does not know
  unlawful_here,      // the form here is not full
  draining,           // a planned switch: new writes wait
  moving,             // a switch under way: all wait
  tenant_moving,      // this tenant alone is on its way to another residency: all of its requests wait
  down,               // no lawful owner
  unknown_mode,       // the agent cannot tell
  lease_over,         // nobody may write: the owner here did not renew
  stale_read,         // the lease is over and this residency allows stale reads
  forwarded_already,  // never forwarded twice: the sender asks again
  no_address,         // the owner's address is not known
  no_certificate,     // a connection that would be served here, and the gateway has no key of its residency
  host_is_not_sni,    // host and SNI name two tenants
  tenant_header,      // host and header name two tenants
  hold_full,
  hold_timeout,
  outcome_unknown,         // the lease ended while the write was under way
  no_answer,               // it was sent, and the connection ended or time ran out
  peer_unreachable,        // nothing was sent: the owner's gateway cannot be reached
  application_unreachable  // nothing was sent: the service behind this gateway cannot be reached
};
std::string_view name_of(Action action) noexcept;
std::string_view name_of(Reason reason) noexcept;

// How a question came here.
enum class Via : std::uint8_t {
  tls,       // decrypted here, its SNI known
  plain,     // never encrypted, or without SNI: another connection would end here again
  forwarded  // from a peer gateway that has decided already
};

// A tenant of authority.snap's moves.
struct Move {
  std::string_view tenant;
  std::uint16_t residency = kNone;  // index in the authority; kNone: one that the authority does not know
  bool held = false;
};

// Where a tenant belongs now.
struct Route {
  std::uint16_t residency = kNone;  // index in the authority
  bool held = false;                // it moves, and its requests wait
};

// Both snapshots, tied together. Rebuilt when either changes; the views must outlive it.
class World {
 public:
  World() = default;
  // `boot_id`: of the host that asks. With another one than the snapshot's every lease is over.
  void bind(const TenantsView* tenants, const AuthorityView* authority, std::string_view boot_id) noexcept;
  const TenantsView* tenants() const noexcept { return tenants_; }
  const AuthorityView* authority() const noexcept { return authority_; }
  bool same_boot() const noexcept { return same_boot_; }
  // The authority's entry for a tenants' residency; null when there is none.
  const AuthorityEntry* entry_of(std::uint16_t tenants_residency) const noexcept;
  std::uint16_t index_of(std::uint16_t tenants_residency) const noexcept;
  // By tenants.snap, or by its move where it has one. While nobody moves that costs one branch, and no read.
  Route route(Found found) const noexcept {
    if (move_count_ != 0) return route_with_moves(found);
    return {index_of(found.residency), false};
  }
  const Move* move_of(std::string_view tenant) const noexcept;  // null: it does not move
  bool holds(std::string_view tenant) const noexcept {
    const Move* move = move_count_ == 0 ? nullptr : move_of(tenant);
    return move != nullptr && move->held;
  }
  bool owned_here(const AuthorityEntry& entry) const noexcept;
  bool lease_live(const AuthorityEntry& entry, std::int64_t now) const noexcept {
    return same_boot_ && now < entry.lease_end;
  }

 private:
  Route route_with_moves(Found found) const noexcept;

  const TenantsView* tenants_ = nullptr;
  const AuthorityView* authority_ = nullptr;
  std::array<std::uint16_t, kMaxResidencies> to_authority_{};
  std::array<bool, kMaxResidencies> owned_here_{};  // by the authority's index
  bool same_boot_ = false;
  std::uint16_t move_count_ = 0;
  std::array<Move, kMaxMoves> moves_{};
};

struct Question {
  std::string_view host;  // normalised
  bool write = true;      // every method but GET, HEAD and OPTIONS, unless the route says otherwise
  Via via = Via::plain;
  std::int64_t now = 0;  // CLOCK_BOOTTIME of this host, microseconds
};

struct Decision {
  Action action = Action::unavailable_503;
  Reason reason = Reason::no_snapshot;
  Found found = {};                 // whose
  std::uint16_t residency = kNone;  // index in the authority
};

// A decrypted request.
Decision decide(const World& world, const Question& question) noexcept;
// The same for a residency that is known already.
Decision decide(const World& world, Found found, const Question& question) noexcept;

// A new TLS connection by its SNI, still encrypted. serve: decrypt it here; tunnel, hold, or a refusal (then the
// connection is closed). `tunnelled`: it came from a peer's tunnel and never goes into another one.
Decision decide_connection(const World& world, std::string_view sni, bool tunnelled) noexcept;

// A write that was served at `epoch` is answered now: may its success still be told?
bool outcome_known(const World& world, std::string_view residency, std::uint64_t epoch, std::int64_t now) noexcept;

bool is_write(std::string_view method) noexcept;

}  // namespace domicile::snapshot
