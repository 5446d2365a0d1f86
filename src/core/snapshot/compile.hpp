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

struct AuthoritySnapshot {
  std::uint64_t generation = 0;  // must grow, also over restarts of the agent: last file's + 1
  std::string region, policy_hash;
  std::string boot_id;  // of lease_end's clock, the gateway's host
  std::vector<AuthorityRow> rows;
};

Result<std::string> compile(const AuthoritySnapshot& authority);

}  // namespace domicile::snapshot
