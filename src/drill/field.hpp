// A running lab as a drill sees it: its faults, its agents, its databases, and clients for it. Everything is asked over
// sockets below the lab's directory, so that any process may drill any lab.
#pragma once
#include "base/process.hpp"
#include "core/topology/topology.hpp"
#include "drill/load.hpp"
#include "drill/report.hpp"
#include "lab/control.hpp"

namespace domicile::drill {

struct Authority {
  std::string owner, mode, switch_id;
  std::int64_t epoch = 0;
};

class Field {
 public:
  // `unavailable` when no lab runs there.
  static Result<Field> open(const fs::path& directory, topology::Topology topology);

  const topology::Topology& topology() const { return topology_; }
  const fs::path& directory() const { return directory_; }
  std::vector<std::string> regions() const;
  bool flat() const { return flat_; }                     // regions share the host's network
  const fs::path& recorded() const { return recorded_; }  // the folder of `--record`; empty when nothing is recorded
  // Where the site's own programs reach it; voters have one too.
  std::string inner_address(const std::string& site) const;

  Result<Json> lab(const std::string& verb, const Json& body) const;  // POST /VERB: cut, kill, …
  Result<Json> lab_status() const;
  // A fault that the lab undoes when this process asks for it, or dies: remembered there before it is set.
  Result<void> set_fault(const std::string& verb, Json body, const std::string& drill) const;
  Result<void> undo_faults() const;  // of this process, the last one first
  Result<Json> agent(const std::string& region, const std::string& method, const std::string& path,
                     const Json& body = {}, Micros timeout = 5 * kSecond) const;
  Result<Json> agent_status(const std::string& region) const { return agent(region, "GET", "/v1/status"); }
  // As the agent of `region` knows it.
  Result<Authority> authority(const std::string& residency, const std::string& region) const;
  // The events of every agent that answers.
  std::vector<Event> events(std::size_t count = 1000) const;

  // Ids of all orders of the residency that this region's database holds.
  Result<std::set<std::string>> markers(const std::string& residency, const std::string& region) const;
  // Ids of all orders of the residency's ended epoch that this region keeps as salvage.
  Result<std::set<std::string>> salvaged(const std::string& residency, std::int64_t epoch,
                                         const std::string& region) const;
  // `count` clients of as many tenants; tenants that are not there yet are added at `at`, the directory's owner.
  Result<std::vector<ClientSpec>> clients(const std::string& residency, std::size_t count, const std::string& at) const;
  Result<Gateway> gateway_inside(const std::string& region) const;  // as clients in that region reach it
  std::string database(const std::string& region) const;            // libpq conninfo of the superuser
  // Where `from` reaches a service of `to`.
  Gateway service(const std::string& from, const std::string& to, lab::Port port) const;
  std::string ca() const { return (directory_ / "certs" / "ca.pem").string(); }
  // A process inside a region's network, as a client that is locked in with it.
  Result<Process> start_inside(const std::string& region, Command command) const;

 private:
  Field() = default;
  fs::path directory_, recorded_;
  topology::Topology topology_;
  std::map<std::string, std::string> address_;  // of gateways, for clients outside
  std::map<std::string, std::string> inner_address_;
  int base_ = 0;
  bool flat_ = false;
};

}  // namespace domicile::drill
