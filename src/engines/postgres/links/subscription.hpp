// The importing end of a link: a subscription that is only ever made disabled, without a slot or a copy of its own.
#pragma once
#include "base/clock.hpp"
#include "engines/postgres/links/link.hpp"

namespace domicile::postgres::links {

// Makes it, disabled and at the journaled position, or brings an existing one to `conninfo`. It connects once to learn
// its tables: one made with connect = false has none, and drops every row silently while the slot advances. The
// source's publication and slot must exist. `conninfo` is the link's one address; PostgreSQL keeps it in
// pg_subscription, which only superusers read: name certificate and password files there, no secrets.
Result<void> ensure_subscription(const Sql& sql, const LinkSpec& link, const std::string& conninfo);

// Refuses (`unsafe`) while first rows are not complete or the link's journal says resync: rows would be lost silently.
Result<void> enable_subscription(const Sql& sql, const LinkSpec& link);

struct Stopped {
  Position position;           // the source's position that was applied; nothing more will be
  Micros workers_gone_us = 0;  // how long the workers needed after DISABLE
  bool terminated = false;     // they were ended
};
// Disables and returns only when no worker of it is left: DISABLE itself returns seconds before that. Workers are ended
// at once when `fence_known` (all that they should apply is applied), else when they wait for more to arrive, at the
// latest after a second. Journals the position. A subscription that does not exist is stopped already.
Result<Stopped> disable_inbound(const Sql& sql, const LinkSpec& link, bool fence_known, Micros timeout = 10 * kSecond);

// Drops the subscription and leaves the source's slot alone: it may hold salvage. Stops it first.
Result<void> drop_subscription(const Sql& sql, const LinkSpec& link);
// Learns the publication's tables anew, by making the subscription again at its applied position: ALTER SUBSCRIPTION …
// REFRESH runs neither in a function, so never for an agent without superuser's rights, nor while disabled (PostgreSQL
// 15). Rows of a table that was added must be brought first.
Result<void> refresh_subscription(const Sql& sql, const LinkSpec& link, const std::string& conninfo);

}  // namespace domicile::postgres::links
