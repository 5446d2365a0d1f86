// The control API: what peers, operators and the console ask an agent. The same routes over a Unix socket (whoever may
// open it is this host's operator) and over mutual TLS (the certificate's name decides). docs/reference/api.md lists
// them.
#pragma once
#include <memory>
#include <mutex>
#include <set>

#include "agent/beat_loop.hpp"
#include "agent/boards.hpp"
#include "agent/denials.hpp"
#include "agent/events.hpp"
#include "agent/first_rows.hpp"
#include "agent/move_calls.hpp"
#include "agent/peers.hpp"
#include "agent/precheck.hpp"
#include "agent/residency_loop.hpp"
#include "agent/salvage_calls.hpp"
#include "base/http_server.hpp"
#include "base/revoked.hpp"

namespace domicile::agent {

enum class Role {
  agent,        // a peer's agent: epochs, hints, first rows
  view,         // status, events, metrics
  operate,      // planned switches, adopting a quorum
  approve,      // yes to a switch that asks
  break_glass,  // opening without a quorum
};

// Who a call comes from. Reads the list of revoked serial numbers again when it is older than ten seconds; while a list
// that is configured was never read, nobody from elsewhere has a role.
class Roles {
 public:
  explicit Roles(const AgentConfig& config) : config_(config), revoked_(config.api.revoked_file) {}
  // The caller's roles; empty: nobody whom we know, or revoked.
  std::set<Role> of(const HttpCall& call);
  std::string trouble() { return revoked_.trouble(); }  // with the list of revoked certificates
  static std::string who(const HttpCall& call) { return call.local ? "local" : call.peer_name; }

 private:
  const AgentConfig& config_;
  RevokedFile revoked_;
};

struct ApiSetup {
  const AgentConfig* config = nullptr;
  const topology::Topology* topology = nullptr;
  std::string policy_hash, version;
  SiteDisk* disk = nullptr;
  Peers* peers = nullptr;
  BeatLoop* beat = nullptr;
  Events* events = nullptr;
  Denials* denials = nullptr;
  const LoopLives* lives = nullptr;
  std::map<std::string, ResidencyLoop*> residencies;  // empty at a voter
  const Published<MarkersSeen>* markers = nullptr;
  const Published<CopiesSeen>* copies = nullptr;
  const Published<GatewaySeen>* gateway = nullptr;
  const Published<GateSeen>* gate = nullptr;  // null where nothing goes out
  const Published<DriftSeen>* drift = nullptr;
  const Published<StandbysSeen>* standbys = nullptr;  // null at a voter
  replication::StoreFactory make_store;               // empty at a voter
  FirstRowsExports* exports = nullptr;                // null at a voter
  std::function<Result<Json>(const std::string&body, const std::string&who)> adopt, break_glass;
  std::function<std::string()> metrics;
  std::function<Json()> quorum_status;                                       // etcd's members, quota, alarms
  std::function<Json()> layers;                                              // see layers.hpp
  std::function<Json()> gateway_layer;                                       // that part of it
  MoveCalls* moves = nullptr;                                                // null at a voter
  SalvageCalls* salvage = nullptr;                                           // the same
  const Published<std::map<std::string, std::string>>* ways_home = nullptr;  // by residency, for a person
  std::function<std::map<std::string, std::string>()> move_troubles;         // what a move waits for, by tenant
};

class Api {
 public:
  explicit Api(ApiSetup setup) : setup_(std::move(setup)), roles_(*setup_.config) {
    if (setup_.make_store) store_ = setup_.make_store();
  }
  HttpReply answer(const HttpCall& call);
  Json status();
  Json observed(const std::string& tenant = "");  // of one tenant, counts as well

 private:
  HttpReply route(const HttpCall& call, const std::set<Role>& roles);
  HttpReply events(const HttpCall& call) const;
  // What this site tells, or every site: one that does not answer is named with the reason, never left out.
  HttpReply everywhere(const HttpCall& call, Micros patience, const std::function<Json()>& own) const;
  HttpReply epochs(const HttpCall& call, const std::string& residency);
  HttpReply look(const HttpCall& call);
  HttpReply copy(const std::string& residency) const;
  HttpReply first_rows(const HttpCall& call, const std::string& rest);
  bool serves(const std::string& residency) const;  // its lease is open here
  HttpReply schemas(const HttpCall& call, const std::string& residency);
  HttpReply link(const HttpCall& call, const std::string& residency);
  HttpReply check_switch(const HttpCall& call);
  PrecheckSetup precheck_setup() const;
  Result<std::vector<std::string>> precheck(const std::string& residency, const std::string& to, bool terminate,
                                            Micros patience) const;
  HttpReply order_switch(const HttpCall& call);
  HttpReply approve(const HttpCall& call);
  HttpReply moves(const HttpCall& call, const std::string& what, const std::set<Role>& roles);
  HttpReply salvage(const HttpCall& call, const std::string& what);
  Json moves_json() const;
  HttpReply health() const;
  HttpReply ready() const;
  Json drift_json() const;
  // Rows that nobody has decided about, by residency and epoch.
  std::map<std::pair<std::string, authority::Epoch>, std::int64_t> open_salvage() const;
  Json salvage_json() const;
  Json gate_json() const;
  Json links_json() const;
  Json guard_json(const std::string& residency) const;
  Json residency_status(const topology::Residency& residency) const;

  ApiSetup setup_;
  Roles roles_;
  // For what every receiver asks at each of its looks: one session, not one for each question.
  std::mutex store_mutex_;
  std::unique_ptr<replication::Store> store_;  // null at a voter
};

}  // namespace domicile::agent
