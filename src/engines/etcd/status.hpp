// What the quorum says about itself, as values: for `status`, metrics and alerts.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engines/etcd/etcd_client.hpp"

namespace domicile::etcd {

struct EndpointStatus {
  std::string endpoint;
  std::string problem;    // why it did not answer; empty: it did, and all below is known
  std::string member_id;  // decimal, as etcd prints it in JSON
  std::string leader_id;  // "0": it knows of none
  std::string version;
  std::uint64_t term = 0;
  std::int64_t db_bytes = 0, db_used_bytes = 0;
  std::optional<std::int64_t> quota_bytes;  // empty: unknown
  bool healthy = false;                     // it could do a linearizable read, so it sees a majority
};

struct ClusterMember {
  std::string id, name;
  std::vector<std::string> peer_urls, client_urls;
};

struct Alarm {
  std::string member_id;
  std::string kind;  // NOSPACE: no writes until compacted, defragmented and disarmed; CORRUPT
};

struct Status {
  std::vector<EndpointStatus> endpoints;  // in the configured order
  std::vector<ClusterMember> members;
  std::vector<Alarm> alarms;
  std::optional<std::string> problem;  // why members and alarms are unknown
  bool available() const;              // somebody could do a linearizable read
  std::string leader() const;          // its name, by the highest term; empty: none is known
};

// Takes at most a few attempt timeouts per endpoint that does not answer. No authentication is needed.
Status status(Client& client);

// From the text of /metrics; empty when it is not there.
std::optional<std::int64_t> quota_of(const std::string& metrics);
Result<std::vector<ClusterMember>> members_of(const Json& answer);
Result<std::vector<Alarm>> alarms_of(const Json& answer);
Result<void> fill(EndpointStatus& status, const Json& answer);

}  // namespace domicile::etcd
