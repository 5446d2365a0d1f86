// Makes the bytes of tenants.snap and authority.snap. Written by one writer, the region's agent.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "core/snapshot/view.hpp"

namespace domicile::snapshot {

struct TenantHost {
  std::string host, tenant_id, residency;
};

struct TenantsSnapshot {
  std::uint64_t generation = 0;
  std::uint64_t seed[2] = {};  // 128 random bits, kept from one file to the next or not
  std::vector<TenantHost> hosts;
};

// invalid_input, naming the first one at fault: a host twice, a tenant in two residencies, a host or an id that is
// empty or too long, more than kMaxResidencies.
Result<std::string> compile(const TenantsSnapshot& tenants);

struct AuthorityRow {
  std::string residency;
  std::string owner;  // region; empty: none
  std::uint64_t epoch = 0;
  Mode mode = Mode::unknown;
  std::string switch_id = {};
  Micros lease_end = 0;      // on the gateway host's CLOCK_BOOTTIME; 0 when this region is not the owner
  Form here = Form::none;    // what this region may hold of it
  std::string tunnel = {};   // the owner gateway's tunnel address ip:port
  std::string forward = {};  // the owner gateway's forward address ip:port
  bool reads_stale = false;  // serve reads at the owner after its lease's end
};

// A tenant on its way to another residency.
struct MoveRow {
  std::string tenant_id;
  std::string residency;  // by which it is routed, whatever tenants.snap says
  bool held = false;      // all of its requests wait
  bool operator==(const MoveRow&) const = default;
};

struct AuthoritySnapshot {
  std::uint64_t generation = 0;  // must grow, also over restarts of the agent: last file's + 1
  std::string region, policy_hash;
  std::string boot_id;  // of lease_end's clock, the gateway's host
  std::vector<AuthorityRow> rows;
  std::vector<MoveRow> moves = {};
};

// invalid_input or conflict, naming the first one at fault: a residency or a tenant twice, a name that is empty where
// one is needed or too long, more than kMaxResidencies or kMaxMoves.
Result<std::string> compile(const AuthoritySnapshot& authority);
// The part of that which concerns the moves.
Result<void> check(const std::vector<MoveRow>& moves);

}  // namespace domicile::snapshot
