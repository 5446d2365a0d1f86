// Hosts that do not do what they should, under real agents: full disks, clocks that jump, clocks that differ.
#include <gtest/gtest.h>

#include "support/agents_fixture.hpp"
#include "support/shared.hpp"

namespace domicile::test {
namespace {

constexpr Micros kPatience = 4 * kSecond;

bool beats_on(Regions& regions, const std::string& region, int count) {
  const auto now = regions.beats(region);
  return eventually([&] { return regions.beats(region) >= now + count; });
}

// The wall clock of a whole region, database and agent, is set while it owns a residency.
TEST(AgentsWallClock, AWallClockThatJumpsOpensNoSecondWriterAndKeepsNoLeaseAlive) {
  Shared shift(DOMICILE_WALL_CLOCK, "shift");
  PostgresOptions options;
  options.environment = shift.environment("WALL_CLOCK_SHIFT");
  Regions regions({.databases = {{kUs, options}}, .agent_env = {{kUs, options.environment}}});
  const auto begun = regions.record("us").epoch;
  for (const Micros by : {2 * kSecond, -2 * kSecond, 3600 * kSecond, -3600 * kSecond}) {
    shift.number(by);
    auto connection = regions.database(kUs).connect();
    const auto seen = must(connection.exec("SELECT extract(epoch FROM clock_timestamp())::bigint")).integer_or(0, 0, 0);
    ASSERT_NEAR(static_cast<double>(seen), static_cast<double>((wall_now() + by) / kSecond), 2) << "not shifted";
    ASSERT_TRUE(beats_on(regions, kUs, 4)) << regions.told();
    EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kUs}) << "shifted by " << by;
    EXPECT_EQ(regions.record("us").epoch, begun);
  }
  // One hour behind: a lease by the wall clock would last for another hour.
  regions.pause_agent(kUs);
  shift.number(-7200 * kSecond);
  EXPECT_TRUE(eventually([&] { return regions.write(kUs, "us") == "DM001"; }, kExpiry)) << regions.told();
  const auto taken = [&] { return regions.record("us").owner != kUs; };
  ASSERT_TRUE(eventually(taken)) << regions.told();
  const auto owner = regions.record("us").owner;
  ASSERT_TRUE(regions.serves("us", owner, begun + 1)) << regions.told();
  shift.number(3600 * kSecond);
  regions.resume_agent(kUs);
  ASSERT_TRUE(beats_on(regions, kUs, 4));
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{owner});
}

// The portable guard knows only the wall clock. docs/guard.md says what that costs; it must not cost more.
TEST(AgentsPortableGuard, UnderThePortableGuardAClockSetForwardRefusesAndOneSetBackLengthensTheLeaseByAsMuch) {
  Shared shift(DOMICILE_WALL_CLOCK, "shift");
  PostgresOptions options;
  options.environment = shift.environment("WALL_CLOCK_SHIFT");
  Regions regions({.databases = {{kUs, options}}, .agent_env = {{kUs, options.environment}}, .guard = "portable"});
  ASSERT_EQ(regions.writable("us"), std::vector<std::string>{kUs});
  // Beyond the lease's end, and before the moment at which it was set. No beat may set another one meanwhile, nor have
  // asked for the time: it would get the shifted one, and its lease would last for as long as the shift.
  regions.stop_at(kUs, "beat.before_send");
  ASSERT_TRUE(regions.reached(kUs, "beat.before_send"));
  regions.pause_agent(kUs);
  for (const Micros by : {3600 * kSecond, -3600 * kSecond}) {
    shift.number(by);
    EXPECT_EQ(regions.write(kUs, "us"), "DM001") << "shifted by " << by;
  }
  shift.number(0);
  regions.let_go(kUs, "beat.before_send");
  regions.resume_agent(kUs);
  ASSERT_TRUE(regions.serves("us", kUs)) << regions.told();
  const auto begun = regions.record("us").epoch;

  // Back to a moment within the lease, while nobody renews it.
  constexpr Micros kBack = 2 * kSecond;
  auto connection = regions.database(kUs).connect();
  regions.pause_agent(kUs);
  Micros end_low = 0, end_high = 0;  // the lease's end by our own clock, as if nobody touched the other one
  ASSERT_TRUE(eventually([&] {
    const Micros asked = monotonic_now();
    const auto left = must(connection.exec("SELECT g.end_us - c.now_us FROM domicile.guard_state() g, domicile.clock() "
                                           "c WHERE g.residency = 'us'"))
                          .integer_or(0, 0, 0);
    end_low = asked + left;
    end_high = monotonic_now() + left;
    return left < 600 * kMillisecond;
  }));
  ASSERT_GT(end_low, monotonic_now()) << "the machine was too slow: the lease is over already";
  shift.number(-kBack);
  Micros last_accepted = 0;
  std::set<std::int64_t> late;  // accepted by whom the quorum no longer calls the owner
  ASSERT_TRUE(eventually([&] {
    const bool other_serves =
        regions.record("us").owner != kUs && regions.record("us").mode == authority::Mode::serving;
    const auto row = regions.next_row();
    const Micros asked = monotonic_now();
    const auto done = connection.exec(Regions::insert_sql("us", row));
    if (done) last_accepted = asked;
    if (done && other_serves) late.insert(row);
    return !done && postgres::sqlstate_of(done.error()) == "DM001";
  }));
  EXPECT_GE(monotonic_now(), end_low + kBack) << "refused earlier than stated";
  EXPECT_GT(last_accepted, end_high) << "it was not lengthened at all: then say so in docs/guard.md";
  EXPECT_LT(last_accepted, end_high + kBack) << "lengthened by more than the clock was set back";

  // Two accepted for a while, and only one of them is kept.
  ASSERT_TRUE(eventually([&] { return regions.record("us").owner != kUs; })) << regions.told();
  const auto owner = regions.record("us").owner;
  ASSERT_TRUE(regions.serves("us", owner, begun + 1)) << regions.told();
  shift.number(0);
  regions.resume_agent(kUs);
  ASSERT_TRUE(eventually([&] { return regions.guard(kUs, "us").state == "closed"; })) << regions.told();
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{owner});
  const auto kept = regions.rows(owner, "us");
  for (const auto row : late) EXPECT_FALSE(kept.contains(row)) << row;
}

