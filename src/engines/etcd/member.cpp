#include "engines/etcd/member.hpp"

namespace domicile::etcd {

std::map<std::string, std::string> member_settings() {
  return {
      {"heartbeat-interval", "100"},  // ms
      {"election-timeout", "1000"},   // ms
      // Off by default in 3.4: without it a member that was cut off ends the leader's term when it comes back.
      {"pre-vote", "true"},
      // Off by default too: beats that are never compacted fill the quota in about a month, and then etcd takes no
      // write.
      {"auto-compaction-mode", "periodic"},
      {"auto-compaction-retention", "1h"},
      {"quota-backend-bytes", "2147483648"},
      // Stretching is for passwords that people choose; these are random. With the default of 10 a log-in costs each
      // member some 0.1 s of a processor, and after a moment in which etcd did not answer every session logs in at
      // once.
      {"bcrypt-cost", "4"},
      {"client-cert-auth", "true"},
      {"peer-client-cert-auth", "true"},
      {"logger", "zap"},
      {"log-level", "warn"},
  };
}

std::vector<std::string> member_flags(const Member& member) {
  std::string cluster;
  for (const auto& [name, url] : member.cluster)
    cluster += fmt::format("{}{}={}", cluster.empty() ? "" : ",", name, url);
  std::map<std::string, std::string> settings = member_settings();
  settings["name"] = member.name;
  settings["data-dir"] = member.data.string();
  settings["listen-client-urls"] = settings["advertise-client-urls"] = member.client_url;
  settings["listen-peer-urls"] = settings["initial-advertise-peer-urls"] = member.peer_url;
  settings["initial-cluster"] = cluster;
  settings["initial-cluster-token"] = member.cluster_token;
  settings["initial-cluster-state"] = member.joins ? "existing" : "new";
  for (const char* side : {"", "peer-"}) {
    settings[std::string(side) + "trusted-ca-file"] = member.tls.ca;
    settings[std::string(side) + "cert-file"] = member.tls.certificate;
    settings[std::string(side) + "key-file"] = member.tls.key;
  }
  std::vector<std::string> flags;
  for (const auto& [name, value] : settings) flags.push_back(fmt::format("--{}={}", name, value));
  return flags;
}

}  // namespace domicile::etcd
