#include "agent/layers.hpp"

#include <unistd.h>

#include <algorithm>

#include "agent/gateway_settings.hpp"
#include "core/residency/links.hpp"
#include "edge/generations.hpp"
#include "edge/state.hpp"
#include "engines/etcd/rights.hpp"

namespace domicile::agent {
namespace {

// A worker obeys within 20 ms of the rename; a file that has just been written is no difference.
constexpr Micros kObeyed = 200 * kMillisecond;

std::uint64_t tenants_obeyed(const edge::EdgeState& state) {
  std::uint64_t least = 0;
  for (const auto& worker : state.workers)
    least = &worker == &state.workers.front() ? worker.tenants_generation : std::min(least, worker.tenants_generation);
  return least;
}

// nginx.conf against what agent.yaml and the topology make of it now.
Json config_layer(const AgentConfig& config, const topology::Topology& topology) {
  // Without `listen` agent.yaml names a directory only, and whoever wrote nginx.conf made it from something else.
  if (config.gateway->listen.empty()) return {{"state", "foreign"}};
  const auto settings = gateway_settings(config, topology);
  const auto wanted = settings ? edge::render(*settings) : Result<std::string>(tl::unexpect, settings.error());
  if (!wanted) return {{"state", "unknown"}, {"problem", one_line(wanted.error())}};
  const auto file = config.gateway->directory / "nginx.conf";
  if (std::error_code none; !fs::exists(file, none) && !none) return {{"state", "missing"}};
  const auto there = read_file(file);
  if (!there) return {{"state", "unknown"}, {"problem", one_line(there.error())}};
  return {{"state", *there == *wanted ? "same" : "differs"}};
}

}  // namespace

Json gateway_layer(const AgentConfig& config, const topology::Topology& topology) {
  if (!config.gateway) return {};
  const std::string directory = config.gateway->directory.string();
  const auto written = edge::written_in(directory);
  Json json{{"policy", written.policy_hash},
            {"authority", {{"written", written.authority}}},
            {"tenants", {{"written", written.tenants}}},
            {"config", config_layer(config, topology)}};
  for (const Micros until = monotonic_now() + kObeyed;; ::usleep(10'000)) {
    const auto state = edge::read_edge_state(directory + "/edge.state");
    if (!state && state.error().kind != Kind::unavailable) {
      json["problem"] = one_line(state.error());
      return json;
    }
    const auto seen = state.value_or(edge::EdgeState{});  // no file: nginx never ran
    json["workers"] = seen.workers.size();
    json["authority"]["obeyed"] = seen.generation_obeyed();
    json["tenants"]["obeyed"] = tenants_obeyed(seen);
    const bool obeyed = seen.generation_obeyed() >= written.authority && tenants_obeyed(seen) >= written.tenants;
    if (obeyed || seen.workers.empty() || monotonic_now() > until) return json;
  }
}

Layers::Layers(const AgentConfig& config, const topology::Topology& topology, etcd::Access access)
    : config_(config), topology_(topology), client_(std::move(access)) {}

Json Layers::rights() {
  const std::lock_guard lock(mutex_);
  const auto rights = etcd::own_rights(client_, config_.etcd.user);
  if (!rights)
    return {{"problem", rights.error().kind == Kind::refused ? "not readable by this login: " + one_line(rights.error())
                                                             : one_line(rights.error())}};
  Json permissions = Json::array();
  for (const auto& permission : rights->permissions) permissions.push_back(text_of(permission));
  return {{"roles", rights->roles}, {"permissions", permissions}, {"administers", rights->administers}};
}

Json Layers::tell(const Json& quorum_status) {
  Json etcd{{"user", config_.etcd.user}, {"rights", rights()}};
  for (const char* part : {"own", "members", "alarms"})
    if (quorum_status.is_object() && quorum_status.contains(part)) etcd[part] = quorum_status[part];
  return {{"region", config_.region},
          {"policy", residency::policy_hash(topology_)},
          {"etcd", etcd},
          {"gateway", gateway_layer(config_, topology_)}};
}

}  // namespace domicile::agent
