// agent.yaml: who this agent is and where everything is that it speaks to. The topology says what must hold; this file
// says only addresses, and each of them is one setting, so that a relay or a gate can be put before any of them.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/http_client.hpp"
#include "base/log.hpp"
#include "core/topology/topology.hpp"

namespace domicile::agent {

struct EtcdConfig {
  std::vector<std::string> endpoints;  // the own site's member first
  std::string user;
  fs::path password_file;  // 0600
  TlsFiles tls;
};

struct ApiConfig {
  std::string host;  // where peers and operators reach the control API, by mutual TLS
  int port = 0;
  std::string socket;  // the same API for this host's operators
  TlsFiles tls;
  std::map<std::string, std::vector<std::string>> roles;  // certificate name -> view, operate, approve, break-glass
  fs::path revoked_file;                                  // see base/revoked.hpp; read again at least every 10 s
};

struct KeyPair {
  std::string certificate, key;
};

struct GatewayConfig {
  fs::path directory;  // tenants.snap and authority.snap are written here, edge.state is read here
  // What follows is for `domicile gateway config` alone: the agent itself never speaks to the gateway.
  std::string listen, listen_plain, tunnel, forward;  // ip:port
  std::string application;                            // ip:port of the service behind it
  std::string modules, user, tenant_header;
  std::map<std::string, KeyPair> certificates;  // residency -> of its tenants' hosts
};

struct SiteConfig {
  std::string api;      // https://host:port of that site's control API
  std::string link;     // libpq connection string by which this region's subscriptions reach its gate; empty: none
  std::string tunnel;   // host:port of that site's gateway for TLS passed on undecrypted
  std::string forward;  // host:port of that site's gateway for requests that are decrypted already
};

struct AgentConfig {
  std::string region;
  fs::path topology;
  fs::path state;        // this agent's own folder, 0700
  std::string database;  // libpq connection string of this region's database; empty: a voter
  fs::path gate_socket;  // of the gate's control API; empty: nothing goes out of here
  EtcdConfig etcd;
  ApiConfig api;
  std::optional<GatewayConfig> gateway;
  std::map<std::string, SiteConfig> sites;  // every other site
  Log::Format log = Log::Format::text;
  Micros drift_period = 5 * kSecond;  // between two looks at whether the database is as it should be
  fs::path stall_directory;           // see base/stall.hpp; empty: no stall points
};

// All settings are checked; the error names file, line and column. What is accepted speaks mutual TLS to other sites.
Result<AgentConfig> read_agent_config(const fs::path& file);
// The region is a site of the topology, and what the topology lets flow to it has an address.
Result<void> check_fits(const AgentConfig& config, const topology::Topology& topology);

}  // namespace domicile::agent
