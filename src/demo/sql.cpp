#include "demo/sql.hpp"

namespace domicile::demo {
namespace {

int status_of(std::string_view sqlstate) {
  if (sqlstate == "DM001" || sqlstate == "DM006") return 503;  // the lease is over; the tenant is moving
  if (sqlstate.starts_with("DM")) return 403;
  if (sqlstate == "23505") return 409;
  if (sqlstate.starts_with("22") || sqlstate.starts_with("23")) return 400;
  if (sqlstate.starts_with("40") || sqlstate.starts_with("53") || sqlstate == "25006" || sqlstate == "55P03")
    return 503;
  return 500;
}

}  // namespace

Answer query(Session& session, const char* sql, const std::vector<std::string>& parameters) {
  std::vector<const char*> values;
  for (const auto& parameter : parameters) values.push_back(parameter.c_str());
  pg_conn* connection = session.connection.get();
  session.unconfirmed = false;
  const auto [known, fresh] = session.statements.try_emplace(sql, std::to_string(session.statements.size()));
  if (fresh) {
    Answer prepared{PQprepare(connection, known->second.c_str(), sql, 0, nullptr), &PQclear};
    if (PQresultStatus(prepared.get()) != PGRES_COMMAND_OK) {
      session.statements.erase(known);
      return prepared;
    }
  }
  return {PQexecPrepared(connection, known->second.c_str(), static_cast<int>(values.size()), values.data(), nullptr,
                         nullptr, 0),
          &PQclear};
}

// By the place that raises it, since its text may be in any language.
void note_warning(void* session, const PGresult* warning) {
  const char* raised_by = PQresultErrorField(warning, PG_DIAG_SOURCE_FUNCTION);
  if (raised_by != nullptr && std::string_view(raised_by) == "SyncRepWaitForLSN")
    static_cast<Session*>(session)->unconfirmed = true;
}

HttpReply json_reply(int status, const Json& body) {
  HttpReply reply{status, dump(body) + "\n"};
  if (status == 503) reply.headers.emplace("Retry-After", "1");
  return reply;
}

HttpReply refusal(int status, const std::string& code, const std::string& reason) {
  return json_reply(status, {{"code", code}, {"reason", reason}});
}

HttpReply unconfirmed() { return refusal(504, "unknown", "no standby is known to have it: read before you repeat"); }

HttpReply failure(const Session& session, const PGresult* result, bool writing) {
  const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string_view sqlstate = code == nullptr ? std::string_view() : code;
  if (PQstatus(session.connection.get()) != CONNECTION_OK || sqlstate.starts_with("57P"))
    return writing ? refusal(504, "unknown", "the database went away while it wrote: read before you repeat")
                   : refusal(503, "unavailable", "the database does not answer");
  // Only our own class speaks to people; other messages may quote values.
  const char* message = sqlstate.starts_with("DM") ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : nullptr;
  return refusal(status_of(sqlstate), std::string(sqlstate), message != nullptr ? message : "the database refused it");
}

}  // namespace domicile::demo
