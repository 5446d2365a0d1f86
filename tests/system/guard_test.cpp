// What the guard refuses, whom it stops and what it lets pass, in both forms, on a real PostgreSQL.
#include <libpq-fe.h>

#include <set>
#include <sstream>
#include <thread>

#include "support/guard_site.hpp"

namespace domicile::test {
namespace {

const char* const kInsert = "INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 't-us')";

class Guard : public testing::TestWithParam<GuardForm> {
 protected:
  static GuardSite& site() { return *sites_[GetParam()]; }
  void SetUp() override {
    if (!sites_[GetParam()]) sites_[GetParam()] = std::make_unique<GuardSite>(GetParam());
    site().open("us");
  }
  static void TearDownTestSuite() { sites_.clear(); }
  static bool c() { return GetParam() == GuardForm::c; }
  Connection as(const std::string& user) { return site().cluster.connect(user); }
  void admin(const std::string& sql) { must(as("admin").exec(sql)); }

 private:
  inline static std::map<GuardForm, std::unique_ptr<GuardSite>> sites_;
};

TEST_P(Guard, EveryWayToWriteNeedsTheLease) {
  const struct {
    const char *name, *sql;
  } ways[] = {
      {"insert", kInsert},
      {"update", "UPDATE app.orders SET note = 'x' WHERE residency = 'us' AND id = 900001"},
      {"delete", "BEGIN; DELETE FROM app.orders WHERE residency = 'us' AND id = 900001; ROLLBACK"},
      {"on conflict do update",
       "INSERT INTO app.orders (residency, id, tenant_id) VALUES ('us', 900001, 't-us') "
       "ON CONFLICT (residency, id) DO UPDATE SET note = 'y'"},
      {"merge update",
       "MERGE INTO app.orders o USING (SELECT 'us' AS r, 900001::bigint AS i) n ON o.residency = n.r AND o.id = n.i "
       "WHEN MATCHED THEN UPDATE SET note = 'z'"},
      {"merge insert",
       "MERGE INTO app.orders o USING (SELECT -1::bigint AS i) n ON o.id = n.i "
       "WHEN NOT MATCHED THEN INSERT (residency, tenant_id) VALUES ('us', 't-us')"},
      {"merge delete",
       "BEGIN; MERGE INTO app.orders o USING (SELECT 900001::bigint AS i) n ON o.id = n.i "
       "WHEN MATCHED THEN DELETE; ROLLBACK"},
      {"data-modifying CTE",
       "WITH w AS (INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 't-us') RETURNING id) SELECT FROM w"},
      {"insert … select",
       "INSERT INTO app.orders (residency, tenant_id) SELECT 'us', 't-us' FROM "
       "pg_catalog.generate_series(1, 3)"},
      {"view", "INSERT INTO app.view_of_orders (residency, tenant_id) VALUES ('us', 't-us')"},
      {"foreign key cascade", "BEGIN; DELETE FROM app.carts WHERE id = 1; ROLLBACK"},
      {"deferred trigger at commit",
       "BEGIN; DELETE FROM app.carts WHERE id = 7; INSERT INTO app.carts VALUES (7, 't-us'); COMMIT"},
      {"partitioned table", "BEGIN; INSERT INTO app.events VALUES ('us', 1, 't-us'); ROLLBACK"},
      {"leaf", "BEGIN; INSERT INTO app.events_low VALUES ('us', 1, 't-us'); ROLLBACK"},
      {"DO block", "DO $$BEGIN INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 't-us'); END$$"},
  };
  admin("INSERT INTO app.carts VALUES (1, NULL) ON CONFLICT DO NOTHING");
  admin(
      "INSERT INTO app.orders (residency, id, tenant_id, cart) VALUES ('us', 900001, 't-us', 1) ON CONFLICT DO "
      "NOTHING");
  for (const auto* user : {"app", "table_owner", "admin"}) {
    auto db = as(user);
    for (const auto& way : ways) EXPECT_EQ(code(db, way.sql), "") << user << ": " << way.name;
  }
  ASSERT_TRUE(site().fence("us").fenced);
  const auto before = site().scalar("SELECT pg_catalog.count(*) FROM app.orders");
  for (const auto* user : {"app", "table_owner", "admin"}) {
    auto db = as(user);
    for (const auto& way : ways) EXPECT_EQ(code(db, way.sql), "DM001") << user << ": " << way.name;
    must(db.begin_copy_in("COPY app.orders (residency, tenant_id) FROM STDIN"));
    must(db.put_copy("us\tt-us\n"));
    const auto copied = db.end_copy_in();
    ASSERT_FALSE(copied);
    EXPECT_EQ(postgres::sqlstate_of(copied.error()), "DM001");
  }
  EXPECT_EQ(site().scalar("SELECT pg_catalog.count(*) FROM app.orders"), before);
  auto db = as("app");
  EXPECT_EQ(code(db,
                 "INSERT INTO app.orders (residency, id, tenant_id) VALUES ('us', 900001, 't-us') "
                 "ON CONFLICT DO NOTHING"),
            "")
      << "nothing is written";
  EXPECT_EQ(code(db, "BEGIN; SELECT FROM app.orders FOR UPDATE; ROLLBACK"), "") << "nothing is written";
}

TEST_P(Guard, RefusesWhatNoLeaseCovers) {
  admin("INSERT INTO app.orders (residency, id, tenant_id) VALUES ('us', 900002, 't-us') ON CONFLICT DO NOTHING");
  const struct {
    const char *name, *sql, *want;
  } cases[] = {
      {"residency never owned", "INSERT INTO app.orders (residency, tenant_id) VALUES ('eu', 't-eu')", "DM001"},
      {"residency nobody knows", "INSERT INTO app.orders (residency, tenant_id) VALUES ('xx', 't-us')", "DM001"},
      {"empty residency", "INSERT INTO app.orders (residency, tenant_id) VALUES ('', 't-us')", "DM001"},
      {"mislabelled row", "INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 't-eu')", "DM002"},
      {"unknown tenant", "INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 'nobody@example.org')", "DM002"},
      {"row given to another residency's tenant",
       "UPDATE app.orders SET tenant_id = 't-eu' WHERE residency = 'us' AND id = 900002", "DM002"},
      {"residency changed", "UPDATE app.orders SET residency = 'eu' WHERE id = 900002", "DM003"},
      {"residency changed by ON CONFLICT",
       "INSERT INTO app.orders (residency, id, tenant_id) VALUES ('us', 900002, 't-us') ON CONFLICT (residency, id) "
       "DO UPDATE SET residency = 'eu'",
       "DM003"},
      {"truncate", "TRUNCATE app.orders", "DM004"},
      {"truncate of a leaf", "TRUNCATE app.events_low", "DM004"},
      {"truncate by cascade", "TRUNCATE app.carts CASCADE", "DM004"},
      {"tenant that has moved", "INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 't-moved')", "DM006"},
  };
  for (const auto* user : {"table_owner", "admin"}) {
    auto db = as(user);
    for (const auto& each : cases) EXPECT_EQ(code(db, each.sql), each.want) << user << ": " << each.name;
    if (c()) {
      EXPECT_EQ(site().cluster.log().find("nobody@example.org"), std::string::npos);
    }
    const auto refused = db.exec(cases[4].sql);
    ASSERT_FALSE(refused);
    EXPECT_EQ(render(refused.error()).find("example.org"), std::string::npos) << "an error holds no row's value";
  }
  auto db = as("app");
  EXPECT_EQ(code(db, "UPDATE app.orders SET tenant_id = 't-us2' WHERE residency = 'us' AND id = 900002"), "");
}

TEST_P(Guard, WhatItRefusesHasAnIdThatClientAndLogSeeAndNothingElseHas) {
  site().open("us");
  auto db = as("app");
  const auto before = site().cluster.log().size();
  const auto denial = [&](const char* sql) {
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(db.raw(), sql), &PQclear);
    const char* detail = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_DETAIL);
    return detail == nullptr ? std::string() : std::string(detail);
  };
  EXPECT_EQ(denial("INSERT INTO app.orders (residency, tenant_id, note) VALUES ('us', 't-us', 'a@example.org')"), "");
  std::set<std::string> ids;
  for (int i = 0; i < 2; ++i) {
    const auto detail =
        denial("INSERT INTO app.orders (residency, tenant_id, note) VALUES ('us', 't-eu', 'a@example.org')");
    ASSERT_EQ(detail.size(), std::string("Denial q-0123456789abcdef.").size()) << detail;
    ids.insert(detail.substr(7, 18));
  }
  EXPECT_EQ(ids.size(), 2u);
  const auto log = site().cluster.log().substr(before);
  for (const auto& id : ids)
    EXPECT_NE(
        log.find("domicile: denial " + id + ": DM002, a write to \"orders\": its tenant belongs to another residency"),
        std::string::npos)
        << log;
  std::size_t lines = 0;
  for (auto at = log.find("domicile: denial"); at != log.npos; at = log.find("domicile: denial", at + 1)) ++lines;
  EXPECT_EQ(lines, 2u) << "nothing is done for what is let through";
  if (c()) {
    EXPECT_EQ(log.find("example.org"), std::string::npos) << log;
  }
}

