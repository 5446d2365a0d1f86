// Commits the markers of the residencies that are open here, and finds out whether the database still commits.
#pragma once
#include <stop_token>

#include "agent/beat_loop.hpp"
#include "agent/boards.hpp"

namespace domicile::agent {

class MarkerLoop {
 public:
  // `board` is read by the beat loop, which names the last markers in its beats.
  MarkerLoop(std::string region, std::unique_ptr<replication::Store> store, const Published<QuorumSeen>& quorum,
             Published<std::map<std::string, authority::Marker>>& board, Log log, Bell& readers);
  void run(const std::stop_token& stop);
  const Published<MarkersSeen>& seen() const { return seen_; }
  const LoopLife& life() const { return life_; }

 private:
  void commit();
  void look_at_guard();
  std::string region_;
  LoopLife life_;
  std::unique_ptr<replication::Store> store_;
  const Published<QuorumSeen>& quorum_;
  Published<std::map<std::string, authority::Marker>>& board_;
  Log log_;
  Published<MarkersSeen> seen_;
  MarkersSeen last_;
  Micros guard_at_ = 0;
};

}  // namespace domicile::agent
