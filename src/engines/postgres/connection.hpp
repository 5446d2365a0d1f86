// A session with PostgreSQL: parameters always bound, every wait with an end, errors with SQLSTATE and without row
// values. One thread at a time.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"

struct pg_conn;
struct pg_result;

namespace domicile::postgres {

using Param = std::optional<std::string>;  // empty: NULL

// What a statement returned. Cells are text as PostgreSQL prints it.
class Rows {
 public:
  Rows() = default;
  explicit Rows(pg_result* result);
  int size() const;
  bool empty() const { return size() == 0; }
  int columns() const;
  std::string column_name(int column) const;
  bool null(int row, int column) const;
  std::string_view at(int row, int column) const;  // "" for NULL
  std::string text(int row, int column) const { return std::string(at(row, column)); }
  Result<std::int64_t> integer(int row, int column) const;  // `corrupt` when it is none or NULL
  std::int64_t integer_or(int row, int column, std::int64_t otherwise) const;
  bool truth(int row, int column) const { return at(row, column) == "t"; }
  std::int64_t affected() const;  // rows of an INSERT, UPDATE, DELETE, COPY

 private:
  std::shared_ptr<pg_result> result_;
};

struct OpenOptions {
  Micros connect_timeout = 5 * kSecond;
  Micros statement_timeout = 0;  // enforced by the server; 0: none
  Micros lock_timeout = 0;       // the same, for each lock that is waited for
  std::string application_name = "domicile";
  // Set for every session but physical replication (replication=true), which knows no SET. With an empty path only
  // qualified names are found: nobody's object in `public` is taken for ours.
  bool empty_search_path = true;
  const Log* log = nullptr;  // notices go here, at debug; must outlive the connection
};

// Waits no longer than `deadline` (CLOCK_MONOTONIC, monotonic_now()); 0: no limit. A statement that is over its
// deadline is cancelled; when even that gets no answer the session is closed and the outcome is unknown.
class Connection {
 public:
  // `conninfo` may be a keyword string or a URI; `replication=database` gives a logical replication session, which
  // knows exec and copy only. Never logged: it may hold a password.
  static Result<Connection> open(const std::string& conninfo, const OpenOptions& options = {});
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  // A commit whose wait for a synchronous standby was given up (cancelled, terminated) is `unknown_outcome`.
  // One or several statements without parameters. The result of the last one; the first error ends it.
  Result<Rows> exec(const std::string& sql, Micros deadline = 0);
  // One statement with $1, $2, … Asked for the third time it is prepared.
  Result<Rows> exec_params(const std::string& sql, const std::vector<Param>& params, Micros deadline = 0);

  // COPY … FROM STDIN: begin, put any number of chunks, end (rows copied) or abort. Nothing else in between.
  Result<void> begin_copy_in(const std::string& sql);
  Result<void> put_copy(std::string_view bytes);
  Result<std::int64_t> end_copy_in(Micros deadline = 0);
  void abort_copy_in(const std::string& reason);
  // COPY … TO STDOUT: `row` gets each row's bytes with its newline. Its error cancels the copy.
  Result<std::int64_t> copy_out(const std::string& sql, const std::function<Result<void>(std::string_view)>& row);

  // Waits for a notification or data until `deadline`; true when there is something to read.
  Result<bool> wait_readable(Micros deadline);

  std::string quoted(std::string_view identifier) const { return quote_identifier(identifier); }
  static std::string quote_identifier(std::string_view name);
  // Only for the utility statements that take no parameters (CREATE SUBSCRIPTION, ALTER ROLE …).
  static std::string quote_literal(std::string_view value);

  bool alive() const;  // also of an idle session: one that the server has ended meanwhile is not
  bool in_transaction() const;
  int backend_pid() const;
  int server_version() const;  // 150020
  pg_conn* raw() const;        // for the streaming replication protocol

 private:
  struct State;
  explicit Connection(std::unique_ptr<State> state);
  Result<Rows> finish(const std::string& sql, Micros deadline);
  Result<std::string> prepared(const std::string& sql, Micros deadline);
  Result<void> flush_send(Micros deadline);
  Error lost(const std::string& doing);
  std::unique_ptr<State> state_;
};

// Rolls back on destruction unless committed. A failed commit is `unknown_outcome` when the session was lost.
class Transaction {
 public:
  static Result<Transaction> begin(Connection& connection, const std::string& mode = "");  // "ISOLATION LEVEL …"
  Transaction(Transaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<void> commit();
  void rollback();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// May the message of an error with this SQLSTATE and context be passed on? Only where it names things and no values.
bool text_holds_no_value(std::string_view state, std::string_view context);

// "42P01" of an error that PostgreSQL raised; empty for any other.
std::string sqlstate_of(const Error& error);

}  // namespace domicile::postgres