TEST_P(Guard, RefusesAPreparedTransaction) {
  auto db = as("app");
  must(db.exec("BEGIN"));
  must(db.exec(kInsert));
  EXPECT_EQ(code(db, "PREPARE TRANSACTION 'x'"), c() ? "DM005" : "55000");  // portable: the server has them off
  EXPECT_EQ(site().scalar("SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts"), "0");
}

TEST_P(Guard, ASnapshotFromBeforeTheFenceIsNoWayRoundIt) {
  for (const auto* level : {"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"}) {
    site().open("us");
    auto old = as("app"), writer = as("app"), late = as("app");
    must(old.exec(std::string("BEGIN ISOLATION LEVEL ") + level));
    must(old.exec("SELECT pg_catalog.count(*) FROM app.orders"));
    must(writer.exec(std::string("BEGIN ISOLATION LEVEL ") + level));
    must(writer.exec(kInsert));

    Fence fence{};
    std::jthread fencing([&] { fence = site().fence("us"); });
    ASSERT_TRUE(eventually([&] { return site().fence_waits(); })) << level;
    EXPECT_EQ(code(writer, kInsert), "") << level << ": a writer in flight finishes";
    std::string late_code = "?";
    std::jthread queueing([&] { late_code = code(late, kInsert); });
    ASSERT_TRUE(eventually([&] { return site().waits_for_lock(late.backend_pid()); })) << level;
    EXPECT_EQ(code(writer, "COMMIT"), "") << level;
    const auto committed = site().scalar("SELECT pg_catalog.pg_current_wal_flush_lsn()");
    fencing.join(), queueing.join();

    EXPECT_TRUE(fence.fenced) << level;
    EXPECT_EQ(late_code, "DM001") << level << ": who queued behind the fence is refused";
    EXPECT_EQ(code(old, kInsert), "DM001") << level;
    EXPECT_EQ(site().scalar("SELECT '" + fence.lsn + "'::pg_lsn <= pg_catalog.pg_current_wal_flush_lsn()"), "t");
    EXPECT_EQ(site().scalar("SELECT '" + fence.lsn + "'::pg_lsn > '0/0'::pg_lsn"), "t") << committed;
  }
}

