// What a peer's subscription says before its stream begins, and what of it goes on to PostgreSQL: exactly what
// PostgreSQL 15 sends for a subscription that was made without slot, copy and two-phase, and nothing else. There is no
// parser of SQL here: a statement is one of ours to the byte, or it is refused.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "gate/protocol/frames.hpp"

namespace domicile::gate {

// Why something was refused; the peer sees it in the error, people find it in docs/gate.md.
enum class Refusal {
  tls,          // no TLS, or none that is ours
  certificate,  // no region's certificate
  startup,      // another role, database or kind of session than a link's
  statement,    // no statement of a subscription of ours
  slot,         // another slot than one of the peer's links
  publication,  // another publication than the slot's own
  option,       // plugin, protocol version, streaming, two-phase, binary, origin
  physical,     // physical replication, base backup, timeline history
  message,      // a message that a subscription does not send here
  size,         // too long, cut short, or not well formed
  cancel,       // a cancel request: the gate tells nobody a key
  silent,       // nothing came in time
  held,         // the link was cut and nobody has looked yet
  busy,         // the link is in use, or there are too many connections
  ended,        // this region does not own the link's residency: what its log has is somebody else's writes
};
std::string_view name_of(Refusal refusal);

struct Refused {
  Refusal rule;
  std::string what;
};

// Who the peer is, by its certificate, and what it may ask for.
struct PeerRule {
  std::string region;
  std::string role, database;      // what its subscriptions log in as
  std::vector<std::string> links;  // those that end there: slot, publication and subscription have this name
};

// Of a start-up message: the session may begin.
std::optional<Refused> judge_startup(const PeerRule& peer, const FirstMessage& first);

struct Statement {
  enum class Kind { ask, start } kind = Kind::ask;  // ask: forward it and its answer; start: the stream begins
  std::string link;                                 // of a start
  Lsn from = 0;                                     // of a start: what the subscriber says that it has
};
using Judged = std::variant<Statement, Refused>;
// Of a simple query, without its final zero.
Judged judge_statement(const PeerRule& peer, std::string_view text);

// A message of a session that has begun; `streaming` once the server has answered CopyBothResponse.
enum class PeerMessage { query, copy_data, copy_done, terminate };
std::variant<PeerMessage, Refused> judge_message(char type, bool streaming);

}  // namespace domicile::gate
