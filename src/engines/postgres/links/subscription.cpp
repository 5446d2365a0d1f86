#include "engines/postgres/links/subscription.hpp"

#include <poll.h>

#include "engines/postgres/links/copy.hpp"
#include "engines/postgres/links/position.hpp"

namespace domicile::postgres::links {

namespace {

// Without a fence nobody knows whether more will come. What had left a source that is lost was here long ago, so a
// worker that waits for so long has applied all that ever arrives; a busy one has a second.
constexpr Micros kDrained = 50 * kMillisecond;

Result<bool> exists(const Sql& sql, const LinkSpec& link) {
  const auto found =
      TRY(sql.query("SELECT 1 FROM pg_catalog.pg_subscription s WHERE s.subname = $1 AND s.subdbid = "
                    "(SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())",
                    {link.name}));
  return !found.empty();
}

// Workers that are attached. One that the launcher is just starting reads the subscription first and ends by itself.
Result<std::int64_t> workers(const Sql& sql, const LinkSpec& link) {
  return std::stoll(TRY(sql.value(
      "SELECT count(*) FROM pg_catalog.pg_stat_subscription WHERE subname = $1 AND pid IS NOT NULL", {link.name})));
}

// PostgreSQL 15 wants a superuser for all of this, which an agent is not: where the schema `domicile` has a function
// for the step, it is called. A superuser's session in a database without them (repair by hand) uses the statement
// itself.
Result<void> act(const Sql& sql, const LinkSpec& link, const std::string& function, const std::string& statement) {
  const auto found = TRY(sql.query("SELECT 1 WHERE pg_catalog.to_regprocedure($1) IS NOT NULL",
                                   {fmt::format("domicile.subscription_{}(text)", function)}));
  if (found.empty())
    CHECK_OK(sql.simple(statement));
  else
    CHECK_OK(sql.query(fmt::format("SELECT domicile.subscription_{}($1)", function), {link.name}));
  return {};
}

// The workers are a superuser's sessions, which an agent may not signal itself.
Result<void> terminate_workers(const Sql& sql, const LinkSpec& link) {
  const auto function =
      TRY(sql.query("SELECT 1 WHERE pg_catalog.to_regprocedure('domicile.subscription_terminate(text)') IS NOT NULL"));
  CHECK_OK(sql.query(function.empty() ? "SELECT pg_catalog.pg_terminate_backend(pid) FROM "
                                        "pg_catalog.pg_stat_subscription WHERE subname = $1 AND pid IS NOT NULL"
                                      : "SELECT domicile.subscription_terminate($1)",
                     {link.name}));
  return {};
}

// Whether its workers only wait for more to arrive. Who may not see their sessions is told no.
Result<bool> workers_idle(const Sql& sql, const LinkSpec& link) {
  const auto function =
      TRY(sql.query("SELECT 1 WHERE pg_catalog.to_regprocedure('domicile.subscription_idle(text)') IS NOT NULL"));
  return TRY(sql.value(function.empty()
                           ? "SELECT coalesce(pg_catalog.bool_and(coalesce(a.wait_event, '') IN ('LogicalApplyMain', "
                             "'LibPQWalReceiverConnect', 'LibPQWalReceiverReceive')), false) "
                             "FROM pg_catalog.pg_stat_subscription w "
                             "JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid WHERE w.subname = $1"
                           : "SELECT domicile.subscription_idle($1)",
                       {link.name})) == "t";
}

Result<void> alter(const Sql& sql, const LinkSpec& link, const std::string& function, const std::string& what) {
  return act(sql, link, function, fmt::format("ALTER SUBSCRIPTION {} {}", sql.name(link.name), what));
}

Result<bool> has_functions(const Sql& sql) {
  const auto found = TRY(
      sql.query("SELECT 1 WHERE pg_catalog.to_regprocedure('domicile.subscription_create(text, text)') IS NOT NULL"));
  return !found.empty();
}

Result<void> create(const Sql& sql, const LinkSpec& link, const std::string& conninfo) {
  if (TRY(has_functions(sql))) {
    CHECK_OK(sql.query("SELECT domicile.subscription_create($1, $2)", {link.name, conninfo}));
    return {};
  }
  CHECK_OK(sql.simple(
      fmt::format("CREATE SUBSCRIPTION {0} CONNECTION {1} PUBLICATION {0} WITH (create_slot = false, slot_name = {2}, "
                  "copy_data = false, enabled = false, synchronous_commit = local, disable_on_error = true)",
                  sql.name(link.name), sql.literal(conninfo), sql.literal(link.name))));
  return {};
}

Result<void> set_conninfo(const Sql& sql, const LinkSpec& link, const std::string& conninfo) {
  if (TRY(has_functions(sql))) return create(sql, link, conninfo);
  CHECK_OK(sql.simple(fmt::format("ALTER SUBSCRIPTION {} CONNECTION {}", sql.name(link.name), sql.literal(conninfo))));
  return {};
}

// Where the worker is to begin: the source's slot may stand earlier than what was applied here.
Result<void> set_position(const Sql& sql, const LinkSpec& link, std::uint64_t lsn) {
  if (lsn == 0) return {};
  if (TRY(has_functions(sql)))
    CHECK_OK(sql.query("SELECT domicile.subscription_advance($1, $2::pg_lsn)", {link.name, authority::lsn_text(lsn)}));
  else
    CHECK_OK(
        sql.query("SELECT pg_catalog.pg_replication_origin_advance('pg_' || s.oid, $2::pg_lsn) "
                  "FROM pg_catalog.pg_subscription s WHERE s.subname = $1",
                  {link.name, authority::lsn_text(lsn)}));
  return {};
}

}  // namespace

Result<void> ensure_subscription(const Sql& sql, const LinkSpec& link, const std::string& conninfo) {
  if (TRY(exists(sql, link))) return set_conninfo(sql, link, conninfo);
  const auto journal = TRY(read_link_journal(sql, link.name, false));
  const auto made = in_transaction(sql, [&]() -> Result<void> {
    CHECK_OK(create(sql, link, conninfo));
    return set_position(sql, link, journal ? journal->position.lsn : 0);
  });
  if (!made) return wrap("the subscription of link " + link.name + " was not made", made.error());
  return {};
}

Result<void> enable_subscription(const Sql& sql, const LinkSpec& link) {
  if (!TRY(copy_complete(sql, link)))
    return fail(Kind::unsafe, "first rows of link " + link.name + " are not complete", "bring the first rows again");
  auto journal = TRY(read_link_journal(sql, link.name, false));
  if (!journal) return fail(Kind::unsafe, "no journal says where link " + link.name + " begins");
  if (journal->state == "resync")
    return fail(Kind::unsafe, "link " + link.name + " is in resync: " + journal->reason, "repair the copy first");
  const auto no_slot = TRY(
      sql.query("SELECT 1 FROM pg_catalog.pg_subscription WHERE subname = $1 AND subslotname IS NULL", {link.name}));
  if (!no_slot.empty()) CHECK_OK(alter(sql, link, "set_slot", "SET (slot_name = " + sql.literal(link.name) + ")"));
  journal->state = "following";
  CHECK_OK(write_link_journal(sql, link.name, false, *journal));
  return alter(sql, link, "enable", "ENABLE");
}

Result<Stopped> disable_inbound(const Sql& sql, const LinkSpec& link, bool fence_known, Micros timeout) {
  Stopped stopped;
  if (TRY(exists(sql, link))) {
    const Micros begun = monotonic_now();
    CHECK_OK(alter(sql, link, "disable", "DISABLE"));
    Micros idle_since = 0;
    while (TRY(workers(sql, link)) > 0) {
      const Micros waited = monotonic_now() - begun;
      if (waited >= timeout)
        return fail(Kind::unavailable, "the workers of link " + link.name + " did not end",
                    "the switch must not go on: they may still apply the old epoch");
      if (fence_known || !TRY(workers_idle(sql, link)))
        idle_since = 0;
      else if (idle_since == 0)
        idle_since = monotonic_now();
      const bool drained = idle_since != 0 && monotonic_now() - idle_since >= kDrained;
      if (fence_known || drained || waited >= kSecond) {
        stopped.terminated = true;
        CHECK_OK(terminate_workers(sql, link));
      }
      ::poll(nullptr, 0, 5);
    }
    stopped.workers_gone_us = monotonic_now() - begun;
  }
  auto journal = TRY(read_link_journal(sql, link.name, false));
  if (!journal) return fail(Kind::unavailable, "no first rows are journaled for link " + link.name);
  stopped.position = TRY(applied_position(sql, link));
  journal->position = stopped.position;
  // A copy that was never complete stays so: stopping it makes no copy of it.
  if (journal->state == "following") journal->state = "stopped";
  CHECK_OK(write_link_journal(sql, link.name, false, *journal));
  return stopped;
}

Result<void> drop_subscription(const Sql& sql, const LinkSpec& link) {
  if (!TRY(exists(sql, link))) return {};
  if (TRY(read_link_journal(sql, link.name, false)))
    CHECK_OK(disable_inbound(sql, link, true));
  else
    CHECK_OK(alter(sql, link, "disable", "DISABLE"));
  // With a slot name DROP would remove the slot at the source, and the salvage with it.
  CHECK_OK(alter(sql, link, "set_slot_none", "SET (slot_name = NONE)"));
  return act(sql, link, "drop", "DROP SUBSCRIPTION " + sql.name(link.name));
}

Result<void> refresh_subscription(const Sql& sql, const LinkSpec& link, const std::string& conninfo) {
  const auto journal = TRY(read_link_journal(sql, link.name, false));
  CHECK_OK(drop_subscription(sql, link));
  CHECK_OK(ensure_subscription(sql, link, conninfo));
  if (journal && journal->state == "following") return enable_subscription(sql, link);
  return {};
}

}  // namespace domicile::postgres::links
