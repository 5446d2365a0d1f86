#include "gate/upstream.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <optional>

#include "gate/protocol/frames.hpp"

namespace domicile::gate {

void Upstream::End::operator()(pg_conn* connection) const { PQfinish(connection); }

Result<Upstream> Upstream::open(const std::string& conninfo, const std::string& name, Micros deadline) {
  // What libpqwalreceiver asks for, so that rows read the same as without a gate between.
  const char* keys[] = {"dbname", "replication", "application_name", "client_encoding", "options", nullptr};
  const char* values[] = {conninfo.c_str(), "database", name.c_str(), "UTF8",
                          // synchronous_commit: a sender tells at once how far it is past a transaction of which
                          // its link carries nothing, and commits that wait for this link need to know.
                          "-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c synchronous_commit=on",
                          nullptr};
  Upstream out;
  out.connection_.reset(PQconnectStartParams(keys, values, 1));
  pg_conn* connection = out.connection_.get();
  if (connection == nullptr) return fail(Kind::unavailable, "no memory for a PostgreSQL connection");
  for (auto next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK; next = PQconnectPoll(connection)) {
    if (PQstatus(connection) == CONNECTION_BAD || next == PGRES_POLLING_FAILED)
      return fail(Kind::unavailable,
                  fmt::format("PostgreSQL does not let the gate in: {}", PQerrorMessage(connection)));
    if (!Wire(PQsocket(connection)).wait(next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
      return fail(Kind::unavailable, "PostgreSQL did not answer the gate in time");
  }
  auto* tls = PQsslInUse(connection) != 0 ? static_cast<ssl_st*>(PQsslStruct(connection, "OpenSSL")) : nullptr;
  out.wire_ = Wire(PQsocket(connection), tls);
  return out;
}

Result<bool> Upstream::owns(const std::string& link, Micros deadline) {
  pg_conn* connection = connection_.get();
  const std::unique_ptr<char, decltype(&PQfreemem)> quoted(PQescapeLiteral(connection, link.data(), link.size()),
                                                           &PQfreemem);
  const auto broken = [&] {
    return fail(Kind::unavailable,
                fmt::format("PostgreSQL does not say whose a link is: {}", PQerrorMessage(connection)));
  };
  if (!quoted || PQsendQuery(connection, fmt::format("SELECT domicile.link_owned({})", quoted.get()).c_str()) == 0)
    return broken();
  std::optional<bool> owns;
  while (true) {
    while (PQisBusy(connection) != 0) {
      if (!wire_.wait(POLLIN, deadline)) return fail(Kind::unavailable, "PostgreSQL did not answer the gate in time");
      if (PQconsumeInput(connection) == 0) return broken();
    }
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQgetResult(connection), &PQclear);
    if (!result) break;
    if (PQresultStatus(result.get()) == PGRES_TUPLES_OK && PQntuples(result.get()) == 1)
      owns = std::string_view(PQgetvalue(result.get(), 0, 0)) == "t";
  }
  if (!owns) return broken();
  return *owns;
}

std::string Upstream::parameters() const {
  std::string out;
  for (const char* name : {"server_version", "server_encoding", "client_encoding", "DateStyle", "IntervalStyle",
                           "integer_datetimes", "standard_conforming_strings"})
    if (const char* value = PQparameterStatus(connection_.get(), name))
      out += frame('S', std::string(name) + '\0' + value + '\0');
  return out;
}

}  // namespace domicile::gate
