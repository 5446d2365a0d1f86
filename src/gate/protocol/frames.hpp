// The frames of PostgreSQL's frontend/backend protocol 3.0 and of its COPY BOTH mode for replication.
//
// Source: PostgreSQL 15 documentation, 55.2 "Message Flow", 55.4 "Streaming Replication Protocol", 55.7 "Message
// Formats".
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "gate/protocol/pgoutput.hpp"

namespace domicile::gate {

struct Frame {
  char type;
  std::string_view body;   // without type and length
  std::string_view whole;  // all of it, as it goes on
};

// Takes whole frames off the front of what has been received so far. `limit`: the largest frame, its length included;
// from whoever is not trusted a small one, so that a promise of a gigabyte is refused before a byte of it is kept.
// Empty: more bytes are needed. `corrupt`: a length that cannot be, or over the limit.
Result<std::optional<Frame>> take_frame(std::string_view& received, std::size_t limit);

// The first message of a connection, which has no type.
struct FirstMessage {
  enum class Kind { startup, tls, gssapi, cancel } kind;
  std::vector<std::pair<std::string, std::string>> parameters;  // of a startup, in their order
};
Result<std::optional<FirstMessage>> take_first(std::string_view& received);

std::string frame(char type, std::string_view body);
// An ErrorResponse; SQLSTATE of five characters.
std::string error_frame(std::string_view sqlstate, std::string_view message, std::string_view hint = {},
                        std::string_view severity = "FATAL");
// The SQLSTATE of an ErrorResponse's body; XX000 when it tells none. Everything else in it may quote rows.
std::string sqlstate_of_error(std::string_view body);
// A ReadyForQuery outside of a transaction.
std::string ready_frame();

// ---- inside CopyData, from the server

struct WalData {
  Lsn start, end;  // `end`: the server's write position when it sent this
  std::int64_t sent_at;
  std::string_view message;
};
struct KeepAlive {
  Lsn end;
  std::int64_t sent_at;
  bool reply;  // asks for a status update now
};
using ServerData = std::variant<WalData, KeepAlive>;
Result<ServerData> server_data(std::string_view body);

// ---- inside CopyData, from the client

struct StatusUpdate {
  Lsn written, flushed, applied;
  std::int64_t sent_at;
  bool reply;
};
Result<StatusUpdate> status_update(std::string_view body);
std::string to_frame(const StatusUpdate& update);

}  // namespace domicile::gate
