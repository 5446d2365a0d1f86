// A tenant's move under faults: directories, gateways and links that lag, an actor that dies, a person who takes it
// back. What each phase means and what it waits for is the core's (core/moves).
//
// Region a owns the residency `from` and the directory, b owns `to`, c receives both. A model: one tenant, and
// ownership stays where it is; what switches do to a move is for the tests that kill real agents.
#pragma once
#include <string>
#include <vector>

#include "rng.hpp"

namespace domicile::sim {

// Rules to break on purpose.
struct MovePolicy {
  bool hold_unasked = false;     // the tenant is sealed before every gateway holds it
  bool seal_at_once = false;     // the rest is copied while transactions that have written are still open
  bool flip_uncompared = false;  // the directory flips whether or not both sides are equal
  bool delete_unasked = false;   // the old rows are deleted before every region has the flip
  bool abort_flipped = false;    // a person may take it back also after the flip
  bool blind_advance = false;    // a phase follows whatever the directory says by now
};

struct MoveOutcome {
  std::string violation;  // empty: everything held
  std::vector<std::string> story;
  bool done = false;  // the tenant lives in `to`; else its move was taken back
  int writes = 0;     // acknowledged
};
MoveOutcome run_move(std::uint64_t seed, const MovePolicy& policy = {}, bool tell = false);

}  // namespace domicile::sim
