#include "engines/postgres/connection.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <unordered_map>

namespace domicile::postgres {
namespace {

constexpr Micros kCancelGrace = 2 * kSecond;
// What is asked over and over is parsed and planned once; text that is made anew each time must not fill the server.
constexpr int kUsesToPrepare = 3;
constexpr std::size_t kStatements = 128;
constexpr std::string_view kPlanIsOld = "0A000";

struct ResultEnd {
  void operator()(PGresult* result) const { PQclear(result); }
};
using OwnedResult = std::unique_ptr<PGresult, ResultEnd>;

Kind kind_of(std::string_view state) {
  const auto starts = [&](std::string_view prefix) { return state.starts_with(prefix); };
  if (starts("DM") || state == "42501" || starts("28")) return Kind::refused;
  if (starts("40") || starts("23") || state == "42710" || state == "42P07") return Kind::conflict;
  if (starts("08") || starts("53") || starts("57") || state == "55P03" || state == "55006") return Kind::unavailable;
  if (starts("XX001") || starts("XX002")) return Kind::corrupt;
  return Kind::failed;
}

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text ? text : "";
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// The primary message and the hint only, and only where none of them can quote a row: DETAIL and CONTEXT do.
Error error_of(const PGresult* result) {
  const auto state = field(result, PG_DIAG_SQLSTATE);
  Error error{kind_of(state), "PostgreSQL refused it; its own log says why"};
  if (state.starts_with("22") || state == "23514") error.what = "a value was not accepted";
  if (text_holds_no_value(state, field(result, PG_DIAG_CONTEXT))) {
    error.what = field(result, PG_DIAG_MESSAGE_PRIMARY);
    error.fix = field(result, PG_DIAG_MESSAGE_HINT);
  }
  if (!state.empty()) {
    error.what += fmt::format(" (SQLSTATE {})", state);
    error.id = "SQLSTATE " + state;
  }
  return error;
}

int left_ms(Micros deadline) {
  if (deadline == 0) return -1;
  const auto left = (deadline - monotonic_now() + 999) / 1000;
  return left < 0 ? 0 : static_cast<int>(std::min<Micros>(left, 1'000'000'000));
}

// False at the deadline.
bool wait_socket(int socket, short events, Micros deadline) {
  for (;;) {
    pollfd poll_fd{socket, events, 0};
    const int ready = ::poll(&poll_fd, 1, left_ms(deadline));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return true;  // libpq will say what is wrong with it
  }
}

}  // namespace

struct Connection::State {
  PGconn* connection = nullptr;
  const Log* log = nullptr;
  bool ended = false;        // the server has said so; that its socket closes comes later
  bool unconfirmed = false;  // the statement in hand committed without the standby that it waited for
  struct Statement {
    int uses = 0;
    std::string name;  // of the prepared one; empty: not prepared
  };
  std::unordered_map<std::string, Statement> statements;  // by their text
  int prepared = 0;
  ~State() { PQfinish(connection); }
};

Rows::Rows(pg_result* result) : result_(result, ResultEnd{}) {}
int Rows::size() const { return result_ ? PQntuples(result_.get()) : 0; }
int Rows::columns() const { return result_ ? PQnfields(result_.get()) : 0; }
std::string Rows::column_name(int column) const {
  const char* name = result_ ? PQfname(result_.get(), column) : nullptr;
  return name ? name : "";
}
bool Rows::null(int row, int column) const {
  if (row >= size() || column >= columns()) return true;
  return PQgetisnull(result_.get(), row, column) == 1;
}
std::string_view Rows::at(int row, int column) const {
  if (null(row, column)) return {};
  return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}
Result<std::int64_t> Rows::integer(int row, int column) const {
  const auto text = at(row, column);
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || problem != std::errc{} || end != text.data() + text.size())
    return fail(Kind::corrupt, fmt::format("PostgreSQL column '{}' is no integer", column_name(column)));
  return value;
}
std::int64_t Rows::integer_or(int row, int column, std::int64_t otherwise) const {
  return integer(row, column).value_or(otherwise);
}
std::int64_t Rows::affected() const {
  if (!result_) return 0;
  const std::string_view text = PQcmdTuples(result_.get());
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Result<Connection> Connection::open(const std::string& conninfo, const OpenOptions& options) {
  const char* keys[] = {"dbname", "fallback_application_name", "client_encoding", nullptr};
  const char* values[] = {conninfo.c_str(), options.application_name.c_str(), "UTF8", nullptr};
  auto state = std::make_unique<State>();
  state->log = options.log;
  state->connection = PQconnectStartParams(keys, values, 1);
  PGconn* connection = state->connection;
  if (!connection) return fail(Kind::unavailable, "no memory for a PostgreSQL connection");
  PQsetErrorVerbosity(connection, PQERRORS_TERSE);  // what libpq itself puts together quotes no DETAIL either
  PQsetNoticeReceiver(
      connection,
      [](void* argument, const PGresult* notice) {
        auto* of = static_cast<State*>(argument);
        const auto severity = field(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
        of->ended = of->ended || severity == "FATAL" || severity == "PANIC";
        // By the place in PostgreSQL's source: its text may be in any language, its SQLSTATE is that of any warning.
        of->unconfirmed = of->unconfirmed || field(notice, PG_DIAG_SOURCE_FUNCTION) == "SyncRepWaitForLSN";
        if (of->log)
          of->log->write(Level::debug, "postgres.notice", "PostgreSQL noticed something; its own log says what",
                         {{Field::code, field(notice, PG_DIAG_SQLSTATE)}});
      },
      state.get());
  const Micros deadline = options.connect_timeout > 0 ? monotonic_now() + options.connect_timeout : 0;
  // Where libpq stands after PQconnectStart: as if it had asked to write.
  for (auto next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK; next = PQconnectPoll(connection)) {
    if (PQstatus(connection) == CONNECTION_BAD || next == PGRES_POLLING_FAILED)
      return fail(Kind::unavailable, "cannot connect to PostgreSQL: " + trimmed(PQerrorMessage(connection)),
                  "check the connection setting, and that the server runs and lets this role in");
    if (!wait_socket(PQsocket(connection), next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
      return fail(Kind::unavailable, fmt::format("PostgreSQL at {}:{} did not answer in time",
                                                 PQhost(connection) ? PQhost(connection) : "?",
                                                 PQport(connection) ? PQport(connection) : "?"));
  }
  Connection opened(std::move(state));
  if (options.empty_search_path)
    CHECK_OK(opened.exec("SELECT pg_catalog.set_config('search_path', '', false)", deadline));
  if (options.statement_timeout > 0)
    CHECK_OK(opened.exec(fmt::format("SET statement_timeout = {}", options.statement_timeout / 1000), deadline));
  if (options.lock_timeout > 0)
    CHECK_OK(opened.exec(fmt::format("SET lock_timeout = {}", options.lock_timeout / 1000), deadline));
  return opened;
}

Error Connection::lost(const std::string& doing) {
  const auto why = trimmed(PQerrorMessage(state_->connection));
  return Error{PQstatus(state_->connection) == CONNECTION_BAD ? Kind::unknown_outcome : Kind::failed,
               fmt::format("{}: {}", doing, why.empty() ? "the PostgreSQL session was lost" : why)};
}

Result<void> Connection::flush_send(Micros deadline) {
  PGconn* connection = state_->connection;
  for (;;) {
    const int left = PQflush(connection);
    if (left == 0) return {};
    if (left < 0) return tl::unexpected<Error>(lost("sending to PostgreSQL"));
    if (!wait_socket(PQsocket(connection), POLLIN | POLLOUT, deadline))
      return fail(Kind::unknown_outcome, "PostgreSQL took no statement in time");
    if (PQconsumeInput(connection) == 0) return tl::unexpected<Error>(lost("sending to PostgreSQL"));
  }
}

Result<Rows> Connection::finish(const std::string& doing, Micros deadline) {
  PGconn* connection = state_->connection;
  OwnedResult last;
  std::optional<Error> error;
  bool cancelled = false;
  state_->unconfirmed = false;
  CHECK_OK(flush_send(deadline));
  for (;;) {
    while (PQisBusy(connection)) {
      if (!wait_socket(PQsocket(connection), POLLIN, deadline)) {
        if (cancelled) {
          PQfinish(std::exchange(state_->connection, nullptr));
          return fail(Kind::unknown_outcome, doing + ": no answer in time, not even to the cancellation");
        }
        cancelled = true;
        deadline = monotonic_now() + kCancelGrace;
        if (PGcancel* cancel = PQgetCancel(connection)) {
          char why[256];
          PQcancel(cancel, why, sizeof why);
          PQfreeCancel(cancel);
        }
      }
      if (PQconsumeInput(connection) == 0) return tl::unexpected<Error>(lost(doing));
    }
    OwnedResult next(PQgetResult(connection));
    if (!next) break;
    switch (PQresultStatus(next.get())) {
      case PGRES_COPY_IN:
      case PGRES_COPY_OUT:
      case PGRES_COPY_BOTH:
        return Rows(next.release());  // the caller goes on with the copy
      case PGRES_FATAL_ERROR:
      case PGRES_BAD_RESPONSE:
        if (!error) error = error_of(next.get());
        break;
      default:
        last = std::move(next);
    }
  }
  if (PQstatus(connection) == CONNECTION_BAD && !(error && !error->id.empty()))
    return tl::unexpected<Error>(lost(doing));
  if (error) return tl::unexpected<Error>(std::move(*error));
  if (state_->unconfirmed)
    return fail(Kind::unknown_outcome, doing + ": committed here, but no standby is known to have it",
                "read before you repeat it: if this region is lost now, the write may be lost with it");
  return Rows(last.release());
}

Result<Rows> Connection::exec(const std::string& sql, Micros deadline) {
  if (!state_->connection) return fail(Kind::unavailable, "the PostgreSQL session was closed");
  if (PQsendQuery(state_->connection, sql.c_str()) != 1) return tl::unexpected<Error>(lost("sending a statement"));
  return finish("a statement", deadline);
}

// The name to execute `sql` by; empty: as text.
Result<std::string> Connection::prepared(const std::string& sql, Micros deadline) {
  auto& statements = state_->statements;
  auto known = statements.find(sql);
  if (known == statements.end()) {
    if (statements.size() == kStatements) return std::string();
    known = statements.try_emplace(sql).first;
  }
  auto& [uses, name] = known->second;
  if (name.empty() && ++uses >= kUsesToPrepare) {
    std::string made = fmt::format("domicile_{}", ++state_->prepared);
    if (PQsendPrepare(state_->connection, made.c_str(), sql.c_str(), 0, nullptr) != 1)
      return tl::unexpected<Error>(lost("preparing a statement"));
    CHECK_OK(finish("a statement", deadline));
    name = std::move(made);
  }
  return name;
}

Result<Rows> Connection::exec_params(const std::string& sql, const std::vector<Param>& params, Micros deadline) {
  if (!state_->connection) return fail(Kind::unavailable, "the PostgreSQL session was closed");
  std::vector<const char*> values;
  for (const auto& param : params) values.push_back(param ? param->c_str() : nullptr);
  const int count = static_cast<int>(values.size());
  const std::string name = TRY(prepared(sql, deadline));
  const int sent =
      name.empty()
          ? PQsendQueryParams(state_->connection, sql.c_str(), count, nullptr, values.data(), nullptr, nullptr, 0)
          : PQsendQueryPrepared(state_->connection, name.c_str(), count, values.data(), nullptr, nullptr, 0);
  if (sent != 1) return tl::unexpected<Error>(lost("sending a statement"));
  auto rows = finish("a statement", deadline);
  // Its columns are of other types since: refused before it did anything, so it may be asked again.
  if (!rows && !name.empty() && sqlstate_of(rows.error()) == kPlanIsOld) {
    state_->statements.erase(sql);
    if (alive() && !in_transaction()) return exec_params(sql, params, deadline);
  }
  return rows;
}

Result<void> Connection::begin_copy_in(const std::string& sql) {
  const auto rows = TRY(exec(sql));
  if (PQtransactionStatus(state_->connection) == PQTRANS_ACTIVE) return {};
  return fail(Kind::failed, "the statement began no COPY FROM STDIN");
}

Result<void> Connection::put_copy(std::string_view bytes) {
  if (!state_->connection) return fail(Kind::unavailable, "the PostgreSQL session was closed");
  if (PQputCopyData(state_->connection, bytes.data(), static_cast<int>(bytes.size())) == 1) return {};
  return tl::unexpected<Error>(lost("COPY to PostgreSQL"));
}

Result<std::int64_t> Connection::end_copy_in(Micros deadline) {
  if (!state_->connection) return fail(Kind::unavailable, "the PostgreSQL session was closed");
  if (PQputCopyEnd(state_->connection, nullptr) != 1) return tl::unexpected<Error>(lost("the end of a COPY"));
  const auto rows = TRY(finish("the end of a COPY", deadline));
  return rows.affected();
}

void Connection::abort_copy_in(const std::string& reason) {
  if (!state_->connection || PQputCopyEnd(state_->connection, reason.c_str()) != 1) return;
  while (OwnedResult rest{PQgetResult(state_->connection)}) {
  }
}

Result<std::int64_t> Connection::copy_out(const std::string& sql,
                                          const std::function<Result<void>(std::string_view)>& row) {
  CHECK_OK(exec(sql));
  PGconn* connection = state_->connection;
  std::optional<Error> refused;
  for (;;) {
    char* bytes = nullptr;
    const int size = PQgetCopyData(connection, &bytes, 0);
    if (size == -1) break;
    if (size < 0) return tl::unexpected<Error>(lost("COPY from PostgreSQL"));
    const std::unique_ptr<char, decltype(&PQfreemem)> owned(bytes, &PQfreemem);
    if (refused) continue;
    if (auto taken = row({bytes, static_cast<std::size_t>(size)}); !taken) {
      refused = std::move(taken).error();
      if (PGcancel* cancel = PQgetCancel(connection)) {
        char why[256];
        PQcancel(cancel, why, sizeof why);
        PQfreeCancel(cancel);
      }
    }
  }
  const auto end = finish("COPY from PostgreSQL", 0);
  if (refused) return tl::unexpected<Error>(std::move(*refused));
  if (!end) return tl::unexpected<Error>(end.error());
  return end->affected();
}

Result<bool> Connection::wait_readable(Micros deadline) {
  if (!state_->connection) return fail(Kind::unavailable, "the PostgreSQL session was closed");
  if (!wait_socket(PQsocket(state_->connection), POLLIN, deadline)) return false;
  if (PQconsumeInput(state_->connection) == 0) return tl::unexpected<Error>(lost("waiting for PostgreSQL"));
  return true;
}

std::string Connection::quote_identifier(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string Connection::quote_literal(std::string_view value) {
  std::string quoted = value.find('\\') == std::string_view::npos ? "'" : " E'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return quoted + '\'';
}

bool Connection::alive() const {
  PGconn* connection = state_->connection;
  if (!connection || PQstatus(connection) != CONNECTION_OK) return false;
  if (PQtransactionStatus(connection) != PQTRANS_IDLE) return true;
  // What comes to an idle session is its end (terminated, server gone) or a notice; the end is the last to be read.
  pollfd entry{PQsocket(connection), POLLIN, 0};
  for (int looks = 0; looks < 4 && ::poll(&entry, 1, 0) > 0; ++looks) {
    if (PQconsumeInput(connection) == 0 || PQstatus(connection) != CONNECTION_OK) return false;
    (void)PQisBusy(connection);  // reads what has come
    if (state_->ended) return false;
  }
  return !state_->ended;
}
bool Connection::in_transaction() const { return alive() && PQtransactionStatus(state_->connection) != PQTRANS_IDLE; }
int Connection::backend_pid() const { return alive() ? PQbackendPID(state_->connection) : 0; }
int Connection::server_version() const { return alive() ? PQserverVersion(state_->connection) : 0; }
pg_conn* Connection::raw() const { return state_->connection; }

Result<Transaction> Transaction::begin(Connection& connection, const std::string& mode) {
  CHECK_OK(connection.exec("BEGIN " + mode));
  return Transaction(connection);
}
Transaction::~Transaction() { rollback(); }
void Transaction::rollback() {
  if (auto* connection = std::exchange(connection_, nullptr); connection && connection->alive())
    (void)connection->exec("ROLLBACK", monotonic_now() + kCancelGrace);
}
Result<void> Transaction::commit() {
  auto* connection = std::exchange(connection_, nullptr);
  if (!connection) return fail(Kind::failed, "the transaction has already ended");
  // COMMIT of a failed transaction "succeeds" as ROLLBACK.
  const bool broken = connection->raw() && PQtransactionStatus(connection->raw()) == PQTRANS_INERROR;
  CHECK_OK(connection->exec("COMMIT"));
  if (broken) return fail(Kind::failed, "the transaction had failed and was rolled back");
  return {};
}

// By class, never by looking for values in a text. 22 quotes the value, P0 is somebody's RAISE, 38, 39, HV and XX are
// other people's code. Whatever is raised inside a function that is not ours may have any class and any text.
bool text_holds_no_value(std::string_view state, std::string_view context) {
  constexpr std::array<std::string_view, 18> plain{"08", "0A", "23", "25", "26", "28", "2B", "34", "3D",
                                                   "3F", "40", "42", "53", "54", "55", "57", "58", "DM"};
  const auto first = context.substr(0, context.find('\n'));
  const bool ours = first.find(" domicile.") != std::string_view::npos;
  if (state.starts_with("P0")) return ours;
  if (state == "23514" || state.size() != 5) return false;
  if (std::find(plain.begin(), plain.end(), state.substr(0, 2)) == plain.end()) return false;
  return context.empty() || context.starts_with("COPY ") || context.find(" domicile.") != std::string_view::npos ||
         state.starts_with("DM");
}

std::string sqlstate_of(const Error& error) {
  constexpr std::string_view prefix = "SQLSTATE ";
  return error.id.starts_with(prefix) ? error.id.substr(prefix.size()) : std::string();
}

}  // namespace domicile::postgres
