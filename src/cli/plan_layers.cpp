#include "cli/plan_view.hpp"
#include "cli/status_view.hpp"

namespace domicile::cli {

Layers layers_of(const Json& status, const std::string& region, const std::string& policy_hash) {
  if (text_at(status, "region") != region || region.empty()) {
    const std::string unknown = "not reachable: name the agent of " + region + " (--agent SOCKET)";
    return {unknown, unknown, false};
  }
  Layers out;
  out.etcd = quorum_line(status);
  if (const Json& alarms = child_at(child_at(child_at(status, "quorum"), "etcd"), "alarms"); alarms.is_array())
    for (const Json& alarm : alarms)
      if (alarm.is_string()) {
        out.etcd += ", raises " + alarm.get<std::string>();
        out.differs = true;
      }
  // An agent's own user may not read the others' permissions: only root can, and `quorum init` has it.
  out.etcd +=
      "; users and permissions: not visible to an agent, `domicile quorum init` holds them to what they should be";
  const std::string policy = text_at(status, "policy");
  if (policy.empty()) {
    out.gateway = "unknown: the agent does not tell its policy";
  } else if (policy == policy_hash) {
    out.gateway = "snapshots are made of this topology, policy " + policy.substr(0, 12);
  } else {
    out.gateway =
        fmt::format("snapshots are made of policy {}, this topology is {}: give the agent this file and restart it",
                    policy.substr(0, 12), policy_hash.substr(0, 12));
    out.differs = true;
  }
  return out;
}

}  // namespace domicile::cli
