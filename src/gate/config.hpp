// gate.yaml: what a region's gate listens to and how it reaches its PostgreSQL; the links and their rules follow from
// the topology. docs/reference/gate.md has every setting.
#pragma once
#include "base/revoked.hpp"
#include "core/topology/topology.hpp"
#include "gate/gate.hpp"

namespace domicile::gate {

struct GateFile {
  std::string region;
  fs::path topology, state, socket;  // socket: of the control API, for whoever may open it
  std::string host;                  // of `listen`
  int port = 0;
  TlsFiles tls;
  std::string database;  // libpq connection string of the role that may replicate
  std::string name;      // the database of the links, as peers name it
  fs::path revoked_file;
  std::size_t largest_row = 256U << 20;
  Log::Format log = Log::Format::text;
};

Result<GateFile> read_gate_file(const fs::path& file);

// What this region may send to whom, by the topology: one link for each residency that it may own and each other region
// that holds more than nothing of it.
std::vector<GateLink> gate_links(const topology::Topology& topology, const std::string& region);
// The role of each peer's subscriptions, which is the common name of its certificate, and its region.
std::map<std::string, std::string> gate_peers(const std::vector<GateLink>& links);

}  // namespace domicile::gate
