// The lab as an attempt sees it: what somebody in the forbidden region has, and the doors of the region that is at
// home.
#pragma once
#include "agent/config.hpp"
#include "drill/field.hpp"
#include "engines/etcd/etcd_client.hpp"
#include "engines/postgres/connection.hpp"
#include "prove/attempt.hpp"

namespace domicile::prove {

struct Ground {
  const drill::Field* field = nullptr;
  int base = 0;           // of the lab's ports, where regions share the host's network
  std::string residency;  // which may not lie here in full
  std::string here;       // the region where attempts are made, from inside its network
  std::string home;       // who owned the residency when it began
  std::string own_host;   // of a tenant whose residency may lie here in full
  std::string own_tenant, own_residency;
  agent::AgentConfig config;  // of `here`: its addresses, certificates and logins
  fs::path scratch;           // for what an attempt writes itself; searched with the rest
};

// Reads the region's own agent.yaml.
Result<Ground> make_ground(const drill::Field& field, const std::string& residency, const std::string& here);

// A session over the region's own Unix socket; with `role` as that role alone.
Result<postgres::Connection> session_at(const Ground& ground, const std::string& region, const std::string& role);

// What a statement met as `role` here. `trouble` where no SQLSTATE came back.
Outcome try_sql(const Ground& ground, const std::string& role, const std::vector<std::string>& statements);
// An error of PostgreSQL as an outcome.
Outcome outcome_of(const Error& error);

// The control API of `region`, by a certificate that lies here: certs/…/STEM.pem.
Result<HttpResponse> ask_api(const Ground& ground, const std::string& region, const fs::path& stem,
                             const std::string& method, const std::string& path, const std::string& body = {});
fs::path own_certificate(const Ground& ground, const std::string& name);     // certs/HERE/NAME
fs::path client_certificate(const Ground& ground, const std::string& name);  // certs/clients/NAME

etcd::Access own_quorum(const Ground& ground);

// The API's refusal by its code; where it has none by its kind, or by its status.
Outcome outcome_of(const Result<HttpResponse>& answer);

// The rule of a denial that the gate of `region` has told the id of; `conflict` when it does not know it.
Result<std::string> rule_of_denial(const Ground& ground, const std::string& region, const std::string& id);

struct Denied {
  std::string id, rule;
};
// The last one that this gate wrote down since then (wall clock); empty: none.
std::optional<Denied> last_denial(const Ground& ground, const std::string& region, Micros since);

// Asks until it is so, at most `patience`; false: it never was.
bool eventually(Micros patience, const std::function<bool()>& so);

}  // namespace domicile::prove
