// Three regions as a customer runs them: PostgreSQL and etcd started by hand, `domicile apply`, real agents with real
// certificates and times of a few seconds, and where a story wants them gateways. No lab. Stories about switches and
// losses are told on it.
//
// All processes are children of the thread that makes it and end with it.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/authority/record.hpp"
#include "engines/etcd/etcd_quorum.hpp"
#include "etcd_cluster.hpp"
#include "postgres_fixture.hpp"
#include "site_gate.hpp"
#include "site_gateway.hpp"

namespace domicile::test {

inline const std::string kUs = "us-east-1", kEu = "eu-central-1", kWest = "eu-west-1";

// lease: {ttl: 4s, beat: 500ms, margin: 300ms, patience: 4s}; `directory` and `us` live in us-east-1, `eu` in
// eu-central-1; standbys of all of them are the two others as far as the law lets them.
extern const char* const kShortTimes;
// The same, where only eu-central-1 may take what is at home in us-east-1, and eu-west-1 receives it.
std::string one_standby();

// ttl + margin of kShortTimes: from the owner's last beat until another region may take its residencies.
inline constexpr Micros kExpiry = 4'300 * kMillisecond;

class Regions;

struct RegionsOptions {
  std::string topology = {};                              // empty: kShortTimes
  std::map<std::string, PostgresOptions> databases = {};  // what a region's server has beyond the usual
  std::map<std::string, std::map<std::string, std::string>> agent_env = {};  // of a region's agent, at each start
  std::function<void(Regions&)> before_apply = {};   // the application's tables are there, and nothing of ours
  std::function<void(Regions&)> before_agents = {};  // once schema and tenants are there
  bool copies = true;                                // wait until every copy follows with known lag
  bool gateways = false;                             // a gateway in every region, and an application behind it
  bool asks_directory = false;                       // that application finds its tenant's residency in domicile.tenant
  std::string drift_period = "5s";
  std::string guard = "c";  // or "portable"
};

class Regions {
 public:
  explicit Regions(RegionsOptions options = {});
  ~Regions();
  Regions(const Regions&) = delete;
  Regions& operator=(const Regions&) = delete;

  static const std::vector<std::string>& all();
  PostgresCluster& database(const std::string& region) { return *sites_.at(region).database; }
  EtcdCluster& etcd() { return *etcd_; }
  SiteGateway& gateway(const std::string& region) { return *sites_.at(region).gateway; }
  SiteGate& gate(const std::string& region) { return *sites_.at(region).gate; }

  void start_agent(const std::string& region);
  void kill_agent(const std::string& region);  // SIGKILL
  void stop_agent(const std::string& region);  // SIGTERM, as its service manager does
  void pause_agent(const std::string& region);
  void resume_agent(const std::string& region);
  bool agent_runs(const std::string& region);
  std::string told();  // what all agents say about all residencies, and the ends of their logs: for a failure's message
  std::string agent_log(const std::string& region) const;
  fs::path state_folder(const std::string& region) const { return sites_.at(region).folder / "state"; }

  // A region: agent, gate, gateway, PostgreSQL with all its children, etcd member.
  void kill_region(const std::string& region);
  void pause_region(const std::string& region);
  void resume_region(const std::string& region);
  void start_region(const std::string& region);  // after kill_region
  // After kill_region: its database is started empty but for the application's tables, its state folder is empty.
  void make_anew(const std::string& region);
  void pause_database(const std::string& region) { signal_database(region, SIGSTOP); }
  void resume_database(const std::string& region) { signal_database(region, SIGCONT); }
  void kill_database(const std::string& region);  // all its processes, at once

  // Stall points of a region's agent, see base/stall.hpp.
  void stop_at(const std::string& region, const std::string& point) { touch(region, point + ".stop"); }
  void kill_at(const std::string& region, const std::string& point) { touch(region, point + ".kill"); }
  bool reached(const std::string& region, const std::string& point, Micros timeout = kPatient);
  bool standing(const std::string& region, const std::string& point) const;  // a kill file that waits
  void let_go(const std::string& region, const std::string& point);          // and forgets that it was reached
  void forget_stalls();

