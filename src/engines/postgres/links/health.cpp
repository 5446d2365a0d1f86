#include "engines/postgres/links/health.hpp"

#include "engines/postgres/links/copy.hpp"
#include "engines/postgres/links/position.hpp"

namespace domicile::postgres::links {

Result<Fingerprints> fingerprints(const Sql& sql, const LinkSpec& link) {
  Fingerprints prints;
  for (const auto& table : link.tables) {
    std::string columns = "{";
    for (const auto& column : table.columns) columns += (columns.size() == 1 ? "" : ",") + sql.name(column);
    columns += "}";
    const auto rows = TRY(sql.query(
        "SELECT pg_catalog.string_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod) || "
        "CASE WHEN a.attnotnull THEN ' not null' ELSE '' END, ', ' ORDER BY a.attname COLLATE \"C\") || '; identity ' "
        "|| "
        "(SELECT c.relreplident::text || ' ' || coalesce((SELECT pg_catalog.string_agg(k.attname, ',' ORDER BY "
        "k.attname "
        "COLLATE \"C\") FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute k ON k.attrelid = i.indrelid AND "
        "k.attnum = ANY (i.indkey) WHERE i.indrelid = c.oid AND (i.indisreplident OR (c.relreplident = 'd' AND "
        "i.indisprimary))), '')) "
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "WHERE n.nspname = $1 AND c.relname = $2 AND a.attname::text = ANY ($3::text[]) GROUP BY c.oid, c.relreplident",
        {table.schema, table.name, columns}));
    prints[table.qualified()] = rows.empty() || !rows[0][0] ? "" : *rows[0][0];
  }
  return prints;
}

std::string schema_difference(const Fingerprints& owner, const Fingerprints& here) {
  for (const auto& [table, print] : owner) {
    const auto own = here.find(table);
    if (own == here.end() || own->second.empty()) return fmt::format("{} is missing here", table);
    if (print.empty()) return fmt::format("{} is missing at the owner", table);
    if (own->second != print) return fmt::format("{} differs: owner ({}), here ({})", table, print, own->second);
  }
  for (const auto& [table, print] : here)
    if (!owner.contains(table)) return fmt::format("{} is missing at the owner", table);
  return {};
}

std::string_view name_of(Health::State state) {
  switch (state) {
    case Health::State::unknown:
      return "unknown";
    case Health::State::healthy:
      return "healthy";
    case Health::State::down:
      return "down";
    case Health::State::disabled:
      return "disabled";
    case Health::State::stopped:
      return "stopped";
    case Health::State::failed:
      return "failed";
    case Health::State::resync:
      return "resync";
  }
  return "unknown";
}

Result<Health> slot_health(const Sql& sql, const LinkSpec& link) {
  using enum Health::State;
  const auto journal = TRY(read_link_journal(sql, link.name, true));
  if (!journal) return Health{unknown, "slot " + link.name + " was never made here"};
  if (journal->state == "exporting") return Health{unknown, "first rows are not complete"};
  const auto identity = TRY(identity_of(sql));
  if (!identity.comparable_with(journal->position))
    return Health{resync, fmt::format("slot {} is of system {} timeline {}, this is system {} timeline {}", link.name,
                                      journal->position.system_id, journal->position.timeline, identity.system_id,
                                      identity.timeline)};
  const auto rows =
      TRY(sql.query("SELECT coalesce(wal_status, 'lost'), active, plugin, database = pg_catalog.current_database() "
                    "FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
                    {link.name}));
  if (rows.empty()) return Health{resync, "slot " + link.name + " is absent"};
  if (rows[0][0] == "lost") return Health{resync, "slot " + link.name + " lost WAL that its receiver misses"};
  if (rows[0][2] != "pgoutput" || rows[0][3] != "t") return Health{resync, "slot " + link.name + " is not the link's"};
  if (!journal->reason.empty()) return Health{resync, journal->reason};
  return Health{healthy, *rows[0][1] == "t" ? "a receiver is connected" : "no receiver is connected"};
}

Result<void> mark_resync(const Sql& sql, const LinkSpec& link, const std::string& reason) {
  auto journal = TRY(read_link_journal(sql, link.name, false));
  if (!journal) journal = LinkJournal{"", {}, "", ""};
  if (journal->state == "resync") return {};  // the first reason is the one that explains the others
  journal->state = "resync";
  journal->reason = reason;
  return write_link_journal(sql, link.name, false, *journal);
}

std::string history_difference(const Position& applied, const Position& source) {
  if (!source.comparable_with(applied))
    return fmt::format("the source is system {} timeline {}, this copy is of system {} timeline {}", source.system_id,
                       source.timeline, applied.system_id, applied.timeline);
  if (applied.lsn > source.lsn)
    return fmt::format("this copy applied {}, its owner is only at {}", authority::lsn_text(applied.lsn),
                       authority::lsn_text(source.lsn));
  return {};
}

Result<bool> restore_publication(const Sql& sql, const std::string& name) {
  const auto shape = [&]() -> Result<std::string> {
    const auto rows = TRY(sql.query(
        "SELECT pg_catalog.concat_ws(' ', p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot, "
        "p.puballtables, (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', t.schemaname, t.tablename, "
        "t.attnames::text, t.rowfilter), ', ' ORDER BY t.schemaname, t.tablename) "
        "FROM pg_catalog.pg_publication_tables t WHERE t.pubname = p.pubname)) "
        "FROM pg_catalog.pg_publication p WHERE p.pubname = $1",
        {name}));
    return rows.empty() ? std::string() : rows[0][0].value_or("");
  };
  bool changed = false;
  CHECK_OK(in_transaction(sql, [&]() -> Result<void> {
    const auto before = TRY(shape());
    CHECK_OK(sql.query("SELECT domicile.publication_restore($1)", {name}));
    changed = TRY(shape()) != before;
    if (!changed) return {};
    CHECK_OK(sql.query(
        "UPDATE domicile.link_journal SET reason = 'publication ' || link || ' was changed by somebody: rows that were "
        "written until it was brought back are missing', at = pg_catalog.now() "
        "WHERE link = $1 AND side = 'out' AND state IN ('exporting', 'ready') AND reason = ''",
        {name}));
    return {};
  }));
  return changed;
}

Result<Health> subscription_health(const Sql& sql, const LinkSpec& link, const std::optional<Position>& source) {
  using enum Health::State;
  const auto journal = TRY(read_link_journal(sql, link.name, false));
  if (!journal) return Health{unknown, "no first rows are journaled"};
  if (journal->state == "resync") return Health{resync, journal->reason};
  const auto resync_because = [&](const std::string& why) -> Result<Health> {
    CHECK_OK(mark_resync(sql, link, why));
    return Health{resync, why};
  };
  const bool complete = TRY(copy_complete(sql, link));
  const auto subscription = TRY(sql.query(
      "SELECT s.subenabled, s.subdisableonerr, coalesce(st.apply_error_count, 0)::text, "
      "(SELECT count(*) FROM pg_catalog.pg_stat_subscription w WHERE w.subid = s.oid AND w.pid IS NOT NULL)::text "
      "FROM pg_catalog.pg_subscription s LEFT JOIN pg_catalog.pg_stat_subscription_stats st ON st.subid = s.oid "
      "WHERE s.subname = $1",
      {link.name}));
  if (source) {
    auto applied = journal->position;
    if (!subscription.empty() || journal->state == "stopped")
      applied = TRY(applied_position(sql, link));
    else
      applied.lsn = 0;
    if (const auto why = history_difference(applied, *source); !why.empty()) return resync_because(why);
  }
  if (!complete) return Health{unknown, "first rows are not complete"};
  if (subscription.empty())
    return journal->state == "following" ? Health{failed, "subscription " + link.name + " is gone"}
                                         : Health{stopped, "there is no subscription yet"};
  const auto& row = subscription[0];
  if (row[0] != "t") {
    // PostgreSQL 15 keeps the error itself only in its log; the catalog tells that there was one.
    if (journal->state == "following")
      return Health{disabled, fmt::format("disabled by an error of apply ({} so far); see the server's log", *row[2])};
    return Health{stopped, "the link is not enabled"};
  }
  if (*row[3] == "0") return Health{down, "its worker is not running"};
  return Health{healthy, "streaming"};
}

}  // namespace domicile::postgres::links
