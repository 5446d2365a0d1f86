// What a subscriber says that it has is input: it may confirm no more than it was sent, or PostgreSQL would throw away
// rows that it never got.
#pragma once
#include <algorithm>

#include "gate/protocol/frames.hpp"

namespace domicile::gate {

class Feedback {
 public:
  // Called for each frame once it has been forwarded. A subscriber without anything pending confirms the highest
  // position of any frame, keep-alives included (send_feedback() of PostgreSQL's worker.c).
  void forwarded(const WalData& data) { sent_ = std::max({sent_, data.start, data.end}); }
  void forwarded(const KeepAlive& alive) { sent_ = std::max(sent_, alive.end); }
  StatusUpdate clamped(StatusUpdate update) const {
    update.written = std::min(update.written, sent_);
    update.flushed = std::min({update.flushed, update.written, sent_});
    update.applied = std::min({update.applied, update.written, sent_});
    return update;
  }
  Lsn sent() const { return sent_; }

 private:
  Lsn sent_ = 0;
};

}  // namespace domicile::gate
