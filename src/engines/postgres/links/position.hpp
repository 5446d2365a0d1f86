// Where this cluster is, and how far a copy of another one is.
#pragma once
#include "base/clock.hpp"
#include "engines/postgres/links/link.hpp"

namespace domicile::postgres::links {

// System id and timeline of this cluster; lsn 0.
Result<Position> identity_of(const Sql& sql);
// The same of the cluster behind a link's conninfo, by the IDENTIFY_SYSTEM that every gate lets pass; lsn is its flush
// position.
Result<Position> identify(const std::string& conninfo, Micros timeout = 5 * kSecond);
// This cluster's own position: everything committed before the call lies before it, and it is on the disk.
Result<Position> own_position(const Sql& sql);

// Is `a` at or beyond `b`? `corrupt` when they count from different zeros (another cluster, another timeline).
Result<bool> reached(const Position& a, const Position& b);

// What the subscription has applied, in the source's numbering; where it never applied anything, the point at which its
// first rows were read. `unavailable` when there is no such subscription or no journal of whom it follows.
Result<Position> applied_position(const Sql& sql, const LinkSpec& link);
// Waits until `position` is applied here. False: not within the timeout. Only a commit that the link carries moves what
// is applied, so the source commits a marker behind `position` first (a fence does not stop markers).
Result<bool> wait_applied(const Sql& sql, const LinkSpec& link, const Position& position, Micros timeout);

// Transactions of the whole cluster that have a transaction id: what the making of a slot waits for.
Result<std::int64_t> open_transactions(const Sql& sql);

}  // namespace domicile::postgres::links
