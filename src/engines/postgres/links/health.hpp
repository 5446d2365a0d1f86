// Is a link what it should be? Anything that makes the copy something else than a prefix of its owner's history is
// `resync`, journaled, and only repair ends it.
#pragma once
#include <map>

#include "engines/postgres/links/link.hpp"

namespace domicile::postgres::links {

// Of one mapped table: the link's columns with type and nullability, the replica identity. Two regions of different
// forms have fingerprints over the columns that both hold, so give the link's tables, not the table's own columns.
using Fingerprints = std::map<std::string, std::string>;  // schema.table -> text; "" where the table is missing
Result<Fingerprints> fingerprints(const Sql& sql, const LinkSpec& link);
// One sentence that names the first table that differs; empty when they agree. Pure.
std::string schema_difference(const Fingerprints& owner, const Fingerprints& here);

struct Health {
  // `down`: enabled, but nobody streams now, as when the source does not answer. That alone harms no copy.
  // `disabled`: an error of the worker ended it. PostgreSQL 15 counts a lost connection as one (disable_on_error), so
  // this says nothing about the rows: enable it again, and watch the lag.
  enum class State { unknown, healthy, down, disabled, stopped, failed, resync };
  State state = State::unknown;
  std::string reason;  // one sentence; never row values
};
std::string_view name_of(Health::State state);

// At the owner: does the link's slot still hold everything its receiver misses, and was everything let out of it?
Result<Health> slot_health(const Sql& sql, const LinkSpec& link);
// Why a copy with `applied` of a source that was at `source` afterwards is no prefix of its history, or empty. Pure.
std::string history_difference(const Position& applied, const Position& source);
// At the receiver. `source`: what the owner said about itself (identify()) after everything that is applied here had
// been; nothing when it does not answer, which is no resync. Journals resync when it finds one.
Result<Health> subscription_health(const Sql& sql, const LinkSpec& link, const std::optional<Position>& source);
Result<void> mark_resync(const Sql& sql, const LinkSpec& link, const std::string& reason);

// Brings a publication back to what `apply` made it. True: it was something else. Rows that were written meanwhile
// never go over its link, so in the same transaction the link's slot here is journaled to have lost them.
Result<bool> restore_publication(const Sql& sql, const std::string& name);

}  // namespace domicile::postgres::links
