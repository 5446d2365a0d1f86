// What an agent answers about moves of tenants: orders at the directory's owner, rows and deletion at the owner of the
// old residency, and in every region whether it obeys a phase. The actor of a move (move_actor.hpp) asks; where it asks
// its own region it calls the same functions.
#pragma once
#include "agent/boards.hpp"
#include "agent/config.hpp"
#include "agent/events.hpp"
#include "agent/gate_client.hpp"
#include "base/http_server.hpp"
#include "base/stall.hpp"
#include "core/moves/move.hpp"
#include "engines/postgres/moves/moves.hpp"
#include "engines/postgres/store/store.hpp"

namespace domicile::agent {

struct MovesSetup {
  const AgentConfig* config = nullptr;
  const topology::Topology* topology = nullptr;
  postgres::StoreSettings store;
  std::map<std::string, const Published<ResidencySeen>*> residencies;
  const Published<MovesSeen>* moves = nullptr;
  const Published<GatewaySeen>* gateway = nullptr;  // null where there is no gateway
  const Published<TenantsSeen>* tenants = nullptr;  // the same
  Events* events = nullptr;
  Log log{2, Log::Format::text, Level::info, ""};
  // `move.rows`: some of an answer's rows have gone; `move.removed`: rows are deleted, and nobody was told.
  StallPoints stall = {};
};

// What is asked of a region; each part that is asked for is waited for.
struct PhaseQuestion {
  moves::Move move;
  bool gateway = false;  // its gateway obeys the phase, and no write of a held tenant is in flight there
  bool settled = false;  // tenants.snap has the directory as it is now
  std::string gone;      // a residency whose rows of the tenant must be gone here
  Micros patience = kSecond;
};

// Thread-safe.
class MoveCalls {
 public:
  explicit MoveCalls(MovesSetup setup) : setup_(std::move(setup)) {}

  // Who owns a residency and serves it now; `unavailable` when nobody does.
  Result<std::string> owner_of(const std::string& residency) const;

  // POST /v1/moves: {tenant, to, reason, without_personal}. Its answer is the move.
  Result<Json> order(const Json& body, const std::string& who);
  // POST /v1/moves/abort: {tenant, reason}
  Result<Json> abort(const Json& body, const std::string& who);
  // POST /v1/moves/find: {tenant}: its last move as this region's directory has it; null: it never moved.
  Result<Json> find(const Json& body);
  // POST /v1/moves/advance: {now, next}
  Result<Json> advance(const Json& body);
  // POST /v1/moves/obeyed, see PhaseQuestion. {obeyed, why}
  Result<Json> obeyed(const Json& body);
  // At the owner of the old residency, asked by `peer`, who owns the new one:
  // POST /v1/moves/summary: {move, since}. {summary, look, whole}: with `since`, the `look` of an earlier answer, only
  // what has changed after it, unless this agent does not remember that one.
  Result<Json> summary(const Json& body, const std::string& peer);
  HttpReply rows(const Json& body, const std::string& peer);  // POST /v1/moves/rows
  // POST /v1/moves/seal: nobody writes its rows any more; their summary, as above.
  Result<Json> seal(const Json& body, const std::string& peer);
  Result<Json> compare(const Json& body, const std::string& peer);  // POST /v1/moves/compare: with the flip's digest
  Result<Json> remove(const Json& body, const std::string& peer);   // POST /v1/moves/remove

  // The tenant's rows here: as the link to `peer` lets them out, or (peer: this region) as they are.
  Result<postgres::TenantRows> open_rows(const moves::Move& move, const std::string& from_region,
                                         const std::string& to_region, bool receiving) const;
  Result<std::vector<std::string>> hosts_of(const std::string& tenant) const;
  // A tenant's part of GET /v1/observed: {rows, salvage, unnamed, move}. Counts, and where it moves.
  Result<Json> places(const std::string& tenant) const;
  const MovesSetup& setup() const { return setup_; }

 private:
  Result<postgres::Connection> session() const { return postgres::open_session(setup_.store, "domicile-moves"); }
  Result<moves::Move> known(const Json& body) const;
  Result<std::string> not_obeyed(const PhaseQuestion& question);
  Result<Json> look(const moves::Move& move, const std::string& peer, const std::string& since);

  MovesSetup setup_;
  // The last look that was answered of each move.
  struct Answered {
    std::string look;
    std::shared_ptr<const postgres::TenantRows::Look> rows;
  };
  std::mutex mutex_;
  std::map<std::string, Answered> answered_;  // by the move's id
};

Json json_of(const PhaseQuestion& question);

}  // namespace domicile::agent
