// The nginx.conf of a gateway, rendered from values, and its directory:
//
//   DIR/nginx.conf           made by `prepare`
//   DIR/tenants.snap authority.snap   published by the agent
//   DIR/edge.state           written by nginx, read by the agent
//   DIR/logs/access.log error.log     without personal data
//   DIR/run/*.sock           inner listeners, reachable by nginx's user alone
#pragma once
#include <string>
#include <vector>

#include "base/http_client.hpp"
#include "base/process.hpp"
#include "base/result.hpp"

namespace domicile::edge {

// A certificate for the hosts of one residency. Only for residencies whose form here is full: no other key may be here.
struct ResidencyCertificate {
  std::string residency, certificate, key;  // PEM files, the key readable by whoever starts nginx
};

// Another region that may own what is held in full here: its gateway gets requests that were decrypted here.
struct GatewayPeer {
  std::string region, forward;  // forward: ip:port
};

struct GatewayConfig {
  std::string directory;
  std::string region;
  std::string nginx = "/usr/sbin/nginx";
  std::string modules;       // directory of ngx_domicile_http.so and ngx_domicile_stream.so
  std::string listen;        // ip:port for clients, TLS
  std::string listen_plain;  // ip:port for clients without TLS; may be empty
  std::string tunnel;        // ip:port where peers' tunnels arrive; may be empty
  std::string forward;       // ip:port where peers' decrypted requests arrive; may be empty
  std::string application;   // ip:port of the plain HTTP service behind the gateway
  std::vector<ResidencyCertificate> certificates;
  std::vector<GatewayPeer> peers;
  TlsFiles region_tls;  // this region's certificate (subjectAltName DNS:<region>) and the authority of all regions
  std::string user;     // workers' user when started by root; "user group" or empty
  std::string tenant_header = "X-Tenant";  // must agree with the host's tenant where it is sent
  int workers = 2;
  int hold_requests = 20000;            // per worker
  std::size_t hold_bytes = 256u << 20;  // per worker
  int hold_ms = 15000;                  // then 503
  int retry_after_s = 1;
  // After a move kept connections end one by one over this time. All their clients shake hands anew, through a tunnel,
  // which costs more than their requests: over 4 s that delayed what had just been released.
  int wind_down_ms = 30000;
  // Idle ones kept to the application, per worker. Where each holds a thread of it, all of them together must be well
  // below its threads: what has no thread waits until an idle connection is closed, 2 s.
  int application_connections = 16;
  int warm_connections = 96;       // kept open to each peer's forward address, per worker
  int released_at_once = 96;       // held requests on their way to peers at the same time, per worker
  std::vector<std::string> reads;  // "METHOD /prefix" that are no writes although their method says so
  std::string server_extra;        // directives for the client-facing servers, such as further locations
  int worker_connections = 8192;
};

Result<std::string> render(const GatewayConfig& config);
// Makes the directory and writes nginx.conf; the caller starts or reloads nginx.
Result<void> prepare(const GatewayConfig& config);
// nginx in the foreground, under our supervision. Reload: SIGHUP; graceful end: SIGQUIT.
Command start_command(const GatewayConfig& config);

}  // namespace domicile::edge
