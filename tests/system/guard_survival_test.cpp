// What the guard outlives: crashes, damaged state, stopped processes, clocks that jump, and rows that come from
// elsewhere.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "base/file.hpp"
#include "support/guard_site.hpp"

namespace domicile::test {
namespace {

const char* const kInsert = "INSERT INTO app.orders (residency, tenant_id) VALUES ('us', 't-us')";

std::string try_insert(GuardSite& site) {
  auto db = site.cluster.connect("app");
  return code(db, kInsert);
}

std::string end_of(GuardSite& site, const std::string& residency) {
  return site.scalar("SELECT epoch || ' ' || end_us FROM domicile.guard_state() WHERE residency = '" + residency + "'");
}

std::string set_again(GuardSite& site, const std::string& residency, std::int64_t epoch) {
  auto db = site.cluster.connect("agent");
  return code(db, "SELECT domicile.lease_set('" + residency + "', " + std::to_string(epoch) +
                      ", c.now_us + 60000000, c.clock_id) FROM domicile.clock() c");
}

class GuardSurvives : public testing::TestWithParam<GuardForm> {
 protected:
  static bool c() { return GetParam() == GuardForm::c; }
};

TEST_P(GuardSurvives, KillMinusNine) {
  GuardSite site(GetParam());
  site.open("us");
  site.open("eu");
  const auto gone_epoch = site.open("eu");
  ASSERT_TRUE(site.fence("eu").fenced);
  const auto end = end_of(site, "us");
  auto writer = site.cluster.connect("app");
  must(writer.exec("BEGIN"));
  must(writer.exec(kInsert));
  site.cluster.kill();
  site.cluster.start();
  EXPECT_EQ(site.state("us"), "open");
  EXPECT_EQ(end_of(site, "us"), end) << "the lease has its remaining time, no more";
  EXPECT_EQ(site.state("eu"), "fenced");
  EXPECT_EQ(try_insert(site), "");
  EXPECT_EQ(set_again(site, "eu", gone_epoch), "DM007");
  EXPECT_EQ(set_again(site, "eu", gone_epoch - 1), "DM007");
  EXPECT_EQ(site.scalar("SELECT pg_catalog.count(*) FROM app.orders"), "1") << "nothing of the killed writer";
  EXPECT_TRUE(site.fence("us").fenced);
}

struct WallClock {
  WallClock() {
    chmod(dir.path().c_str(), 0755);
    fs::copy_file(DOMICILE_WALL_CLOCK, dir.path() / "wall_clock.so");
    shift(0);
  }
  // In place: the server has the file mapped.
  void shift(Micros us) {
    char bytes[sizeof us];
    std::memcpy(bytes, &us, sizeof us);
    const auto path = (dir.path() / "shift").string();
    Fd fd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    EXPECT_EQ(pwrite(fd.get(), bytes, sizeof bytes, 0), static_cast<ssize_t>(sizeof bytes));
  }
  PostgresOptions options() const {
    PostgresOptions out;
    out.environment = {{"LD_PRELOAD", (dir.path() / "wall_clock.so").string()},
                       {"WALL_CLOCK_SHIFT", (dir.path() / "shift").string()}};
    return out;
  }
  TempDir dir;
};

TEST_P(GuardSurvives, AWallClockThatIsSetElsewhere) {
  WallClock wall;
  GuardSite site(GetParam(), wall.options());
  const auto hour = 3600 * kSecond;
  const auto before = site.scalar("SELECT wall_us FROM domicile.clock()");
  wall.shift(hour);
  ASSERT_EQ(site.scalar("SELECT wall_us - " + before + " > 3000000000 FROM domicile.clock()"), "t")
      << "the shift works";
  wall.shift(0);

  site.open("us");  // ten minutes
  const struct {
    Micros shift;
    const char* portable;
  } steps[] = {{2 * kSecond, ""}, {-2 * kSecond, "DM001"}, {hour, "DM001"}, {-hour, "DM001"}, {0, ""}};
  for (const auto& step : steps) {
    if (step.shift < 0) site.open("us");  // set a moment ago, so that two seconds back lie before it
    wall.shift(step.shift);
    EXPECT_EQ(try_insert(site), c() ? "" : step.portable) << step.shift;
    wall.shift(0);
  }

  site.open("us", kSecond);
  site.outlive("us");
  EXPECT_EQ(try_insert(site), "DM001");
  for (const Micros shift : {-hour, hour}) {
    wall.shift(shift);
    EXPECT_EQ(try_insert(site), "DM001") << "an ended lease stays ended at " << shift;
  }
  wall.shift(0);
  // To half a second after the lease was set: the portable form's stated limit, and nothing to the C form.
  const auto late = site.scalar(
      "SELECT c.wall_us - (g.end_us - 500000) FROM domicile.clock() c, domicile.guard_state() g WHERE residency = "
      "'us'");
  if (!c()) wall.shift(-std::stoll(late));
  if (c()) wall.shift(-kSecond);
  EXPECT_EQ(try_insert(site), c() ? "DM001" : "");
}

TEST_P(GuardSurvives, RowsFromElsewhereArriveWhereNothingIsOwnedAndStopWhereItIs) {
  PostgresOptions logical{.settings = {"wal_level=logical", "wal_retrieve_retry_interval=100ms"}};
  GuardSite a(GetParam(), logical), b(GetParam(), logical);
  a.open("us"), b.open("eu");
  b.epochs["directory"] = 7;
  must(b.cluster.connect().exec("SELECT domicile.lease_close('directory', 7)"));
  for (const auto* table : {"app.orders", "domicile.tenant"})
    for (auto* site : {&a, &b}) must(site->cluster.connect().exec(std::string("GRANT ALL ON ") + table + " TO admin"));
  must(a.cluster.connect().exec("CREATE PUBLICATION p FOR TABLE app.orders WHERE (residency = 'us'), domicile.tenant"));
  must(b.cluster.connect().exec("CREATE PUBLICATION p FOR TABLE app.orders WHERE (residency = 'eu')"));
  const auto follow = [](GuardSite& to, GuardSite& from, const std::string& name) {
    must(to.cluster.connect().exec("CREATE SUBSCRIPTION " + name + " CONNECTION '" + from.cluster.conninfo() +
                                   "' PUBLICATION p WITH (copy_data = false, disable_on_error = true)"));
  };
  follow(b, a, "from_a"), follow(a, b, "from_b");
  const auto count = [](GuardSite& site, const std::string& where) {
    return site.scalar("SELECT pg_catalog.count(*) FROM app.orders WHERE " + where);
  };

  auto at_a = a.cluster.connect("app"), at_b = b.cluster.connect("app");
  EXPECT_EQ(code(at_a, "INSERT INTO app.orders (residency, id, tenant_id) VALUES ('us', 70001, 't-us')"), "");
  EXPECT_EQ(code(at_b, "INSERT INTO app.orders (residency, id, tenant_id) VALUES ('eu', 70001, 't-eu')"), "");
  EXPECT_TRUE(eventually([&] { return count(b, "residency = 'us'") == "1"; })) << b.cluster.log();
  EXPECT_TRUE(eventually([&] { return count(a, "residency = 'eu'") == "1"; })) << a.cluster.log();
  EXPECT_EQ(code(at_a, "UPDATE app.orders SET note = 'n' WHERE id = 70001 AND residency = 'us'"), "");
  EXPECT_TRUE(eventually([&] { return count(b, "note = 'n'") == "1"; }));
  EXPECT_EQ(code(at_b, "UPDATE app.orders SET note = 'mine' WHERE residency = 'us'"), "DM001") << "a copy is read only";

  // The session at B has seen its tenant; a change that arrives through the link counts for its next row.
  must(a.cluster.connect().exec("UPDATE domicile.tenant SET tombstone = true WHERE tenant_id = 't-eu'"));
  EXPECT_TRUE(
      eventually([&] { return b.scalar("SELECT tombstone FROM domicile.tenant WHERE tenant_id = 't-eu'") == "t"; }));
  EXPECT_EQ(code(at_b, "INSERT INTO app.orders (residency, tenant_id) VALUES ('eu', 't-eu')"), "DM006");
  must(a.cluster.connect().exec("INSERT INTO domicile.tenant VALUES ('t-eu9', 'eu')"));
  EXPECT_TRUE(eventually(
      [&] { return b.scalar("SELECT pg_catalog.count(*) FROM domicile.tenant WHERE tenant_id = 't-eu9'") == "1"; }));
  EXPECT_EQ(code(at_b, "INSERT INTO app.orders (residency, tenant_id) VALUES ('eu', 't-eu9')"), "");

  b.open("us");  // B takes the residency over: what A still sends must not arrive
  EXPECT_EQ(code(at_a, "INSERT INTO app.orders (residency, id, tenant_id) VALUES ('us', 70002, 't-us')"), "");
  EXPECT_TRUE(eventually([&] {
    return b.scalar("SELECT subenabled FROM pg_catalog.pg_subscription WHERE subname = 'from_a'") == "f";
  })) << b.cluster.log();
  EXPECT_EQ(count(b, "id = 70002"), "0");
  EXPECT_NE(b.cluster.log().find("rows from elsewhere for a residency that this site owns"), std::string::npos);
  for (auto* site : {&a, &b}) {
    const auto* name = site == &a ? "from_b" : "from_a";
    auto db = site->cluster.connect();
    (void)db.exec(std::string("ALTER SUBSCRIPTION ") + name + " DISABLE");
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, GuardSurvives, testing::Values(GuardForm::c, GuardForm::portable),
                         [](const auto& info) { return info.param == GuardForm::c ? "C" : "Portable"; });

// Of a session that stops itself before its commit.
bool stands_still(const Connection& db) {
  return eventually([&] {
    const auto stat = read_file("/proc/" + std::to_string(db.backend_pid()) + "/stat").value_or("");
    return stat.find(") T ") != std::string::npos;
  });
}

// What one region opens twice in a row nobody else has written in between.
TEST(GuardC, ACommitThatEndsInItsOwnersNextEpochIsAcknowledgedAndInALaterOneNot) {
  for (const int later : {1, 2}) {
    GuardSite site(GuardForm::c);
    site.open("us");
    auto db = site.cluster.connect();
    must(db.exec("SET domicile_guard.test_stop = 'pre_commit'"));
    std::string answer = "?";
    std::jthread client([&] { answer = code(db, kInsert); });
    const bool stood = stands_still(db);
    for (int epoch = 0; epoch < later; ++epoch) site.open("us");
    ::kill(db.backend_pid(), SIGCONT);
    client.join();
    ASSERT_TRUE(stood);
    EXPECT_EQ(answer, later == 1 ? "" : "lost");
  }
}

TEST(GuardC, ACommitThatWasStoppedPastItsLeaseIsNeverAcknowledged) {
  GuardSite site(GuardForm::c);
  site.open("us", 2 * kSecond);
  auto db = site.cluster.connect();
  must(db.exec("SET domicile_guard.test_stop = 'pre_commit'"));
  std::string answer = "?";
  std::jthread client([&] { answer = code(db, kInsert); });
  const bool stood = stands_still(db);
  site.outlive("us");
  const auto fence = site.fence("us", 100);
  ::kill(db.backend_pid(), SIGCONT);
  client.join();
  ASSERT_TRUE(stood);
  EXPECT_FALSE(fence.fenced) << "the fence saw that somebody still holds";
  EXPECT_EQ(answer, "lost");
  EXPECT_TRUE(eventually([&] { return site.scalar("SELECT pg_catalog.count(*) FROM app.orders") == "1"; }));
  EXPECT_NE(site.cluster.log().find("late commit of residency \"us\""), std::string::npos) << site.cluster.log();
}

TEST(GuardC, ADamagedStateFileOpensNothing) {
  GuardSite site(GuardForm::c);
  site.open("us");
  const auto file = site.cluster.data() / "domicile_guard.state";
  const auto good = must(read_file(file));
  auto flipped = good;
  flipped[flipped.find("us ") + 5] ^= 1;
  const std::pair<const char*, std::string> damages[] = {
      {"cut", good.substr(0, good.size() / 2)}, {"empty", ""}, {"a bit", flipped}, {"noise", std::string(500, '\x07')}};
  for (const auto& [name, content] : damages) {
    site.cluster.stop();
    must(write_file(file, content));
    if (geteuid() == 0) chmod(file.c_str(), 0644);
    site.cluster.start();
    EXPECT_EQ(try_insert(site), "DM001") << name;
    EXPECT_EQ(set_again(site, "us", 99), "DM007") << name;
  }
  EXPECT_NE(site.cluster.log().find("is damaged: no lease opens here"), std::string::npos);
  site.cluster.stop();
  must(write_file(file, good));
  site.cluster.start();
  EXPECT_EQ(try_insert(site), "");
}

TEST(GuardC, ACopyOfTheDataDirectoryCarriesNoLeaseButEveryFence) {
  GuardSite site(GuardForm::c);
  site.open("us"), site.open("eu");
  ASSERT_TRUE(site.fence("eu").fenced);
  site.cluster.stop();
  const auto data = site.cluster.data().string();
  fs::rename(data, data + ".original");
  ASSERT_EQ(must(run({{"cp", "-a", data + ".original", data}}, 60 * kSecond)).exit_code, 0);
  site.cluster.start();
  EXPECT_EQ(site.state("us"), "closed");
  EXPECT_EQ(site.state("eu"), "fenced");
  EXPECT_EQ(try_insert(site), "DM001");
}

TEST(GuardC, TheLeaseIsTimedOnTheDatabasesOwnBootClock) {
  const int offset_s = 1'000'000;
  const auto probe = run({{"unshare", "-T", "--boottime", "1", "--fork", "true"}}, 10 * kSecond);
  if (geteuid() != 0 || !probe || probe->exit_code != 0) GTEST_SKIP() << "no time namespaces here";
  PostgresOptions elsewhere;
  elsewhere.boot_clock_offset_s = offset_s;
  GuardSite site(GuardForm::c, elsewhere);
  timespec here{};
  clock_gettime(CLOCK_BOOTTIME, &here);
  const auto theirs = std::stoll(site.scalar("SELECT now_us FROM domicile.clock()"));
  ASSERT_NEAR(static_cast<double>(theirs) / 1e6, static_cast<double>(here.tv_sec + offset_s), 30);
  site.open("us", 2 * kSecond);
  EXPECT_EQ(try_insert(site), "");
  site.outlive("us");
  EXPECT_EQ(try_insert(site), "DM001");
  auto agent = site.cluster.connect("agent");
  const auto mine = (static_cast<Micros>(here.tv_sec) + 60) * kSecond;
  EXPECT_EQ(code(agent, "SELECT domicile.lease_set('us', " + std::to_string(++site.epochs["us"]) + ", " +
                            std::to_string(mine) + ", 'the agent''s boot')"),
            "DM007");
  EXPECT_EQ(try_insert(site), "DM001") << "the agent's own clock opens nothing here";
}

TEST(GuardPortable, OpensNothingWherePreparedTransactionsArePossible) {
  PostgresOptions prepared{.settings = {"max_prepared_transactions=5"}};
  try {
    GuardSite site(GuardForm::portable, prepared);
    FAIL() << "a lease was opened";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("prepared transactions"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace domicile::test
