// What one region should do now about one residency: a pure function of what it has seen.
//
// Every answer is one act and the sentence that explains it. Nothing is assumed done: the caller acts, looks again and
// asks again. Records are only ever replaced by compare-and-swap on the text that this answer was computed from, so
// that of two regions that decide at once one is refused.
#pragma once
#include <string>
#include <vector>

#include "core/authority/observer.hpp"
#include "core/authority/proposal.hpp"

namespace domicile::authority {

struct Timing {
  Micros ttl = 5 * kSecond, beat = kSecond, margin = 500 * kMillisecond, patience = 10 * kSecond;
};

// What the topology says about the residency, as far as authority depends on it.
struct Rules {
  std::string residency;
  std::string home;
  std::vector<std::string> standbys;  // lawful ones (form full), in the order of preference
  Micros rpo = 10 * kSecond;
  bool automatic = true;
  Micros calm = 600 * kSecond;
  bool go_on = false;                   // with rpo 0: writes are served while no standby confirms
  std::optional<Micros> failback = {};  // goes home by itself after so long a quiet time; empty: a person sends it
};

// With rpo 0: what an owner's commits wait for, as its own database shows it. See standby.hpp.
struct Cover {
  std::string proven;   // every write that was acknowledged is there, and every one that will be; empty: nowhere
  bool lost = false;    // the standby that the record names has not confirmed anything for longer than it may
  bool broken = false;  // commits do not wait for the standby that the record names: somebody changed the database
  bool operator==(const Cover&) const = default;
};

// What this site knows about itself. Unknown is never "fine".
struct Local {
  std::string region;
  Epoch known_epoch = 0;          // highest on this site's disk, before the view was asked for
  std::string known_owner;        // whose it is: the region that opens or opened it
  std::optional<Epoch> opened;    // the epoch that this process has opened and renews
  bool can_write = false;         // the database commits markers
  Micros cannot_write_since = 0;  // monotonic; meaningful when !can_write
  bool copy_complete = false;     // every mapped table journaled complete, link enabled until the owner died
  bool resync = false;            // not known to be a prefix of the owner's history: see not_promotable (copy.hpp)
  std::string behind = {};        // owner by the record: why the database here lacks what was told from it, or empty
  bool no_rows = false;           // no first rows yet: of its `resync` this is the harmless kind, and ends by itself
  std::optional<Micros> lag;      // empty: unknown
  std::optional<bool> most_advanced;  // of the standbys that answered; empty: not asked yet
  // Since when this process, owner by the record, could not open or extend the lease although the quorum answered: the
  // database refuses the epoch (it was fenced in it) or no majority of the sites agrees. Empty: it can.
  std::optional<Micros> cannot_open_since = {};
  std::vector<Proposal> approvals;  // what a person said yes to
  Cover cover = {};
};

enum class Act {
  nothing,  // as it should be, or nothing that we may do
  renew,    // owner: keep the lease
  reopen,   // owner by record, not opened by this process: ask a majority of the sites, then renew
  drain,    // owner of a planned switch: gateways hold, in-flight ends, fence, receivers have it, then swap to moving
  open,     // target: the steps of the takeover, then swap to serving
  swap,     // replace the record by `swap`
  compare_positions,  // ask the other standbys how far they are, then decide again
  ask,                // a person must approve `proposal`
  wait,               // something will be due at `look_again`
};

struct Decision {
  Act act = Act::nothing;
  std::string why;
  std::optional<Swap> swap = {};
  Proposal proposal = {};                 // ask: what for
  std::optional<Micros> look_again = {};  // monotonic
};

struct Question {
  const Timing& timing;
  const Rules& rules;
  const Local& local;
  const View& view;
  const Observed& observed;
  Micros now = 0;        // monotonic
  Micros wall_now = 0;   // for `calm` only
  std::string fresh_id;  // an id that no switch ever had
};

Decision decide(const Question& question);

// Is the quorum behind what this site's disk knew before the view was asked for? Then nothing renews from it until a
// person has adopted it. The reason, or empty.
std::string distrust(const Local& local, const std::string& residency, const View& view);

// The record that opens `epoch` of `record` at its target; what a switch ends with. `base`: where the target's copy of
// the last opened epoch stands, `told`: the last marker that its owner's beat names. Both are kept after a takeover.
Record serving_record(const Record& moving, Micros wall_now, const std::optional<Position>& base = {},
                      const std::optional<Marker>& told = {});

// A person asks for a planned switch: the draining record, or why not.
Result<Record> planned_drain(const Record& record, const Rules& rules, const std::string& to, const std::string& id);

// The owner's half is done: the moving record.
Record planned_moving(const Record& draining, const Position& fence);

// A person asks the quorum to be believed again: `highest` is the highest epoch on a majority of the sites' disks. Its
// history says that up to `highest` an unknown region wrote. Its target opens only when every older lease is over.
Record adopted_record(Epoch highest, const std::string& owner, const std::string& id);

}  // namespace domicile::authority
