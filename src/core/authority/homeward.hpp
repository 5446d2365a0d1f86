// Going home without being asked: when a residency whose home was lost may return to it by a planned switch. Pure.
#pragma once
#include "core/authority/precheck.hpp"

namespace domicile::authority {

// Is there a way home to think of: this region serves it since an unplanned switch, and the topology lets it go home by
// itself? Whoever was moved away by a person stays until a person moves it back; so does one whose way home failed.
bool away_from_home(const Rules& rules, const Record& record, const std::string& region);

// What home says, asked by the owner just now.
struct HomeSeen {
  TargetCopy copy;
  std::optional<std::int64_t> salvage_open = {};  // rows there that nobody has decided about; empty: unknown
};

struct HomewardQuestion {
  const Rules& rules;
  const Record& record;
  HomeSeen home;
  std::optional<Micros> fit_since = {};  // what the last answer said
  Micros now = 0;                        // monotonic
};

struct Homeward {
  bool go = false;
  std::string why;                       // for a person: what it waits for
  std::optional<Micros> fit_since = {};  // since when home could own it; any doubt begins the quiet time anew
};

Homeward homeward(const HomewardQuestion& question);

}  // namespace domicile::authority
