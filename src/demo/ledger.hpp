// The demo's second service: registers, append-only lists and banks of tenants, of which histories are recorded
// (docs/history.md). As the first one it knows no regions; but it tells with each answer which database gave it, in
// which epoch, and how far that one's log was: so that whoever keeps a history can judge it.
//
//   GET  /registers/KEY?tenant=T                       value: number or null
//   POST /registers/KEY {"tenant", "value", "expected"?, "note"}    412: it holds something else than expected
//   GET  /lists/KEY?tenant=T                           value: array
//   POST /lists/KEY {"tenant", "value", "note"}
//   PUT  /banks/KEY {"tenant", "accounts", "balance", "note"}       makes it, where it is not there
//   GET  /banks/KEY?tenant=T                           value: array of balances
//   POST /banks/KEY {"tenant", "id", "from", "to", "amount", "note"}
//
// 200 {"node", "epoch", "lsn", "value"?}. A read is answered only by a database that owned the residency before it and
// after it in one epoch, with its lease running: else 503. Refusals are those of the orders' service.
#pragma once
#include "demo/orders.hpp"

namespace domicile::demo {

class Ledger {
 public:
  explicit Ledger(std::string conninfo, std::size_t connections = 16) : pool_(std::move(conninfo), connections) {}
  static bool serves(const std::string& path);
  HttpReply answer(const HttpCall& call);  // thread-safe

 private:
  Pool pool_;
};

}  // namespace domicile::demo
