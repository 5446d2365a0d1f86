// Puts the product into a lab whose engines run: quorum users, schema, guard, agents, gateways, the demo service and
// its tenants. Everything by the same calls that `domicile apply` and an operator use.
#pragma once
#include "core/topology/topology.hpp"
#include "lab/lab.hpp"

namespace domicile::lab {

struct PlatformSpec {
  fs::path topology;       // the file; copied into the lab
  fs::path schema;         // the application's tables, made by hand in each region
  fs::path grants;         // what the application may read of ours, after the schema is installed
  fs::path modules;        // directory of the gateway's nginx modules; copied into the lab
  fs::path guard_library;  // domicile_guard.so as PostgreSQL has it preloaded
  int tenants_per_residency = 8;
};

// Hosts of the demo's tenants: tenant-N.RESIDENCY.example.
std::string demo_host(const std::string& residency, int number);

// Everything runs and serves when it returns: every residency is owned at its home and every copy follows with known
// lag.
Result<void> install_platform(Lab& lab, const PlatformSpec& spec);

// The control API's Unix socket of a site's agent, and of its gate.
fs::path agent_socket(const Lab& lab, const std::string& site);
fs::path gate_socket(const Lab& lab, const std::string& site);

}  // namespace domicile::lab
