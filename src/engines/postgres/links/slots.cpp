#include "engines/postgres/links/slots.hpp"

#include <poll.h>

#include <algorithm>

#include "core/desired/desired.hpp"
#include "engines/postgres/links/position.hpp"

namespace domicile::postgres::links {

namespace {

// States of link_journal's outbound rows: exporting, ready (a link's slot), reverse.
Result<bool> slot_exists(const Sql& sql, const std::string& name) {
  const auto rows = TRY(sql.query("SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", {name}));
  return !rows.empty();
}

Result<bool> lost_its_log(const Sql& sql, const std::string& name) {
  const auto rows = TRY(
      sql.query("SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND wal_status = 'lost'", {name}));
  return !rows.empty();
}

Result<Position> advance_to(const Sql& sql, const LinkSpec& link, const Position& position) {
  const auto rows =
      TRY(sql.query("SELECT confirmed_flush_lsn >= $2::pg_lsn FROM pg_catalog.pg_replication_slots "
                    "WHERE slot_name = $1",
                    {link.name, authority::lsn_text(position.lsn)}));
  if (rows.empty()) return fail(Kind::corrupt, "reverse slot " + link.name + " is gone", "make it again", "");
  if (rows[0][0] != "t")
    CHECK_OK(sql.query("SELECT pg_catalog.pg_replication_slot_advance($1, $2::pg_lsn)",
                       {link.name, authority::lsn_text(position.lsn)}));
  return position;
}

}  // namespace

Result<bool> ensure_reverse_slot(const std::string& conninfo, const LinkSpec& link, Micros timeout) {
  auto connection = TRY(Connection::open(conninfo));
  const Sql sql = connection;
  const auto journal = TRY(read_link_journal(sql, link.name, true));
  const bool reverse = journal && (journal->state == "reverse" || journal->state == "making");
  if (TRY(slot_exists(sql, link.name))) {
    if (!reverse || !TRY(lost_its_log(sql, link.name))) return false;
    CHECK_OK(sql.query("SELECT pg_catalog.pg_drop_replication_slot($1)", {link.name}));
  }
  if (journal && !reverse)
    return fail(Kind::corrupt, fmt::format("slot {} is gone, journaled as {}", link.name, journal->state),
                "what it held is lost to its receiver: bring that copy new first rows");
  auto position = TRY(identity_of(sql));
  CHECK_OK(write_link_journal(sql, link.name, true, {"", position, "making", ""}));
  auto walsender = TRY(Connection::open(conninfo + " replication=database"));
  const auto made = Sql(walsender).simple(
      fmt::format("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput (SNAPSHOT 'nothing')", sql.name(link.name)),
      monotonic_now() + timeout);
  if (!made)
    return wrap(fmt::format("slot {} was not made; {} transactions are open", link.name, TRY(open_transactions(sql))),
                made.error());
  position.lsn = authority::lsn_of(*made->at(0)[1]).value_or(0);
  CHECK_OK(write_link_journal(sql, link.name, true, {"", position, "reverse", ""}));
  return true;
}

Result<Position> advance_reverse_slot(const Sql& sql, const LinkSpec& link) {
  auto journal = TRY(read_link_journal(sql, link.name, true));
  if (journal && journal->state == "making" && TRY(slot_exists(sql, link.name)))
    journal->state = "reverse";  // we died between making it and saying so
  if (!journal || journal->state != "reverse")
    return fail(Kind::refused, fmt::format("slot {} is no reverse slot: {}", link.name,
                                           journal ? journal->state : "nothing is journaled about it"));
  const auto position = TRY(advance_to(sql, link, TRY(own_position(sql))));
  CHECK_OK(write_link_journal(sql, link.name, true, {"", position, "reverse", ""}));
  return position;
}

Result<Position> open_reverse_slots(const Sql& sql, const std::vector<LinkSpec>& links) {
  const auto position = TRY(own_position(sql));
  for (const auto& link : links) {
    const auto journal = TRY(read_link_journal(sql, link.name, true));
    if (journal && journal->state == "ready") continue;
    if (!journal || (journal->state != "reverse" && journal->state != "making"))
      return fail(Kind::unsafe, fmt::format("there is no reverse slot {}", link.name));
    CHECK_OK(advance_to(sql, link, position));
    CHECK_OK(write_link_journal(sql, link.name, true, {"", position, "ready", ""}));
  }
  return position;
}

Result<void> return_to_reverse(const Sql& sql, const LinkSpec& link, const Position& fence) {
  auto journal = TRY(read_link_journal(sql, link.name, true));
  if (journal && journal->state == "reverse") return {};
  const auto slot = TRY(sql.query(
      "SELECT confirmed_flush_lsn::text FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", {link.name}));
  if (slot.empty()) return fail(Kind::unsafe, fmt::format("slot {} is gone", link.name), "salvage it first");
  auto position = TRY(identity_of(sql));
  position.lsn = authority::lsn_of(slot[0][0].value_or("")).value_or(0);
  if (!TRY(reached(position, fence)))
    return fail(Kind::unsafe,
                fmt::format("slot {} stands before the fence: its receiver has not confirmed it", link.name),
                "salvage it first");
  return write_link_journal(sql, link.name, true, {"", position, "reverse", ""});
}

Result<void> abandon_receiver(const Sql& sql, const LinkSpec& link) {
  const auto journal = TRY(read_link_journal(sql, link.name, true));
  if (journal && journal->state != "ready") return {};
  return write_link_journal(sql, link.name, true, {"", TRY(identity_of(sql)), "reverse", ""});
}

Result<void> withdraw_reverse_slots(const Sql& sql, const std::vector<LinkSpec>& links) {
  for (const auto& link : links) {
    const auto journal = TRY(read_link_journal(sql, link.name, true));
    if (!journal || journal->state != "ready") continue;
    CHECK_OK(write_link_journal(sql, link.name, true, {"", journal->position, "reverse", ""}));
  }
  return {};
}

// The reason first: a slot that is gone without one would do as well, but not say why.
Result<void> give_up_slot(const Sql& sql, const LinkSpec& link, const std::string& why) {
  const auto given_up =
      TRY(sql.query("UPDATE domicile.link_journal SET reason = CASE WHEN reason = '' THEN $2 ELSE reason END, "
                    "at = pg_catalog.now() WHERE link = $1 AND side = 'out' AND state = 'ready' RETURNING 1",
                    {link.name, why}));
  if (given_up.empty()) return {};
  CHECK_OK(sql.query(
      "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
      {link.name}));
  return {};
}

Result<bool> slot_reaches_back(const Sql& sql, const LinkSpec& link, std::uint64_t position) {
  const auto rows = TRY(sql.query(
      "SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND confirmed_flush_lsn <= $2::pg_lsn",
      {link.name, authority::lsn_text(position)}));
  return !rows.empty();
}

Result<bool> stands_since_takeover(const Sql& sql, const LinkSpec& link) {
  const auto journal = TRY(read_link_journal(sql, link.name, true));
  if (!journal || journal->state != "ready" || !journal->session.empty()) return false;
  return slot_reaches_back(sql, link, journal->position.lsn);
}

std::string since_slot(const LinkSpec& link) { return desired::since_slot(link.name); }

Result<void> drop_since_slot(const Sql& sql, const LinkSpec& link) {
  CHECK_OK(sql.query(
      "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
      {since_slot(link)}));
  return {};
}

Result<void> keep_since_slot(const Sql& sql, const LinkSpec& link) {
  if (!TRY(stands_since_takeover(sql, link))) return {};
  CHECK_OK(drop_since_slot(sql, link));
  CHECK_OK(sql.query("SELECT pg_catalog.pg_copy_logical_replication_slot($1::name, $2::name)",
                     {link.name, since_slot(link)}));
  return {};
}

Result<std::vector<SlotProgress>> receivers_have(const Sql& sql, const std::vector<LinkSpec>& links,
                                                 const Position& position, Micros timeout) {
  const auto identity = TRY(identity_of(sql));
  CHECK_OK(reached(identity, position));
  const Micros begun = monotonic_now();
  std::vector<SlotProgress> progress;
  for (const auto& link : links) progress.push_back({link.name, false, false, identity, 0});
  for (;;) {
    bool all = true;
    for (auto& receiver : progress) {
      if (receiver.has) continue;
      const auto rows = TRY(sql.query(
          "SELECT active, confirmed_flush_lsn::text FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
          {receiver.link}));
      receiver.live = !rows.empty() && rows[0][0] == "t";
      receiver.confirmed.lsn = rows.empty() || !rows[0][1] ? 0 : authority::lsn_of(*rows[0][1]).value_or(0);
      receiver.has = receiver.confirmed.lsn >= position.lsn;
      receiver.waited_us = monotonic_now() - begun;
      all = all && (receiver.has || !receiver.live);
    }
    if (all || monotonic_now() - begun >= timeout) return progress;
    ::poll(nullptr, 0, 2);
  }
}

}  // namespace domicile::postgres::links
