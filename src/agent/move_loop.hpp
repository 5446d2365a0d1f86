// Reads which tenants move, for this region's gateway and API, and runs the actors of those moves whose new residency
// is owned here.
#pragma once
#include <stop_token>
#include <thread>

#include "agent/loop_life.hpp"
#include "agent/move_actor.hpp"

namespace domicile::agent {

class MoveLoop {
 public:
  MoveLoop(MoveCalls& calls, StallPoints stall, Published<MovesSeen>& board)
      : calls_(calls), stall_(std::move(stall)), board_(board) {}
  void run(const std::stop_token& stop);
  const LoopLife& life() const { return life_; }
  // What an actor here waits for, by tenant; empty: it goes on.
  std::map<std::string, std::string> troubles() const;

 private:
  struct Acting {
    std::atomic<bool> ended = false;
    std::jthread thread;
  };
  bool look();
  void act(const std::vector<moves::Move>& live);

  MoveCalls& calls_;
  StallPoints stall_;
  Published<MovesSeen>& board_;
  LoopLife life_;
  std::optional<postgres::Connection> connection_;
  std::string trouble_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> troubles_;
  std::map<std::string, std::unique_ptr<Acting>> acting_;  // by tenant; last: its threads use everything above
};

}  // namespace domicile::agent