  // The control API on its Unix socket; null when it does not answer.
  Json get(const std::string& region, const std::string& path);
  Result<Json> post(const std::string& region, const std::string& path, const Json& body);
  // True once every loop of the region's agent has gone round so many times more.
  bool passes_on(const std::string& region, int count, Micros timeout = kPatient);
  // One residency's part of /v1/status; an empty object when the agent does not answer.
  Json status(const std::string& region, const std::string& residency);
  Outcome cli(std::vector<std::string> words, Micros timeout = 60 * kSecond);
  Result<Json> order_switch(const std::string& residency, const std::string& to);
  fs::path socket(const std::string& region) const { return sites_.at(region).folder / "agent.sock"; }

  // The quorum's own word. An empty record (epoch 0) when there is none or nobody answers.
  authority::Record record(const std::string& residency);

  std::int64_t beats(const std::string& region);  // the counter of its last beat; -1: none

  // True once `owner` serves the residency at an epoch of at least `epoch` and its lease is open.
  bool serves(const std::string& residency, const std::string& owner, authority::Epoch epoch = 0,
              Micros timeout = kPatient);
  bool settled(Micros timeout = kPatient);  // every copy that is not resync follows its owner, with known lag
  std::string copy_state(const std::string& region, const std::string& residency);

  // What the guard of a region's database says: open (and its lease not over), fenced or closed, the epoch.
  struct Guard {
    std::string state;
    authority::Epoch epoch = 0;
    bool lease_runs = false;
    Micros end = 0;  // of the lease, by the database's own clock
  };
  Guard guard(const std::string& region, const std::string& residency);  // an empty state: it did not answer
  // True once its database says that no lease runs.
  bool lease_ended(const std::string& region, const std::string& residency, Micros timeout = kPatient);

  // Writes one row as the application does, in its own short session. "" when it was acknowledged, else the SQLSTATE,
  // or "lost" when the server did not answer.
  std::string write(const std::string& region, const std::string& residency);
  std::string write(const std::string& region, const std::string& residency, std::int64_t row);
  // The regions whose database acknowledges a write now.
  std::vector<std::string> writable(const std::string& residency);
  std::set<std::int64_t> rows(const std::string& region, const std::string& residency);
  // Acknowledged writes of this process that `region` does not have.
  std::vector<std::int64_t> missing(const std::string& region, const std::string& residency);

  // For writers of their own: a number that no other row has, and the note that its write was acknowledged.
  std::int64_t next_row() { return ++last_row_; }
  void acknowledged(const std::string& residency, std::int64_t row);
  static std::string insert_sql(const std::string& residency, std::int64_t row);
  // A row of `residency`'s first tenant, wherever it lives by now.
  static std::string insert_by_directory_sql(const std::string& residency, std::int64_t row);

 private:
  struct Site {
    std::string name;
    int api_port = 0, database_port = 0, gate_port = 0, tunnel_port = 0, forward_port = 0;
    fs::path folder;
    std::unique_ptr<PostgresCluster> database;
    std::unique_ptr<SiteGate> gate;
    std::optional<Process> agent;
    std::unique_ptr<SiteGateway> gateway;
    std::vector<pid_t> paused;
  };
  void make_databases();
  void make_gateway(Site& site);
  void write_settings(const Site& site);
  void touch(const std::string& region, const std::string& file);
  void signal_database(const std::string& region, int number);

  RegionsOptions options_;
  std::unique_ptr<EtcdCluster> etcd_;
  TempDir dir_;
  std::map<std::string, Site> sites_;
  std::optional<etcd::EtcdQuorum> quorum_;
  std::atomic<std::int64_t> last_row_{0};
  mutable std::mutex mutex_;
  std::map<std::string, std::set<std::int64_t>> acknowledged_;
};

}  // namespace domicile::test
