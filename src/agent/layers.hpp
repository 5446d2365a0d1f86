// What `plan` asks an agent about that is no database: its member of the quorum, what its own login there may do, its
// gateway. Only what is there; whoever asked knows what should be.
#pragma once
#include <mutex>

#include "agent/config.hpp"
#include "base/json.hpp"
#include "engines/etcd/etcd_client.hpp"

namespace domicile::agent {

class Layers {
 public:
  Layers(const AgentConfig& config, const topology::Topology& topology, etcd::Access access);
  // Any thread. `quorum_status`: what the quorum last said about itself. docs/reference/api.md has the members of the
  // answer; where something could not be seen, `problem` beside it says why.
  Json tell(const Json& quorum_status);

 private:
  Json rights();
  const AgentConfig& config_;
  const topology::Topology& topology_;
  std::mutex mutex_;
  etcd::Client client_;  // kept for its token: a log-in costs etcd a tenth of a second
};

// Null without a gateway.
Json gateway_layer(const AgentConfig& config, const topology::Topology& topology);

}  // namespace domicile::agent
