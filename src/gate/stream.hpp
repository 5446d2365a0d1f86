// A link's stream: what the server sends is judged and counted before it goes on, and what the peer confirms is clamped
// to what it was sent. Whatever cannot be judged cuts the link.
//
// Memory is bounded for whichever end is slow or floods: above a mark its other end is not read, which presses back.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <stop_token>

#include "gate/book.hpp"
#include "gate/pace.hpp"
#include "gate/protocol/feedback.hpp"
#include "gate/wire.hpp"

namespace domicile::gate {

Error refusal(Refusal rule, const std::string& what);

struct StreamEnds {
  Wire peer, server;
  Buffer from_peer, from_server;  // read already
};
struct StreamRules {
  std::size_t largest_row = 0;         // bytes
  std::function<bool()> revoked = {};  // is the peer's certificate by now? Asked while it streams; empty: never
  Micros speaks = kSecond;             // how often it speaks for a peer that has much to read
};

class Stream {
 public:
  static constexpr std::size_t kHighWater = 256U << 10;  // on its way to the peer: until then the server is not read
  static constexpr std::size_t kWords = 64U << 10;       // of the peer, on their way to the server: the same
  static constexpr std::size_t kMuch = 64U << 10;        // to read, since it said something

  // `from`: where the subscriber begins. `book` and `link` outlive it.
  Stream(Book& book, const GateLink& link, Lsn from, StreamEnds ends, StreamRules rules);
  // Until one of both ends it, or `stop`. `refused` when it broke a rule.
  Result<void> run(const std::stop_token& stop);
  // One turn of it: waits until something can be moved, at most `patience`, and moves what can be. False: it has ended.
  Result<bool> turn(Micros patience);
  std::string_view unsent() const { return to_peer_.view(); }                    // judged, and not written to the peer
  std::size_t waiting() const { return from_peer_.size() + to_server_.size(); }  // words of the peer, bytes

 private:
  Result<void> move_from_server();
  Result<void> move_from_peer();
  Result<void> from_server();
  Result<void> from_peer();
  Result<void> flush();
  Result<void> see_revoked();
  void speak_for_peer(Micros now);
  void note_progress(Micros now);
  void note_confirmed(const StatusUpdate& update);
  Result<void> count();
  Result<void> cut(const Violation& violation);

  Book& book_;
  const GateLink& link_;
  Wire peer_, server_;
  Buffer from_peer_, from_server_, to_peer_, to_server_;
  StreamRules rules_;
  Check check_;
  Pace pace_;
  Feedback feedback_;
  std::uint64_t queued_ = 0, written_ = 0;  // bytes for the peer, since it began
  StatusUpdate last_word_{};                // of the peer
  std::uint64_t heard_ = 0, spoken_ = 0;    // bytes written when it spoke last, and when it was spoken for
  Micros word_at_ = 0;                      // the last of both
  Lsn highest_ = 0;                         // of all positions that were queued
  Lsn begun_ = 0;
  bool stopped_ = false;  // at the place where the link stops: the server is not read
  bool over_ = false;
  Micros ask_at_ = 0;                // whether the certificate is revoked
  std::deque<PassedMarker> on_way_;  // sent and not confirmed yet
  Progress progress_;
  struct Counted {
    Register::Place* place = nullptr;
    Passed passed;
  };
  std::map<std::string, Counted> counted_;  // by schema.table
};

}  // namespace domicile::gate
