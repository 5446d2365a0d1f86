// Two regions of one jurisdiction and a voter, as an operator has them: three etcd members, a PostgreSQL of each
// region, the real agents as processes. No lab, no gateways: everything speaks over loopback and Unix sockets.
#pragma once
#include <sys/prctl.h>

#include <map>
#include <memory>

#include "base/json.hpp"
#include "core/topology/parse.hpp"
#include "engines/postgres/provision/provision.hpp"
#include "postgres_server.hpp"
#include "support/etcd_cluster.hpp"
#include "support/free_ports.hpp"
#include "support/site_gate.hpp"

namespace domicile::test {

inline const char* const kHome = "eu-central-1";
inline const char* const kStandby = "eu-west-1";
inline const char* const kVoter = "eu-north-1";

class OperatedSites {
 public:
  struct Answer {
    long status = 0;  // 0: none came
    Json body;
  };

  explicit OperatedSites(const std::string& schema, const std::string& data, bool standby = true)
      : etcd({kHome, kStandby, kVoter}) {
    must(write_file(topology_file(), topology_text(data)));
    topology = must(topology::load(topology_text(data), "topology.yaml"));
    for (const auto* person : {"operate", "break-glass"})
      must(etcd.authority().issue(etcd.directory() / person, {.common_name = person, .ip = {}}));
    for (const auto& site : etcd.sites()) {
      must(make_directories(folder(site) / "stall", 0700));
      must(write_file(folder(site) / "revoked", "# nobody\n"));
      ports_[site] = free_port();
    }
    for (const auto* region : {kHome, kStandby}) {
      if (region == kStandby && !standby) continue;
      servers[region] = std::make_unique<postgres::Server>();
      auto admin = servers[region]->open("postgres");
      must(admin.exec(schema));
      must(postgres::apply_region(servers[region]->conninfo("postgres"), topology, region, postgres::homes_of(topology),
                                  GuardForm::c, servers[region]->library()));
    }
    for (const auto& [region, server] : servers) {
      const std::string own = (etcd.directory() / region).string();
      gates_[region] = std::make_unique<SiteGate>(
          SiteGatePlace{region, topology_file(), folder(region), free_port(), (etcd.directory() / "ca.pem").string(),
                        own + ".pem", own + ".key", server->conninfo("postgres", "domicile_gate")});
      gates_[region]->start();
    }
    for (const auto& site : etcd.sites())
      if (site == kVoter || servers.contains(site)) start(site);
  }
  ~OperatedSites() {
    for (auto& [site, agent] : agents_) agent.signal(SIGKILL);
    for (auto& [region, server] : servers) server->quit();
  }
  OperatedSites(const OperatedSites&) = delete;
  OperatedSites& operator=(const OperatedSites&) = delete;

  void start(const std::string& site) {
    must(write_file(folder(site) / "agent.yaml", yaml(site)));
    Command command{{DOMICILE_BINARY, "agent", "--config", (folder(site) / "agent.yaml").string()}};
    command.output = log(site).string();
    command.in_child = [] { return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0; };
    agents_.insert_or_assign(site, must(Process::start(command)));
  }
  void kill(const std::string& site) {
    agents_.at(site).signal(SIGKILL);
    agents_.at(site).wait();
  }

  // As the host's operator, or with a person's certificate.
  Answer call(const std::string& site, const std::string& method, const std::string& path, const Json& body = {},
              const std::string& person = {}) const {
    TlsFiles tls;
    if (!person.empty())
      tls = {(etcd.directory() / "ca.pem").string(), (etcd.directory() / (person + ".pem")).string(),
             (etcd.directory() / (person + ".key")).string()};
    HttpClient client(tls, person.empty() ? socket(site) : "");
    const std::string base = person.empty() ? "http://agent" : api(site);
    const auto response = client.send({method, base + path, {}, body.is_null() ? "" : dump(body), 14 * kSecond});
    if (!response) return {};
    auto json = parse_json(response->body, "the answer");
    return {response->status, json ? *json : Json()};
  }
  Json residency(const std::string& site, const std::string& name) const {
    const auto status = call(site, "GET", "/v1/status").body;
    if (status.is_object())
      for (const auto& each : status["residencies"])
        if (each["residency"] == name) return each;
    return Json::object();
  }
  bool serves(const std::string& site, const std::string& name) const {
    const auto seen = residency(site, name);
    return seen.value("owner", "") == site && seen.value("mode", "") == "serving" && seen["lease_ms"].is_number() &&
           seen["lease_ms"] > 0;
  }
  Outcome cli(const std::string& site, std::vector<std::string> words) const {
    words.insert(words.begin(), DOMICILE_BINARY);
    words.insert(words.end(), {"--agent", socket(site)});
    return must(run({words}, 60 * kSecond));
  }
  // What went wrong, for a failed assertion.
  std::string told(const std::string& site) const { return read_file(log(site)).value_or(""); }