TEST_P(Guard, AFenceThatTimesOutNamesTheHoldersAndClosesNothing) {
  auto writer = as("app"), other = as("app");
  must(writer.exec("BEGIN"));
  must(writer.exec(kInsert));
  const auto fence = site().fence("us", 100);
  EXPECT_FALSE(fence.fenced);
  EXPECT_EQ(fence.holders, "{" + std::to_string(writer.backend_pid()) + "}");
  EXPECT_EQ(site().state("us"), "open");
  EXPECT_EQ(code(other, kInsert), "");
  must(as("admin").exec("SELECT pg_catalog.pg_terminate_backend(" + std::to_string(writer.backend_pid()) + ")"));
  EXPECT_TRUE(site().fence("us").fenced) << "a terminated writer holds nothing";
}

TEST_P(Guard, ALockGivenBackBySavepointIsTakenAgain) {
  auto db = as("app");
  must(db.exec("BEGIN; SAVEPOINT a"));
  must(db.exec(kInsert));
  must(db.exec("ROLLBACK TO a"));
  EXPECT_TRUE(site().fence("us", 2'000).fenced) << "ROLLBACK TO gave the lock back";
  EXPECT_EQ(code(db, kInsert), "DM001");

  site().open("us");
  must(db.exec("BEGIN; SAVEPOINT a; SAVEPOINT b"));
  must(db.exec(kInsert));
  must(db.exec("RELEASE b"));
  EXPECT_FALSE(site().fence("us", 100).fenced) << "RELEASE keeps it";
  must(db.exec("ROLLBACK TO a"));
  must(db.exec(kInsert));
  EXPECT_FALSE(site().fence("us", 100).fenced) << "taken again";
  EXPECT_EQ(code(db, "COMMIT"), "");
}

TEST_P(Guard, AWriterForWhomAnOlderOneWaitsPassesTheFence) {
  admin("INSERT INTO app.orders (residency, id, tenant_id) VALUES ('us', 900003, 't-us') ON CONFLICT DO NOTHING");
  auto older = as("app"), younger = as("app");
  const char* const update = "UPDATE app.orders SET note = 'd' WHERE residency = 'us' AND id = 900003";
  must(older.exec("BEGIN"));
  must(older.exec(kInsert));
  must(younger.exec("BEGIN; SELECT FROM app.orders WHERE id = 900003 FOR UPDATE"));
  Fence fence{};
  std::string younger_code = "?";
  std::jthread fencing([&] { fence = site().fence("us"); });
  ASSERT_TRUE(eventually([&] { return site().fence_waits(); }));
  std::jthread queueing([&] { younger_code = code(younger, update), younger_code += code(younger, "COMMIT"); });
  // older waits for younger's row, younger for the fence, the fence for older
  auto older_code = code(older, update);
  older_code += code(older, "COMMIT");
  queueing.join(), fencing.join();
  EXPECT_EQ(older_code, "");
  EXPECT_EQ(younger_code, "");
  EXPECT_TRUE(fence.fenced);
}

TEST_P(Guard, ALeaseThatEndsInsideATransactionStopsIt) {
  site().open("us", 400 * kMillisecond);
  auto db = as("app"), other = as("app");
  for (auto* each : {&db, &other}) must(each->exec("BEGIN")), must(each->exec(kInsert));
  site().outlive("us");
  EXPECT_EQ(code(db, kInsert), "DM001") << "the next row";
  EXPECT_EQ(code(other, "COMMIT"), c() ? "DM001" : "") << "the portable form's stated limit";
}

TEST_P(Guard, AStaleLeaseCommandIsRefused) {
  auto db = as("agent");
  const auto epoch = site().epochs["us"];
  const auto set = [&](std::int64_t at, const std::string& clock = "c.clock_id", const char* end = "600000000") {
    return code(db, "SELECT domicile.lease_set('us', " + std::to_string(at) + ", c.now_us + " + end + ", " + clock +
                        ") FROM domicile.clock() c");
  };
  EXPECT_EQ(set(epoch), "") << "the same epoch is extended";
  EXPECT_EQ(set(epoch - 1), "DM007");
  EXPECT_EQ(set(epoch, "'another clock'"), "DM007");
  const auto end = site().scalar("SELECT end_us FROM domicile.guard_state() WHERE residency = 'us'");
  EXPECT_EQ(set(epoch, "c.clock_id", "1"), "");
  EXPECT_EQ(site().scalar("SELECT end_us FROM domicile.guard_state() WHERE residency = 'us'"), end) << "never shorter";
  ASSERT_TRUE(site().fence("us").fenced);
  EXPECT_TRUE(site().fence("us").fenced) << "the same switch may repeat";
  EXPECT_THROW(site().fence("us", 100, "s2"), std::runtime_error) << "another switch may not";
  EXPECT_EQ(set(epoch), "DM007") << "a beat in the middle of a switch reopens nothing";
  const auto close = [&](std::int64_t at) {
    return code(db, "SELECT domicile.lease_close('us', " + std::to_string(at) + ")");
  };
  EXPECT_EQ(close(epoch), "");
  EXPECT_EQ(site().state("us"), "fenced") << "a close does not undo a fence";
  EXPECT_EQ(close(epoch + 5), "");
  EXPECT_EQ(site().state("us"), "closed");
  EXPECT_EQ(set(epoch + 4), "DM007") << "an observer has seen a higher epoch";
  EXPECT_EQ(close(epoch), "DM007");
  EXPECT_EQ(set(epoch + 5), "");
  site().epochs["us"] = epoch + 5;
  auto app = as("app");
  EXPECT_EQ(code(app, kInsert), "");
}

TEST_P(Guard, AnEpochThatPassesUnderAWriterStopsIt) {
  auto db = as("app");
  must(db.exec("BEGIN"));
  must(db.exec(kInsert));
  admin("SELECT domicile.lease_close('us', " + std::to_string(++site().epochs["us"]) + ")");
  site().open("us");
  const auto again = code(db, kInsert);
  if (c()) {
    EXPECT_EQ(again, "DM001") << "a new lease does not cover an older transaction";
  }
}

TEST_P(Guard, APermitIsForOneTransactionAndNeverForAnOwnedResidency) {
  const char* const insert_eu = "INSERT INTO app.orders (residency, tenant_id) VALUES ('eu', 't-eu')";
  admin("GRANT ALL ON app.orders TO agent; GRANT USAGE ON SCHEMA app TO agent");
  auto agent = as("agent"), app = as("app");
  EXPECT_EQ(code(agent, insert_eu), "DM001");
  EXPECT_EQ(code(agent, std::string("BEGIN; SELECT domicile.permit('eu', 'first rows'); ") + insert_eu + "; COMMIT"),
            "");
  EXPECT_EQ(code(agent, insert_eu), "DM001") << "over with its transaction";
  EXPECT_EQ(
      code(agent, std::string("BEGIN; SAVEPOINT a; SELECT domicile.permit('eu', 'x'); ROLLBACK TO a; ") + insert_eu),
      "DM001")
      << "or with its savepoint";
  EXPECT_EQ(code(agent,
                 "BEGIN; SELECT domicile.permit('eu', 'x'); INSERT INTO app.orders (residency, tenant_id) "
                 "VALUES ('us', 't-us'); ROLLBACK"),
            "")
      << "the lease covers this one";
  EXPECT_EQ(code(app, std::string("BEGIN; SELECT domicile.permit('eu', 'x'); ") + insert_eu), "42501");
  admin(
      "INSERT INTO domicile.tenant VALUES ('t-leaves', 'us') ON CONFLICT (tenant_id) DO UPDATE SET tombstone = false");
  admin("INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 't-leaves')");
  admin("UPDATE domicile.tenant SET tombstone = true WHERE tenant_id = 't-leaves'");
  EXPECT_EQ(code(agent, "DELETE FROM app.orders WHERE tenant_id = 't-leaves'"), "DM006");
  EXPECT_EQ(code(agent,
                 "BEGIN; SELECT domicile.permit('us', 'move'); DELETE FROM app.orders WHERE tenant_id = "
                 "'t-leaves'; COMMIT"),
            "")
      << "what a move leaves behind is removed by permit";
}

TEST_P(Guard, TheDirectoryBelongsToTheResidencyDirectoryAndCountsAtOnce) {
  auto cached = as("app");
  EXPECT_EQ(code(cached, "INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 't-new')"), "DM002");
  admin("INSERT INTO domicile.tenant VALUES ('t-new', 'us')");
  EXPECT_EQ(code(cached, "INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 't-new')"), "");
  admin("UPDATE domicile.tenant SET tombstone = true WHERE tenant_id = 't-new'");
  EXPECT_EQ(code(cached, "INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 't-new')"), "DM006");
  ASSERT_TRUE(site().fence("directory").fenced);
  auto db = as("admin");
  EXPECT_EQ(code(db, "DELETE FROM domicile.tenant WHERE tenant_id = 't-new'"), "DM001");
  EXPECT_EQ(code(db, "INSERT INTO domicile.host VALUES ('a.example', 't-us')"), "DM001");
  EXPECT_EQ(code(db, "TRUNCATE domicile.tenant CASCADE"), "DM004");
  site().open("directory");
  admin("DELETE FROM app.orders WHERE tenant_id = 'none'; DELETE FROM domicile.tenant WHERE tenant_id = 't-new'");
}

TEST_P(Guard, AnswersOfTheDirectoryAreEverySessionsAndEndWithTheTable) {
  auto one = as("app"), two = as("app");
  const auto both = [&] {
    const auto first = code(one, kInsert), second = code(two, kInsert);
    return first == second ? first : first + " and " + second;
  };
  EXPECT_EQ(both(), "");
  admin("UPDATE domicile.tenant SET residency = 'eu' WHERE tenant_id = 't-us'");
  EXPECT_EQ(both(), "DM002");
  admin("UPDATE domicile.tenant SET residency = 'us' WHERE tenant_id = 't-us'");
  EXPECT_EQ(both(), "");
  admin(
      "ALTER TABLE domicile.tenant RENAME TO tenant_before; "
      "CREATE TABLE domicile.tenant (LIKE domicile.tenant_before INCLUDING ALL)");
  EXPECT_EQ(both(), "DM002") << "remembered from the table that was there before";
  admin("DROP TABLE domicile.tenant; ALTER TABLE domicile.tenant_before RENAME TO tenant");
  EXPECT_EQ(both(), "");
}

TEST_P(Guard, ATableWhoseColumnsHaveOtherNamesNowIsClosedInEverySession) {
  auto app = as("app"), owner = as("table_owner");
  EXPECT_EQ(code(app, kInsert), "");
  must(owner.exec("ALTER TABLE app.orders RENAME tenant_id TO customer"));
  EXPECT_EQ(code(app, "INSERT INTO app.orders (residency, customer) VALUES ('us', 't-us')"), c() ? "DM002" : "42703");
  must(owner.exec("ALTER TABLE app.orders RENAME customer TO tenant_id"));
  EXPECT_EQ(code(app, kInsert), "");
}

TEST_P(Guard, NewAttachedAndInheritedTablesAreGuardedAtOnce) {
  auto owner = as("table_owner");
  must(owner.exec("CREATE TABLE app.events_high PARTITION OF app.events FOR VALUES FROM (1000) TO (2000)"));
  must(owner.exec("CREATE TABLE app.events_joined (LIKE app.events INCLUDING ALL)"));
  must(owner.exec("ALTER TABLE app.events ATTACH PARTITION app.events_joined FOR VALUES FROM (2000) TO (3000)"));
  must(owner.exec("CREATE TABLE app.orders_child () INHERITS (app.orders)"));
  EXPECT_EQ(site().scalar("SELECT pg_catalog.count(*) FROM domicile.guard_missing()"), "0");
  EXPECT_EQ(code(owner, "INSERT INTO app.events_high VALUES ('us', 1500, 't-us')"), "");
  ASSERT_TRUE(site().fence("us").fenced);
  EXPECT_EQ(code(owner, "INSERT INTO app.events_high VALUES ('us', 1501, 't-us')"), "DM001");
  EXPECT_EQ(code(owner, "INSERT INTO app.events VALUES ('us', 1501, 't-us')"), "DM001");
  EXPECT_EQ(code(owner, "INSERT INTO app.events_joined VALUES ('us', 2501, 't-us')"), "DM001");
  EXPECT_EQ(code(owner, "INSERT INTO app.orders_child (residency, id, tenant_id) VALUES ('us', 1, 't-us')"), "DM001");
  EXPECT_EQ(code(owner, "TRUNCATE app.events_high"), "DM004");
  EXPECT_EQ(code(owner, "TRUNCATE app.events_joined"), "DM004");
  must(owner.exec("DROP TABLE app.events_high, app.events_joined, app.orders_child"));
}

TEST_P(Guard, NoRoleThatWritesCanChangeBypassOrStallIt) {
  const auto epoch = std::to_string(site().epochs["us"]);
  const std::string refused[] = {
      "SELECT domicile.lease_set('us', " + epoch + ", 9000000000000000, 'x')",
      "SELECT domicile.lease_fence('us', " + epoch + ", 's', 10)",
      "SELECT domicile.lease_close('us', " + epoch + ")",
      "SELECT domicile.guard_observe(true)",
      "SELECT domicile.guard_uninstall_table('app.orders'::regclass)",
      "SELECT * FROM domicile.guard_state()",
      "SELECT domicile.guard_repair()",
      "INSERT INTO domicile.tenant VALUES ('mine', 'us')",
      "DELETE FROM domicile.guard_table",
      "LOCK TABLE domicile.tenant",
      "SET session_replication_role = replica",
      "SET domicile_guard.test_stop = 'pre_commit'",
      "ALTER SYSTEM SET shared_preload_libraries = ''",
      "ALTER EVENT TRIGGER domicile_guard_follow DISABLE",
      "DROP SCHEMA domicile CASCADE",
      "DROP FUNCTION domicile.guard_directory() CASCADE",
  };
  for (const auto* user : {"app", "table_owner"}) {
    auto db = as(user);
    for (const auto& sql : refused)
      if (c() || !sql.starts_with("SET domicile_guard")) {
        EXPECT_NE(code(db, sql), "") << user << ": " << sql;
      }
    // One key, both key spaces, and every number that the portable form could use for a residency.
    const auto stall =
        code(db, "SELECT pg_catalog.pg_advisory_lock(4476749, i) FROM pg_catalog.generate_series(1, 70) i");
    EXPECT_EQ(stall, c() ? "" : "42501") << user;
    auto writer = as("app");
    EXPECT_EQ(code(writer, kInsert), "") << "nobody is stalled";
    EXPECT_TRUE(site().fence("us", 500).fenced);
    site().open("us");
  }
  // What an owner may do to its table is put back before its next statement.
  std::vector<std::string> tampering = {
      "ALTER TABLE app.orders DISABLE TRIGGER domicile_guard_row",
      "ALTER TABLE app.orders DISABLE TRIGGER USER",
      "ALTER TABLE app.orders ENABLE REPLICA TRIGGER domicile_guard_row",
      "ALTER TABLE app.orders ENABLE TRIGGER domicile_guard_row",
      "DROP TRIGGER domicile_guard_row ON app.orders",
      "DROP TRIGGER domicile_guard_truncate ON app.orders",
      "ALTER TRIGGER domicile_guard_row ON app.orders RENAME TO harmless",
      "CREATE OR REPLACE TRIGGER domicile_guard_row AFTER INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION "
      "app.none()",
      "SET domicile.repairing = 'on'; SELECT pg_catalog.set_config('domicile.repairing', "
      "pg_catalog.pg_current_xact_id()::text, true); ALTER TABLE app.orders DISABLE TRIGGER USER",
      "ALTER TABLE app.events DISABLE TRIGGER USER",
      "ALTER TABLE ONLY app.events_low DISABLE TRIGGER USER",
  };
  if (!c()) tampering.push_back("DROP TRIGGER domicile_guard_change ON app.orders");
  auto owner = as("table_owner");
  must(
      owner.exec("CREATE OR REPLACE FUNCTION app.none() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"));
  ASSERT_TRUE(site().fence("us").fenced);
  for (const auto& sql : tampering) {
    must(owner.exec("BEGIN"));
    must(owner.exec(sql));
    EXPECT_EQ(code(owner, kInsert), "DM001") << sql;
    (void)code(owner, sql);
    EXPECT_EQ(site().scalar("SELECT pg_catalog.count(*) FROM domicile.guard_missing()"), "0") << sql;
    EXPECT_EQ(code(owner, kInsert), "DM001") << sql;
    EXPECT_EQ(code(owner, "INSERT INTO app.events_low VALUES ('us', 2, 't-us')"), "DM001") << sql;
    for (const auto* change : {"UPDATE app.orders SET residency = residency", "DELETE FROM app.orders"})
      EXPECT_EQ(code(owner, change), "DM001") << sql;
    EXPECT_EQ(code(owner, "TRUNCATE app.orders"), "DM004") << sql;
  }
  // Operators of one's own in front of PostgreSQL's.
  must(
      owner.exec("CREATE FUNCTION app.yes(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';"
                 "CREATE OPERATOR app.= (LEFTARG = text, RIGHTARG = text, FUNCTION = app.yes);"
                 "CREATE FUNCTION app.no(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT false';"
                 "CREATE OPERATOR app.>= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = app.no);"
                 "CREATE FUNCTION app.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.now()';"
                 "SET search_path = app, pg_catalog"));
  EXPECT_EQ(code(owner, kInsert), "DM001");
  site().open("us");
  EXPECT_EQ(code(owner, "INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 't-eu')"), "DM002");
  EXPECT_EQ(code(owner, "UPDATE app.orders SET residency = 'eu' WHERE note IS NULL"), "DM003");
  must(owner.exec("SET search_path = ''; DROP OPERATOR app.= (text, text); DROP OPERATOR app.>= (bigint, bigint)"));
  must(owner.exec("DROP FUNCTION app.yes, app.no, app.clock_timestamp"));
}

TEST_P(Guard, TheAgentMayCallWhatAnAgentCallsAndNothingElse) {
  auto agent = as("agent");
  for (const auto* sql :
       {"SELECT * FROM domicile.clock()", "SELECT * FROM domicile.guard_state()", "SELECT domicile.guard_form()",
        "SELECT * FROM domicile.guard_missing()", "SELECT domicile.permit('eu', 'x')",
        "SELECT domicile.lease_set('us2', 1, c.now_us + 1000000, c.clock_id) FROM domicile.clock() c",
        "SELECT fenced FROM domicile.lease_fence('us2', 1, 's', 100)", "SELECT domicile.lease_close('us2', 2)",
        "SELECT domicile.guard_repair()"})  // which only brings back what apply installed
    EXPECT_EQ(code(agent, sql), "") << sql;
  for (const auto* sql : {"SELECT domicile.guard_observe(true)", "DELETE FROM domicile.guard_table",
                          "SELECT domicile.guard_uninstall_table('app.orders')", "DELETE FROM domicile.tenant"})
    EXPECT_EQ(code(agent, sql), "42501") << sql;
}

TEST_P(Guard, ObserveModeLogsWhatItWouldRefuse) {
  ASSERT_TRUE(site().fence("us").fenced);
  admin("SELECT domicile.guard_observe(true)");
  auto db = as("app");
  const auto before = site().cluster.log().size();
  EXPECT_EQ(code(db, kInsert), "");
  EXPECT_EQ(code(db, "INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 'who@example.org')"), "");
  EXPECT_EQ(code(db, "BEGIN; TRUNCATE app.orders; ROLLBACK"), "");
  const auto log = site().cluster.log().substr(before);
  EXPECT_NE(log.find("domicile would refuse a write to \"orders\": this site does not own the residency"),
            std::string::npos)
      << log;
  EXPECT_NE(log.find("domicile would refuse a write to \"orders\": TRUNCATE"), std::string::npos) << log;
  EXPECT_EQ(log.find("example.org"), std::string::npos) << "no row's value";
  admin("SELECT domicile.guard_observe(false)");
  EXPECT_EQ(code(db, kInsert), "DM001");
}

TEST_P(Guard, InstallingTwiceChangesNothingAndUninstallingLeavesTheDatabaseAsFound) {
  const auto dump = [&] {
    const auto out = must(site().cluster.run_client({"pg_dump", "--schema-only", "found"}));
    EXPECT_EQ(out.exit_code, 0) << out.err;
    std::string text;
    std::istringstream lines(out.out);
    for (std::string line; std::getline(lines, line);)
      if (!line.starts_with("\\restrict") && !line.starts_with("\\unrestrict")) text += line + "\n";
    return text;
  };
  admin("CREATE DATABASE found");
  auto db = must(Connection::open(site().cluster.conninfo("admin", "found")));
  must(
      db.exec("CREATE SCHEMA app; CREATE TABLE app.orders (residency text, tenant_id text, id int);"
              "CREATE TABLE app.events (residency text, tenant_id text, id int) PARTITION BY RANGE (id);"
              "CREATE TABLE app.low PARTITION OF app.events FOR VALUES FROM (0) TO (9);"
              "GRANT EXECUTE ON FUNCTION pg_catalog.pg_advisory_lock(bigint) TO app"));
  const auto found = dump();
  const auto install = [&] {
    site().install(db);
    for (const auto* table : {"app.orders", "app.events"})
      must(db.exec(install_table_sql(table, "tenant_id", "residency")));
  };
  install();
  const auto once = dump();
  EXPECT_NE(once, found);
  install();
  EXPECT_EQ(dump(), once);
  must(db.exec(uninstall_table_sql("app.orders")));
  must(db.exec(uninstall_sql()));
  must(db.exec(uninstall_sql()));
  must(db.exec(drop_directory_sql()));
  EXPECT_EQ(dump(), found);
}

INSTANTIATE_TEST_SUITE_P(Forms, Guard, testing::Values(GuardForm::c, GuardForm::portable),
                         [](const auto& info) { return info.param == GuardForm::c ? "C" : "Portable"; });

}  // namespace
}  // namespace domicile::test
