// The gateway of a region of agents_fixture.hpp: a real nginx with our modules, and behind it a small application that
// writes the rows that clients ask for, as a customer's would.
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/http_server.hpp"
#include "base/process.hpp"
#include "edge/config.hpp"
#include "lab/certificates.hpp"
#include "support/https_client.hpp"

namespace domicile::test {

struct SiteGatewayPlace {
  std::string region;
  fs::path folder;                            // made; nginx's workers must get in
  std::vector<std::string> full_residencies;  // whose hosts' certificates may lie here
  int listen = 0, tunnel = 0, forward = 0;    // ports of 127.0.0.1
  std::vector<std::string> hosts = {};        // in every certificate; empty: each residency's own
};

// Writes a row of the residency: "" when it was acknowledged, else the SQLSTATE, or "lost".
using WriteRow = std::function<std::string(const std::string& residency, std::int64_t row)>;

class SiteGateway {
 public:
  SiteGateway(const lab::Authority& authority, const fs::path& ca, SiteGatewayPlace place, WriteRow write);
  ~SiteGateway();
  SiteGateway(const SiteGateway&) = delete;
  SiteGateway& operator=(const SiteGateway&) = delete;

  void start();
  void signal(int number);  // to nginx and all its workers
  fs::path directory() const { return config_.directory; }

  // As a client of the residency's tenant that found this gateway. The outcome is a 2xx only when the row was written.
  edge::Answer post(const std::string& residency, std::int64_t row) const;
  edge::Answer read(const std::string& residency) const;
  std::uint64_t held() const;      // requests that wait here for the end of a switch
  int arrivals(std::int64_t row);  // how often the application here was asked to write it

  static std::string host_of(const std::string& residency) { return residency + "-1.example"; }

 private:
  HttpReply answer(const HttpCall& call);
  edge::Answer ask(const edge::Ask& ask) const;

  edge::GatewayConfig config_;
  std::string ca_;
  int port_;
  WriteRow write_;
  std::mutex mutex_;
  std::map<std::int64_t, int> arrivals_;
  std::optional<HttpServer> application_;
  std::optional<Process> nginx_;
};

}  // namespace domicile::test
