// What the quorum holds: one authority record per residency, one beat per region. Values, and their canonical JSON.
//
// The quorum compares values, never revisions, so the text of a record is part of its identity: to_text is canonical
// (sorted keys, no blanks), and whoever compares uses the text that was read, not one that was made again.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace domicile::authority {

using Epoch = std::int64_t;

enum class Mode {
  serving,   // `owner` may write while its lease lasts
  draining,  // `owner` finishes what has begun; nobody starts a write. Without `to`: the owner cannot write (grey
             // failure)
  moving,    // nobody writes; `to` is to open at `epoch`
};

// Why the record is as it is.
enum class Cause {
  bootstrap,     // the first owner of a residency
  planned,       // a person asked; has a fence once it is moving
  automatic,     // the owner's life expired and the copy's lag was known and within rpo
  approved,      // the same, but a person had to say yes
  rollback,      // a switch that did not reach its target went back to the owner
  takeback,      // an owner goes on by itself: its database commits again, or another standby or none has all it
                 // acknowledged
  adopted,       // a person put the epoch above what the sites' disks hold, after the quorum had been restored
  broken_glass,  // a person opened it without a quorum
};

std::string_view name_of(Mode mode);
std::string_view name_of(Cause cause);
std::optional<Cause> cause_of(std::string_view name);
std::optional<Mode> mode_of(std::string_view name);

// How far a copy is. An LSN alone says nothing: another timeline or another cluster counts from its own zero.
struct Position {
  std::string system_id;  // pg_control_system's identifier, decimal
  std::int64_t timeline = 0;
  std::uint64_t lsn = 0;
  bool operator==(const Position&) const = default;
  bool comparable_with(const Position& other) const {
    return system_id == other.system_id && timeline == other.timeline;
  }
};

std::string lsn_text(std::uint64_t lsn);  // 16/B374D848
std::optional<std::uint64_t> lsn_of(std::string_view text);

struct Marker {
  Micros clock_us = 0;  // the owner's wall clock, committed with the marker's row
  std::uint64_t lsn = 0;
  Epoch epoch = 0;
  bool operator==(const Marker&) const = default;
};

// An epoch that was really opened: somebody could write in it.
struct Opened {
  Epoch epoch = 0;
  std::string owner;
  std::optional<Position> fence;  // the last position of the epoch before it; only after a planned switch
  // After an unplanned one: how much of the epoch before it the new owner had. A receiver that stopped at the very same
  // position has the same rows, and goes on with the new owner. Of the same owner again it says that its disk was put
  // back: whoever got further than this has what that one has not.
  std::optional<Position> base = {};
  // After an unplanned one: the last marker that the lost owner's beat told of the epoch before it. It was on that
  // one's disk, so a disk that comes back without it is not the one that was lost.
  std::optional<Marker> told = {};
  bool operator==(const Opened&) const = default;
};

// Every write of this epoch that was acknowledged is at that standby, and none will be before it is there too. Said of
// one epoch: in another one it means nothing, whoever wrote the record and whether he knew of it.
struct Covered {
  Epoch epoch = 0;
  std::string region;
  bool operator==(const Covered&) const = default;
};

inline constexpr std::size_t kHistory =
    8;  // opened epochs that a record remembers; a receiver that was away longer is `resync`

struct Record {
  std::string owner;  // while moving: the last owner, who may still hold surplus
  Epoch epoch = 0;    // the epoch of whoever writes next (moving) or now (serving, draining)
  Mode mode = Mode::moving;
  std::string switch_id;  // names the switch that led here; unique for ever
  std::string from, to;   // from: who wrote last; to: who is to write. `to` is empty in a draining without target
  Cause cause = Cause::bootstrap;
  std::optional<Position> fence = {};   // planned and moving: the owner's last position of the ended epoch
  Micros automatic_at = 0;              // wall clock of the last automatic switch that reached serving; 0: never
  std::vector<Opened> history = {};     // oldest first, kHistory at most; the last one is the last that anybody opened
  std::string extra = {};               // JSON object of members that this version does not know; kept when rewritten
  std::optional<Covered> covered = {};  // with rpo 0; ask covered_by
  bool operator==(const Record&) const = default;
};

// The standby that has everything that was acknowledged in the record's epoch; empty: none is known to.
std::string covered_by(const Record& record);
// While an owner moves to itself: the standby of the epoch that it leaves, whose word ends when the next one is open.
std::string covered_until_open(const Record& record);

struct Beat {
  std::string boot;                       // a random id of this start of the agent
  std::int64_t counter = 0;               // grows with each beat of one boot
  int protocol = 1;                       // what this agent speaks; see docs/state.md
  std::map<std::string, Marker> markers;  // by owned residency: the last one committed
  bool operator==(const Beat&) const = default;
};

std::string to_text(const Record& record);
std::string to_text(const Beat& beat);
// An agent one version ahead may have added members: a record's are kept and written back, a beat's are ignored. An
// unknown value of mode or cause is refused, and said: to take it for a known one could open what must stay closed.
Result<Record> record_of(std::string_view text);
Result<Beat> beat_of(std::string_view text);

}  // namespace domicile::authority
