// First rows of a link between two agents: the exporting one reads them at its slot's snapshot, lets its gate judge and
// count them, and streams them over its control API; the importing one writes them.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>

#include "agent/config.hpp"
#include "agent/gate_client.hpp"
#include "base/http_server.hpp"
#include "core/replication/store.hpp"
#include "engines/postgres/links/repair.hpp"
#include "engines/postgres/store/store.hpp"

namespace domicile::agent {

// The sessions that this region exports, one per link. Thread-safe.
class FirstRowsExports {
 public:
  FirstRowsExports(postgres::StoreSettings settings, GateClient gate, Log log)
      : settings_(std::move(settings)), gate_(std::move(gate)), log_(std::move(log)) {}
  // Begins a session for the link to `peer`, or answers with the one that runs; body: {repair}. With `repair` the
  // link's slot is made anew although it was ready: only the residency's owner may let that be asked.
  HttpReply session(const std::string& residency, const std::string& peer, const std::string& body);
  // Streams rows of one table; body: {session, schema, name, columns, bits, parts}.
  HttpReply rows(const std::string& residency, const std::string& peer, const std::string& body);
  // Their sums; body: the same, and split.
  HttpReply sums(const std::string& residency, const std::string& peer, const std::string& body);
  HttpReply close(const std::string& residency, const std::string& peer, const std::string& body);

 private:
  struct Running {
    std::mutex mutex;  // one call at a time
    std::unique_ptr<postgres::links::Exporter> exporter;
  };
  std::shared_ptr<Running> running(const std::string& residency, const std::string& peer);

  postgres::StoreSettings settings_;
  GateClient gate_;
  Log log_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Running>> sessions_;  // by link name
};

// What a repair brought.
struct Repair {
  postgres::links::Repaired done;
  std::int64_t bytes = 0;  // of rows and sums, both ways
};

// Makes the copy here equal to `inbound.from`'s and follows it.
Result<Repair> repair_copy(const AgentConfig& config, const postgres::StoreSettings& settings,
                           const replication::LinkName& inbound, const Log& log,
                           postgres::links::RepairOptions options);

// Brings the first rows of `inbound` from its source's agent; returns when every table is journaled complete and the
// link streams. False: the source's slot carries this link already, so that something was here once.
Result<bool> bring_first_rows(const AgentConfig& config, const postgres::StoreSettings& settings,
                              const replication::LinkName& inbound, const Log& log);

}  // namespace domicile::agent
