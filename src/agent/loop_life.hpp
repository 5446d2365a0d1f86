// What shows that a loop of the agent lives. Written by the loop's own thread, read by any.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace domicile::agent {

class LoopLife {
 public:
  LoopLife() : alive_at_(monotonic_now()) {}
  void begin_pass() {
    ++passes_;
    alive();
  }
  void alive() { alive_at_ = monotonic_now(); }    // in the middle of a pass that asks many, each with its own deadline
  std::int64_t passes() const { return passes_; }  // begun since the agent started
  Micros alive_at() const { return alive_at_; }    // monotonic

 private:
  std::atomic<std::int64_t> passes_ = 0;
  std::atomic<Micros> alive_at_;
};

// All loops of an agent. Gathered before their threads begin, and unchanged from then on.
class LoopLives {
 public:
  // `silence`: longer than any pass of this loop can take; after it the loop hangs. Several loops may have one name.
  void add(const std::string& name, const LoopLife& life, Micros silence) { loops_.push_back({name, &life, silence}); }
  std::map<std::string, std::int64_t> passes() const;  // of several with one name the one that is furthest behind
  std::vector<std::string> hung(Micros now) const;     // `now`: monotonic

 private:
  struct Loop {
    std::string name;
    const LoopLife* life;
    Micros silence;
  };
  std::vector<Loop> loops_;
};

}  // namespace domicile::agent
