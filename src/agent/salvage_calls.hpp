// What an agent answers about salvage. At the region that keeps it: what there is, how it stands to the owner's rows,
// and what a person decides. At the owner: what became of rows since the takeover, and the writing of what was decided.
// Rows leave the keeping region through its gate.
#pragma once
#include "agent/boards.hpp"
#include "agent/config.hpp"
#include "agent/events.hpp"
#include "agent/peers.hpp"
#include "base/http_server.hpp"
#include "engines/postgres/salvage/book.hpp"
#include "engines/postgres/salvage/reapply.hpp"
#include "engines/postgres/store/store.hpp"

namespace domicile::agent {

struct SalvageSetup {
  const AgentConfig* config = nullptr;
  postgres::StoreSettings store;
  std::map<std::string, const Published<ResidencySeen>*> residencies;
  Peers* peers = nullptr;
  Events* events = nullptr;
  Log log{2, Log::Format::text, Level::info, ""};
};

// Thread-safe.
class SalvageCalls {
 public:
  explicit SalvageCalls(SalvageSetup setup) : setup_(std::move(setup)) {}

  // GET /v1/salvage: {runs, repairs}. No row, no value.
  Result<Json> list() const;
  // POST /v1/salvage/show: {residency, epoch, ids?, table?, values?}: entries with their verdicts. Values only for
  // whoever sits at this region's own socket.
  Result<Json> show(const Json& body, bool local) const;
  // POST /v1/salvage/decide: {residency, epoch, ids?, table?, act: apply or discard, rule?, choices?, reason, dry_run?}
  Result<Json> decide(const Json& body, const std::string& who) const;
  // Writes at the owner what was inserted here and is missing there, of each epoch that is not in `offered`, which
  // grows by it: what is missing later, the owner has deleted. How many rows.
  Result<std::size_t> reapply_inserts(const std::string& residency, std::set<authority::Epoch>& offered,
                                      const std::string& who, const std::string& reason) const;
  // POST /v1/salvage/rows: {residency, epoch, table, ids}: asked by the owner that is to write them.
  HttpReply rows(const Json& body, const std::string& peer) const;

  // At the owner. POST /v1/salvage/since: {residency, keys}; POST /v1/salvage/apply: {residency, epoch, deeds}
  Result<Json> since(const Json& body, const std::string& peer) const;
  Result<Json> apply(const Json& body, const std::string& peer) const;

 private:
  Result<postgres::Connection> session() const { return postgres::open_session(setup_.store, "domicile-salvage"); }
  Result<authority::Record> serving(const std::string& residency) const;
  Result<void> only_for(const std::string& residency, const std::string& peer, bool writes) const;
  std::vector<postgres::links::MappedTable> tables_of(const std::string& residency) const;
  Result<std::vector<postgres::Since>> changed_since(const postgres::links::Sql& sql, const std::string& residency,
                                                     const std::string& peer,
                                                     const std::vector<salvage::Key>& keys) const;
  Result<std::vector<salvage::Row>> fetch(const std::string& peer, const std::string& residency, const Json& question,
                                          const postgres::links::MappedTable& table) const;

  SalvageSetup setup_;
};

Json since_question(const std::string& residency, const std::vector<salvage::Entry>& entries);
Result<std::vector<postgres::Since>> since_answer(const Json& json, std::size_t count);

}  // namespace domicile::agent
