// What a subscriber says that it has is input: it may confirm no more than it was sent, or PostgreSQL would throw away
// rows that it never got.
#pragma once
#include <algorithm>
#include <deque>

#include "gate/protocol/frames.hpp"

namespace domicile::gate {

class Feedback {
 public:
  // What is on its way to the subscriber holds, up to its first `bytes` bytes, frames up to `position`. A subscriber
  // without anything pending confirms the highest position of any frame, keep-alives included (send_feedback() of
  // PostgreSQL's worker.c).
  void queued(Lsn position, std::uint64_t bytes) {
    if (position > (marks_.empty() ? sent_ : marks_.back().position)) marks_.push_back({position, bytes});
  }
  // So many of these bytes have been written.
  void written(std::uint64_t bytes) {
    for (; !marks_.empty() && marks_.front().bytes <= bytes; marks_.pop_front()) sent_ = marks_.front().position;
  }
  StatusUpdate clamped(StatusUpdate update) const {
    update.written = std::min(update.written, sent_);
    update.flushed = std::min({update.flushed, update.written, sent_});
    update.applied = std::min({update.applied, update.written, sent_});
    return update;
  }

 private:
  struct Mark {
    Lsn position;
    std::uint64_t bytes;
  };
  std::deque<Mark> marks_;  // both grow
  Lsn sent_ = 0;
};

}  // namespace domicile::gate
