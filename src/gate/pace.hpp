// How often a busy stream is taken from. A taking costs the same system calls and the same TLS record for one message
// as for a hundred, so a stream that carries many is taken from at intervals, and a quiet one at once: whoever waits
// for a commit of theirs waits for the gate no longer.
#pragma once
#include <cstddef>

#include "base/clock.hpp"

namespace domicile::gate {

class Pace {
 public:
  static constexpr Micros kPause = 250;            // between two takings of a busy stream: what a row waits at most
  static constexpr Micros kWindow = kMillisecond;  // it is busy when the last window of this length,
  static constexpr std::size_t kBusy = 40;         // had as many messages

  // At `now` a taking moved `messages`. CLOCK_MONOTONIC, as below.
  void took(std::size_t messages, Micros now) {
    if (now - began_ >= kWindow) {
      busy_ = now - began_ < 2 * kWindow && messages_ >= kBusy;
      began_ = now, messages_ = 0;
    }
    messages_ += messages;
    next_ = busy_ ? now + kPause : now;
  }
  // Until the next taking; 0: at once.
  Micros wait(Micros now) const { return next_ > now ? next_ - now : 0; }

 private:
  Micros began_ = 0, next_ = 0;
  std::size_t messages_ = 0;
  bool busy_ = false;
};

}  // namespace domicile::gate
