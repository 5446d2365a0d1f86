#include "engines/postgres/links/position.hpp"

#include <poll.h>

namespace domicile::postgres::links {

namespace {

Position position_of(const Row& row) {
  return {row[0].value_or(""), std::stoll(row[1].value_or("0")), authority::lsn_of(row[2].value_or("")).value_or(0)};
}

}  // namespace

Result<Position> identity_of(const Sql& sql) {
  const auto rows = TRY(
      sql.query("SELECT s.system_identifier::text, c.timeline_id::text, '0/0' FROM pg_catalog.pg_control_system() s, "
                "pg_catalog.pg_control_checkpoint() c"));
  return position_of(rows.at(0));
}

Result<Position> identify(const std::string& conninfo, Micros timeout) {
  OpenOptions options;
  options.connect_timeout = timeout;
  options.empty_search_path = false;  // a gate passes what subscriptions say, and nothing here looks a name up
  auto source = TRY(Connection::open(conninfo + " replication=database", options));
  const auto rows = TRY(Sql(source).simple("IDENTIFY_SYSTEM", monotonic_now() + timeout));
  if (rows.size() != 1 || rows[0].size() < 3) return fail(Kind::corrupt, "the link's source did not identify itself");
  return position_of(rows[0]);
}

Result<Position> own_position(const Sql& sql) {
  // A commit of ours flushes the log past everything that other sessions committed without waiting for the disk.
  CHECK_OK(sql.query("SELECT pg_catalog.pg_logical_emit_message(true, 'domicile', '')"));
  auto position = TRY(identity_of(sql));
  position.lsn = authority::lsn_of(TRY(sql.value("SELECT pg_catalog.pg_current_wal_flush_lsn()::text"))).value_or(0);
  return position;
}

Result<bool> reached(const Position& a, const Position& b) {
  if (!a.comparable_with(b))
    return fail(Kind::corrupt,
                fmt::format("positions of different histories: system {} timeline {}, system {} timeline {}",
                            a.system_id, a.timeline, b.system_id, b.timeline),
                "the copy needs resync");
  return a.lsn >= b.lsn;
}

Result<Position> applied_position(const Sql& sql, const LinkSpec& link) {
  const auto journal = TRY(read_link_journal(sql, link.name, false));
  if (!journal) return fail(Kind::unavailable, "no first rows are journaled for link " + link.name);
  const auto function =
      TRY(sql.query("SELECT 1 WHERE pg_catalog.to_regprocedure('domicile.subscription_position(text)') IS NOT NULL"));
  const std::string progress = function.empty() ? "pg_catalog.pg_replication_origin_progress('pg_' || s.oid, true)"
                                                : "domicile.subscription_position($1)";
  const auto rows = TRY(sql.query(
      "SELECT " + progress + "::text FROM pg_catalog.pg_subscription s WHERE s.subname = $1::text", {link.name}));
  Position position = journal->position;
  if (rows.empty()) {
    // Stopped and dropped: the journal is all that is left of it.
    if (journal->state == "stopped" || journal->state == "copied" || journal->state == "resync") return position;
    return fail(Kind::unavailable, "there is no subscription of link " + link.name);
  }
  if (rows[0][0]) position.lsn = std::max(position.lsn, authority::lsn_of(*rows[0][0]).value_or(0));
  return position;
}

Result<bool> wait_applied(const Sql& sql, const LinkSpec& link, const Position& position, Micros timeout) {
  const Micros until = monotonic_now() + timeout;
  while (!TRY(reached(TRY(applied_position(sql, link)), position))) {
    if (monotonic_now() >= until) return false;
    ::poll(nullptr, 0, 5);
  }
  return true;
}

Result<std::int64_t> open_transactions(const Sql& sql) {
  const auto function =
      TRY(sql.query("SELECT 1 WHERE pg_catalog.to_regprocedure('domicile.open_transactions()') IS NOT NULL"));
  return std::stoll(TRY(
      sql.value(!function.empty() ? "SELECT domicile.open_transactions()::text"
                                  : "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL "
                                    "AND pid <> pg_catalog.pg_backend_pid()")));
}

}  // namespace domicile::postgres::links
