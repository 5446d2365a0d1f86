#include "prove/hostile.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <memory>

#include "base/clock.hpp"

namespace domicile::prove {
namespace {

using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;

constexpr Micros kCopied = kSecond / 2;  // enough to see what kind of stream it is
constexpr std::size_t kMost = 64UL << 20;

std::string rows_of(const PGresult* result) {
  std::string out;
  for (int row = 0; row < PQntuples(result); ++row)
    for (int column = 0; column < PQnfields(result); ++column)
      out += std::string(PQgetvalue(result, row, column)) + "\t";
  return out;
}

}  // namespace

HostilePeer::HostilePeer(const std::string& conninfo) : connection_(PQconnectdb(conninfo.c_str())) {}
HostilePeer::~HostilePeer() { PQfinish(connection_); }
bool HostilePeer::open() const { return PQstatus(connection_) == CONNECTION_OK; }
std::string HostilePeer::message() const { return PQerrorMessage(connection_); }

HostilePeer::Answer HostilePeer::ask(const std::string& sql) {
  Answer answer{"", ""};
  if (PQsendQuery(connection_, sql.c_str()) != 1) return {"closed", message()};
  while (PGresult* next = PQgetResult(connection_)) {
    const prove::Answer result(next, &PQclear);
    const auto status = PQresultStatus(next);
    const bool copies = status == PGRES_COPY_BOTH || status == PGRES_COPY_OUT;
    const char* state = PQresultErrorField(next, PG_DIAG_SQLSTATE);
    const bool good = copies || status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    if (answer.state.empty()) answer.state = good ? "ok" : state == nullptr ? "closed" : state;
    answer.seen += rows_of(next) + PQresultErrorMessage(next);
    if (!copies) continue;
    take_copy(answer);
    break;
  }
  if (answer.state.empty()) answer.state = "closed";
  return answer;
}

void HostilePeer::take_copy(Answer& answer) {
  for (const Micros deadline = monotonic_now() + kCopied; monotonic_now() < deadline && answer.seen.size() < kMost;) {
    char* bytes = nullptr;
    const int size = PQgetCopyData(connection_, &bytes, 1);
    if (size > 0) {
      answer.seen.append(bytes, static_cast<std::size_t>(size));
      PQfreemem(bytes);
    } else if (size < 0) {
      return;
    } else {
      pollfd entry{PQsocket(connection_), POLLIN, 0};
      (void)::poll(&entry, 1, 50);
      if (PQconsumeInput(connection_) == 0) return;
    }
  }
}

std::string denial_in(const std::string& message) {
  const auto at = message.find("(denial g-");
  if (at == std::string::npos) return {};
  return message.substr(at + 8, message.find(')', at) - at - 8);
}

}  // namespace domicile::prove
