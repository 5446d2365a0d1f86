// Carries one tenant's move on, at the region that owns the new residency. What was done lies in the directory alone
// (core/moves/move.hpp): an actor that is killed is followed by another one, here or wherever that residency is owned
// by then, which goes on from the phase that it finds. Stall points `move.<phase>` (before a phase's work),
// `move.<phase>.some` (some of its rows have come) and `move.<phase>.done` (before the next phase is written).
#pragma once
#include <stop_token>

#include "agent/move_calls.hpp"
#include "base/http_client.hpp"
#include "base/stall.hpp"

namespace domicile::agent {

struct MoveLimits {
  Micros hold = 3 * kSecond;     // until every gateway holds the tenant and its writes in flight have ended
  Micros sealed = 10 * kSecond;  // from the hold on, until all is copied and compared; then it is taken back
  std::int64_t group = 100'000;  // rows that come in one answer: for each the source looks through all of the tenant's
  std::int64_t rest = 1'000;     // when a pass brings no more, the tenant is held for the rest
};

class MoveActor {
 public:
  MoveActor(MoveCalls& calls, StallPoints stall, MoveLimits limits = {})
      : calls_(calls), stall_(std::move(stall)), limits_(limits), http_(calls.setup().config->api.tls) {}
  // Until the move has ended, `to` is owned elsewhere, or a stop. `trouble`: told what it waits for; empty: nothing.
  void run(const std::stop_token& stop, const std::string& tenant, const std::function<void(std::string)>& trouble);

 private:
  using Move = moves::Move;
  // What the phase asks for; then the move as it is to be next.
  Result<Move> step(const Move& move);
  Result<void> check_certificate(const Move& move);
  Result<Move> copy(const Move& move);
  Result<Move> hold(const Move& move);
  Result<Move> seal(const Move& move);
  Result<Move> flip(const Move& move);
  Result<Move> release(const Move& move);
  Result<Move> erase(const Move& move);
  Result<Move> take_back(const Move& move);
  struct Pass {
    std::int64_t came = 0;        // rows
    moves::Summary theirs, ours;  // of the source before, and of this side after what differed came
  };
  using SourceSummary = std::function<Result<moves::Summary>(const std::string& region)>;
  // Brings what differs. Nobody but this actor writes the copy, so what an earlier pass left is known.
  Result<Pass> pass(const Move& move, const SourceSummary& source_summary);
  Result<moves::Summary> look_at(const std::string& source, const std::string& what, Json question, Micros timeout);
  Micros patience() const;
  Result<void> everywhere(PhaseQuestion question);
  Result<std::optional<Move>> find(const std::string& tenant);
  Result<Move> advance(const Move& now, const Move& next);
  Result<postgres::TenantRows*> receiver(const Move& move);

  // A region's answer; of this one without the network.
  Result<Json> ask(const std::string& region, const std::string& what, const Json& body, Micros timeout);
  Result<void> fetch(const std::string& region, const Move& move, const postgres::MoveTable& table,
                     const std::vector<int>& buckets, const postgres::RowSink& sink);

  MoveCalls& calls_;
  StallPoints stall_;
  MoveLimits limits_;
  HttpClient http_;
  std::map<std::string, HttpClient> peers_;  // by region, each with the thread that asks there
  std::optional<postgres::TenantRows> receiver_;
  std::optional<moves::Summary> ours_;  // what the last pass left here
  struct Looked {
    std::string look;
    moves::Summary rows;
  };
  std::optional<Looked> theirs_;  // what the source held at its last look
  Micros held_since_ = 0;         // monotonic, by this actor's own sight
};

}  // namespace domicile::agent
