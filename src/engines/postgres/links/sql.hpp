// Statements of links: a session as seen by functions that take rows as plain values.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engines/postgres/connection.hpp"

namespace domicile::postgres::links {

using Cell = std::optional<std::string>;  // empty: NULL
using Row = std::vector<Cell>;
using Table = std::vector<Row>;

// Not owning; made from a Connection wherever one is passed. One thread at a time.
class Sql {
 public:
  Sql(Connection& connection) : connection_(&connection) {}  // NOLINT: a Connection is passed as it is
  Result<Table> query(const std::string& text, const std::vector<Cell>& parameters = {}) const;
  // Exactly one row of exactly one column that is not NULL; else `corrupt`.
  Result<std::string> value(const std::string& text, const std::vector<Cell>& parameters = {}) const;
  // What takes no parameters, replication commands included. `deadline`: CLOCK_MONOTONIC, 0: none.
  Result<Table> simple(const std::string& text, Micros deadline = 0) const;
  std::string literal(std::string_view text) const { return Connection::quote_literal(text); }
  std::string name(std::string_view identifier) const { return Connection::quote_identifier(identifier); }
  Connection& connection() const { return *connection_; }

 private:
  Connection* connection_;
};

// Runs `body` in a transaction: COMMIT when it succeeded, else ROLLBACK.
template <class Body>
Result<void> in_transaction(const Sql& sql, Body body) {
  auto transaction = Transaction::begin(sql.connection());
  if (!transaction) return tl::unexpected(transaction.error());
  CHECK_OK(body());
  return transaction->commit();
}

}  // namespace domicile::postgres::links
