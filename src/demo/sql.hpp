// What the demo's services say to PostgreSQL, and what they make of its answers.
#pragma once
#include <libpq-fe.h>

#include <memory>

#include "base/json.hpp"
#include "demo/orders.hpp"

namespace domicile::demo {

using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;
using Session = Pool::Session;

// Prepared once in each session, as most drivers do.
Answer query(Session& session, const char* sql, const std::vector<std::string>& parameters);
// libpq's notice receiver: a commit that gave up waiting for its standby succeeds with a warning.
void note_warning(void* session, const PGresult* warning);
HttpReply json_reply(int status, const Json& body);
HttpReply refusal(int status, const std::string& code, const std::string& reason);
HttpReply unconfirmed();  // of a write that was committed without the standby that it waited for
// `writing`: with the connection gone nobody knows whether the write was committed.
HttpReply failure(const Session& session, const PGresult* result, bool writing);

}  // namespace domicile::demo