// A lease is an instant of the clock that checks it. The agent's own is another one where the database is on another
// host.
TEST(AgentsBootClock, AgentAndDatabaseOnHostsWithDifferentBootClocksAgreeOnTheLease) {
  if (::geteuid() != 0) GTEST_SKIP() << "a time namespace needs root";
  PostgresOptions ahead, behind;
  ahead.boot_clock_offset_s = 5000;
  behind.boot_clock_offset_s = 60;
  Regions regions({.databases = {{kUs, ahead}, {kEu, behind}}});
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kUs});
  ASSERT_TRUE(regions.order_switch("us", kEu));
  ASSERT_TRUE(regions.serves("us", kEu, 2)) << regions.told();
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kEu});
  ASSERT_TRUE(regions.settled()) << regions.told();
  // What matters: it ends, by the clock of the one that checks it.
  regions.pause_agent(kEu);
  EXPECT_TRUE(eventually([&] { return regions.write(kEu, "us") == "DM001"; }, kExpiry)) << regions.told();
  const auto taken = [&] { return regions.record("us").owner != kEu; };
  ASSERT_TRUE(eventually(taken)) << regions.told();
  const auto owner = regions.record("us").owner;
  ASSERT_TRUE(regions.serves("us", owner, 3)) << regions.told();
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{owner});
}

TEST(AgentsFullDisk, AFullDiskUnderAnAgentMakesNoClaimAndHeals) {
  Shared disk(DOMICILE_FULL_DISK, "flag");
  auto env = disk.environment("FULL_DISK");
  env["FULL_DISK_BELOW"] = "/tmp";
  Regions regions({.agent_env = {{kEu, env}}});
  const auto begun = regions.record("us").epoch;
  disk.flag(true);
  ASSERT_TRUE(regions.order_switch("us", kEu));
  // It can keep no step, so it opens nothing, and the owner takes it back.
  ASSERT_TRUE(regions.serves("us", kUs, begun + 2)) << regions.told();
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kUs});
  const Json events = regions.get(kEu, "/v1/events?count=100");
  EXPECT_NE(dump(events).find("No space left"), std::string::npos) << dump(events);
  // What it owns needs no disk to go on.
  ASSERT_TRUE(beats_on(regions, kEu, 10));
  EXPECT_EQ(regions.writable("eu"), std::vector<std::string>{kEu});
  disk.flag(false);
  ASSERT_TRUE(regions.settled()) << regions.told();
  ASSERT_TRUE(regions.order_switch("us", kEu));
  ASSERT_TRUE(regions.serves("us", kEu, begun + 3)) << regions.told();
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kEu});
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});
}

// PostgreSQL's disk is full behind a living agent: it goes on in what it has allocated, stops when its log needs a new
// file, comes up and stops again.
TEST(AgentsFullDisk, AFullDiskUnderTheDatabaseLeadsToASwitch) {
  Shared disk(DOMICILE_FULL_DISK, "flag");
  PostgresOptions options;
  options.environment = disk.environment("FULL_DISK");
  options.environment["FULL_DISK_BELOW"] = "/tmp";
  options.settings = {"wal_recycle=off"};
  Regions regions({.databases = {{kUs, options}}});
  for (int i = 0; i < 5; ++i) ASSERT_EQ(regions.write(kUs, "us"), "");
  for (const auto& standby : {kEu, kWest})
    ASSERT_TRUE(eventually([&] { return regions.missing(standby, "us").empty(); }));
  disk.flag(true);
  {
    auto connection = regions.database(kUs).connect();
    // Until no log file is left: then nothing commits any more.
    for (int i = 0; i < 8 && connection.alive(); ++i)
      (void)connection.exec("SELECT pg_logical_emit_message(false, 'fill', 'x'), pg_switch_wal()").has_value();
  }
  ASSERT_TRUE(eventually([&] { return !regions.write(kUs, "us").empty(); })) << "the disk is not full";
  const auto taken = [&] { return regions.record("us").owner != kUs && regions.record("directory").owner != kUs; };
  EXPECT_TRUE(eventually(taken, kPatience + kExpiry + 3 * kSecond)) << regions.told();
  const auto owner = regions.record("us").owner;
  ASSERT_TRUE(regions.serves("us", owner, 2)) << regions.told();
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{owner});
  EXPECT_EQ(regions.missing(owner, "us"), std::vector<std::int64_t>{});
}

// After a crash of the whole host the agent is up long before PostgreSQL has replayed its log.
TEST(AgentsHost, AnAgentThatStartsBeforeItsDatabaseWaitsForItWithPatience) {
  Regions regions;
  regions.kill_agent(kUs);
  regions.kill_database(kUs);
  const Micros begun = monotonic_now();
  regions.start_agent(kUs);
  const auto given_up = [&] {
    const auto record = regions.record("us");
    return record.epoch > 0 && (record.mode != authority::Mode::serving || record.owner != kUs);
  };
  ASSERT_TRUE(eventually(given_up, kPatience + kExpiry + 3 * kSecond, 20 * kMillisecond)) << regions.told();
  EXPECT_GE(monotonic_now() - begun, kPatience) << "given up without patience\n" << regions.told();
}

}  // namespace
}  // namespace domicile::test
