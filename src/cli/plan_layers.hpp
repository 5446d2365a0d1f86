// What `plan` shows beside the databases and `apply` never changes: each site's member of the quorum, its login there,
// its gateway; what is there, as the site's own agent tells it, against what should be. Pure.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "core/topology/topology.hpp"

namespace domicile::cli {

// Sentences. What could not be seen is neither as it should be nor a difference.
struct Layer {
  std::vector<std::string> fine, differs, unknown;
};

struct Layers {
  Layer etcd, gateway;
  bool differs() const { return !etcd.differs.empty() || !gateway.differs.empty(); }
  bool unknown() const { return !etcd.unknown.empty() || !gateway.unknown.empty(); }
};

// `told`: what the agent of `site` answered; {"unknown": reason} where it did not; null: no agent was asked.
Layers layers_of(const Json& told, const topology::Topology& topology, const std::string& site);
// Of every site of the topology, whatever `told` (site -> its agent's answer) has.
std::map<std::string, Layers> all_layers(const Json& told, const topology::Topology& topology);

std::string shown(const Layers& layers, bool colour);
Json json_of(const Layers& layers);

}  // namespace domicile::cli