  fs::path folder(const std::string& site) const { return dir_.path() / site; }
  fs::path log(const std::string& site) const { return folder(site) / "agent.log"; }
  std::string socket(const std::string& site) const { return (folder(site) / "agent.sock").string(); }
  std::string api(const std::string& site) const { return fmt::format("https://127.0.0.1:{}", ports_.at(site)); }
  SiteGate& gate(const std::string& region) { return *gates_.at(region); }
  fs::path topology_file() const { return dir_.path() / "topology.yaml"; }

  EtcdCluster etcd;
  topology::Topology topology;
  std::map<std::string, std::unique_ptr<postgres::Server>> servers;

 private:
  static std::string topology_text(const std::string& data) {
    return "domicile: 1\n"
           "regions: {eu-central-1: {jurisdiction: EU}, eu-west-1: {jurisdiction: EU}}\n"
           "voters: {eu-north-1: {}}\n"
           "residencies:\n"
           "  directory: {home: eu-central-1, standby: [eu-west-1], holds: {EU: full}, failover: approve}\n"
           "  eu: {home: eu-central-1, standby: [eu-west-1], holds: {EU: full}, failover: approve}\n" +
           data;
  }
  std::string yaml(const std::string& site) const {
    const auto access = etcd.access(site);
    const auto files = [&](const std::string& stem) {
      const auto path = (etcd.directory() / stem).string();
      return fmt::format("ca: {}, certificate: {}.pem, key: {}.key", (etcd.directory() / "ca.pem").string(), path,
                         path);
    };
    std::string endpoints;
    for (const auto& one : access.endpoints) endpoints += (endpoints.empty() ? "" : ", ") + one;
    std::string text = fmt::format("region: {}\ntopology: {}\nstate: {}\n", site, topology_file().string(),
                                   (folder(site) / "state").string());
    if (site != kVoter)
      text += fmt::format("database: \"{}\"\ngate: {{socket: {}}}\n",
                          servers.at(site)->conninfo("postgres", "domicile_agent"), gates_.at(site)->socket());
    text += fmt::format("etcd: {{endpoints: [{}], user: {}, password_file: {}, {}}}\n", endpoints, site,
                        access.password_file, files("client"));
    text += fmt::format(
        "api: {{listen: '127.0.0.1:{}', socket: {}, {}, revoked_file: {}, roles: {{operate: [view, operate], "
        "break-glass: [view, break-glass]}}}}\n",
        ports_.at(site), socket(site), files(site), (folder(site) / "revoked").string());
    text += "sites:\n";
    for (const auto& other : etcd.sites()) {
      if (other == site) continue;
      text += fmt::format("  {}:\n    api: {}\n", other, api(other));
      if (other == kVoter || site == kVoter) continue;
      // As the gate logs in, so that nothing here needs a certificate that PostgreSQL's user may read.
      const std::string link = servers.contains(other) ? servers.at(other)->conninfo("postgres", "domicile_gate")
                                                       : "host=/nowhere dbname=postgres user=domicile_gate";
      text += fmt::format("    link: \"{}\"\n    insecure_link: true\n", link);
    }
    return text + fmt::format("stall_directory: {}\n", (folder(site) / "stall").string());
  }

  TempDir dir_;
  std::map<std::string, int> ports_;
  std::map<std::string, std::unique_ptr<SiteGate>> gates_;
  std::map<std::string, Process> agents_;
};

}  // namespace domicile::test
