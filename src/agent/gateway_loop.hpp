// Keeps this region's gateway informed: authority.snap within milliseconds of a change, tenants.snap when the directory
// has changed.
#pragma once
#include <functional>
#include <stop_token>

#include "agent/beat_loop.hpp"
#include "agent/boards.hpp"
#include "agent/config.hpp"
#include "core/snapshot/compile.hpp"
#include "core/topology/topology.hpp"

namespace domicile::agent {

// The directory as this region holds it.
struct Directory {
  std::int64_t version = 0;  // grows with every change
  std::vector<snapshot::TenantHost> hosts;
};
// Empty optional: unchanged since `version`.
using ReadDirectory = std::function<Result<std::optional<Directory>>(std::int64_t version)>;

struct GatewaySetup {
  std::string region, policy_hash;
  fs::path directory;
  const topology::Topology* topology = nullptr;
  const std::map<std::string, SiteConfig>* sites = nullptr;
  const Published<QuorumSeen>* quorum = nullptr;
  std::map<std::string, const Published<ResidencySeen>*> residencies;
  ReadDirectory read_directory;
  Log log{2, Log::Format::text, Level::info, ""};
};

class GatewayLoop {
 public:
  // `changes` rings when an input has changed.
  GatewayLoop(GatewaySetup setup, Published<GatewaySeen>& board, Bell& changes);
  void run(const std::stop_token& stop);
  const LoopLife& life() const { return life_; }

 private:
  snapshot::AuthorityRow row_of(const topology::Residency& residency, const ResidencySeen& seen,
                                const QuorumSeen& quorum) const;
  void write_authority();
  void write_tenants();

  GatewaySetup setup_;
  LoopLife life_;
  Bell& changes_;
  Published<GatewaySeen>& board_;
  GatewaySeen last_;
  std::string written_;  // the content of the last file, generation apart
  std::int64_t directory_version_ = -1;
  std::uint64_t tenants_generation_ = 0;
  bool wrote_tenants_ = false;
};

}  // namespace domicile::agent
