// What a region does with its copy of a residency when the authority over it changes.
#pragma once
#include <optional>
#include <string>

#include "core/authority/record.hpp"

namespace domicile::authority {

// Kept on this site's disk per residency.
struct Copy {
  enum class State {
    none,       // nothing here yet: needs first rows from the owner
    owner,      // this region wrote last, at `epoch`
    following,  // a prefix of the history of (source, epoch)
    stopped,    // was following (source, epoch); the inbound link is disabled at `position`
    resync,     // not known to be a prefix of the owner's history: no target for anything until repaired
  };
  State state = State::none;
  std::string source;  // whom it follows or followed; itself for an owner
  Epoch epoch = 0;     // the epoch of that history
  // stopped: the source's position applied here. owner, after a fence: the fence. resync, of an epoch that was written
  // here: where this disk ends, if that is before what was told of it
  std::optional<Position> position;
  std::string why = {};  // resync: what is known about it
  bool operator==(const Copy&) const = default;
};

std::string_view name_of(Copy::State state);
std::optional<Copy::State> copy_state_of(std::string_view name);

enum class CopyAct {
  keep,         // nothing to change
  first_rows,   // bring the first rows from `source`, then follow
  stop,         // disable the inbound link, workers really gone, journal the position
  follow,       // enable the link from `source`
  mark_resync,  // journal that this copy is no prefix of the owner's history; follow nothing
  repair,       // keep what only this copy has, make it equal to the owner's, then follow
  own,          // journal that the last epoch was opened here: its agent died before it could
};

struct CopyStep {
  CopyAct act = CopyAct::keep;
  Copy next;        // what to journal once the act is done (stop: the caller fills `position`)
  std::string why;  // one sentence
};

// `record`: what the quorum holds for the residency. Never `follow`s an owner whose history is not known to contain
// this copy: the last opened epoch must be this copy's own, or follow it directly with a fence that this copy has
// reached, or be the same owner's again with nobody else's in between.
// A record with a lower epoch than the copy's comes from a quorum that is behind: it changes nothing.
//
// `broken`: why the store here takes the copy for no prefix of its source's history, whatever the record says: another
// system or timeline, ahead of its owner, a lost slot, rows that were never let out. Empty: it knows of nothing.
CopyStep next_copy_step(const Copy& copy, const Record& record, const std::string& region,
                        const std::string& broken = {});

// Where this copy's epoch ended for whoever opened the next one: what it holds of that epoch behind `at`, nobody else
// needs to have. Empty optional: the record does not remember that far, or nobody opened since. `at` is empty where
// nobody knows (an adopted record).
struct Handover {
  std::string to;
  std::optional<Position> at;
  std::optional<Marker> told = {};  // the last marker that the ended epoch's owner told, where nobody could ask it
  bool operator==(const Handover&) const = default;
};
std::optional<Handover> handover_of(const Copy& copy, const Record& record);
// What of a copy that is about to be overwritten may be nowhere else.
enum class OnlyHere {
  nothing,    // the next owner had at least as much as is here
  own_log,    // this region wrote the epoch: its log names what nobody else got
  perhaps,    // this copy got further than the next owner, or nobody knows: whatever differs may be it
  as_source,  // its source owns it still: nothing, unless that one's history has gone back
};
OnlyHere only_here(const Copy& copy, const Record& record, const std::string& region);

// What of an epoch that was written here this disk (`here`: its database's own position) cannot tell any more, in
// words: it is another database, or an older image than the one from which the next owner got up to `handover`. Empty:
// nothing.
std::string not_on_this_disk(const std::optional<Position>& handover, const Position& here);

// What a returning owner's disk still tells of the epoch that was ended without it.
struct OwnDisk {
  std::string lost;    // in words: what had been committed in the epoch and is not here; empty: nothing is known to be
  bool whole = false;  // everything that was told of the epoch is here: where it differs, it was written here
};
// `position`: its database's own, `marker`: the last one of the residency that it holds.
OwnDisk own_disk(const Copy& copy, const std::optional<Handover>& handover, const Position& position,
                 const std::optional<Marker>& marker);

// Why the database of `epoch`'s owner is not the one that was written in it, or is an older image of that one, in
// words. Empty: it is. `told`: the last marker that the owner's own beat names, committed and on the disk before it was
// told. `here`: the marker that the database holds now. Asked before whoever owns by the record opens again; an owner
// that did not would serve the past, and take whatever it had acknowledged since from the standbys that have it.
std::string behind_own_marker(const std::optional<Marker>& told, const std::optional<Marker>& here, Epoch epoch);
// The epoch to ask that of: the last that anybody opened, if `region` did.
std::optional<Epoch> own_last_epoch(const Record& record, const std::string& region);
// From where an epoch that is opened on this copy goes on, for its record's `base`: what is here of another's history,
// or what is left of its own on a disk that was put back. Empty: all of its own.
std::optional<Position> begins_at(const Copy& copy, const std::string& region);
// A copy that was found to be so: this region's own of that epoch, in resync.
bool is_past(const Copy& copy, const Record& record, const std::string& region);

// Why this copy must not become the owner's, or empty: it must be a prefix of the last epoch that anybody opened and,
// where the record moves with a fence, hold everything up to it. Ask it before any takeover, and again after the
// inbound link has stopped, before the target opens. (An adopted record is a person's choice: there nobody asks this.)
std::string not_promotable(const Copy& copy, const Record& record);
// The same asked by `region` of its own copy: nothing bars the region that a person named in an adopted record. Every
// other one is asked as ever, or it would take over from a target that only waits for older leases to end.
std::string barred_here(const Copy& copy, const Record& record, const std::string& region);

}  // namespace domicile::authority
