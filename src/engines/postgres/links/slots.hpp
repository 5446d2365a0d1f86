// The exporting end of links: slots, from the first day.
#pragma once
#include "base/clock.hpp"
#include "engines/postgres/links/link.hpp"

namespace domicile::postgres::links {

// Makes the slot of a link whose `from` is this region and does not own the residency now (a reverse slot), or leaves
// an existing one as it is. One that is gone or has lost its log is made anew: nobody has streamed from it, and a
// takeover moves it past everything anyway. Creating waits for every open transaction of the cluster: `unavailable`
// after `timeout`, with how many are open, and nothing left behind. True: made now.
Result<bool> ensure_reverse_slot(const std::string& conninfo, const LinkSpec& link, Micros timeout = 30 * kSecond);

// Moves a reverse slot past everything written here so far and journals where it stands. Only for slots that
// ensure_reverse_slot made here and nobody has streamed from: `refused` when the slot carries, or carried, a link
// (journal: ready, exporting, salvage), since it may hold what is not elsewhere.
Result<Position> advance_reverse_slot(const Sql& sql, const LinkSpec& link);

// At takeover, once the inbound link is stopped: every reverse slot here lies behind all that was applied, and from now
// on is a link's slot, never advanced by hand again. `links`: those with this region as `from`. Idempotent: a slot that
// has become a link's is left alone.
Result<Position> open_reverse_slots(const Sql& sql, const std::vector<LinkSpec>& links);

// At a former owner, whose place another region has taken with a known fence that every receiver reached: its slots
// hold nothing that anybody misses and become reverse slots again. `unsafe` while a slot's confirmed position is before
// the fence. After an unplanned switch there is no fence and this is never called: the slot stays for salvage.
Result<void> return_to_reverse(const Sql& sql, const LinkSpec& link, const Position& fence);

// The same for a receiver that was away when the epoch ended and will never take the rest from here: the new owner has
// all of it, and the receiver becomes equal to that one. Only once return_to_reverse has proven the fence for the new
// owner's own link; and no gate lets a reverse slot stream, or the receiver would go on behind what it lacks.
Result<void> abandon_receiver(const Sql& sql, const LinkSpec& link);

// At a target that opened its slots and was overtaken before it could write: a link's slots that were never a link's.
// Left as they are they would hold the log back, and at the next takeover begin before rows that their receivers have.
// The same at a lost owner, once what they held is kept as salvage.
Result<void> withdraw_reverse_slots(const Sql& sql, const std::vector<LinkSpec>& links);

// What the log of a link's slot holds will never reach its receiver, who learns why and is repaired over a fresh one.
// Fails while somebody streams it. A slot that is no link's stays.
Result<void> give_up_slot(const Sql& sql, const LinkSpec& link, const std::string& why);

// Does the slot still hold everything behind `position`? False also when it is gone.
Result<bool> slot_reaches_back(const Sql& sql, const LinkSpec& link, std::uint64_t position);
// Was this slot opened at a takeover, and has nobody taken anything from it since? Then it tells all that changed here.
Result<bool> stands_since_takeover(const Sql& sql, const LinkSpec& link);
// Before a link's slot is made anew for a repair, what it told lives on in a copy until the repair is done; then it is
// dropped. A copy whose repair never ends holds no more of the log than max_slot_wal_keep_size.
std::string since_slot(const LinkSpec& link);
Result<void> keep_since_slot(const Sql& sql, const LinkSpec& link);  // does nothing unless it stands since a takeover
Result<void> drop_since_slot(const Sql& sql, const LinkSpec& link);

struct SlotProgress {
  std::string link;
  bool live = false;  // a receiver is connected
  bool has = false;   // it confirmed `position` or later as flushed
  Position confirmed;
  Micros waited_us = 0;
};
// Waits until every live receiver of `links` has confirmed `position`, or the timeout; answers what is so then. Only
// compares within this system id and timeline (`corrupt` otherwise).
Result<std::vector<SlotProgress>> receivers_have(const Sql& sql, const std::vector<LinkSpec>& links,
                                                 const Position& position, Micros timeout);

}  // namespace domicile::postgres::links
