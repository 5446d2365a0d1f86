// What one observer knows about the others' lives, timed on its own clock.
//
// A beat carries no time that others may trust. Life is only a higher counter or a new boot id, and an expiry is
// counted from when this observer last saw such a change: the owner took its lease from a clock read before that beat
// was sent, so that, at equal clock rates, its lease is over before ours says that it is; `margin` pays for the rates.
#pragma once
#include <map>
#include <string>

#include "core/authority/quorum.hpp"

namespace domicile::authority {

struct Life {
  std::string boot;
  std::int64_t counter = -1;
  Micros changed_at = 0;  // this observer's monotonic clock at the last change seen
  bool operator==(const Life&) const = default;
};

// The first sight of a state of a residency's record. Deadlines of switches are durations counted from here.
struct Sight {
  Epoch epoch = 0;
  Mode mode = Mode::moving;
  std::string switch_id, to;
  Micros first_seen = 0;
  bool operator==(const Sight&) const = default;
};

struct Observed {
  std::map<std::string, Life> lives;    // by region, also those that have no beat yet
  std::map<std::string, Sight> sights;  // by residency
  bool operator==(const Observed&) const = default;
};

// `now`: monotonic, read *after* the view had arrived. One that was read before it was asked for may be older than the
// beat itself (the question waited in the network while the owner beat), and the owner would outlive its expiry here.
// `regions`: all whose life matters; one without a beat counts as
// last seen at our first look.
Observed observe(Observed before, const View& view, const std::vector<std::string>& regions, Micros now);

// What one member of the quorum holds at this moment, which may be older than what the quorum holds. A higher counter
// of a life that is known was committed before `now`, so that the life is counted from then instead of from when the
// whole quorum answers again: an owner is often lost together with its leader, and an election is long. Nothing else of
// it counts: an older value may be a member that lags.
Observed glimpse(Observed before, const View& local, Micros now);

// When the life of `region` is over for this observer: last change + ttl + margin.
Micros expires_at(const Observed& observed, const std::string& region, Micros ttl, Micros margin);

}  // namespace domicile::authority
