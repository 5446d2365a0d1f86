// Residencies with rpo 0, between real agents: commits wait for a standby, what was acknowledged is at whoever takes
// over by itself, and where it may not be there a person is asked.
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "support/agents_fixture.hpp"
#include "support/writers.hpp"

namespace domicile::test {
namespace {

std::string topology(const std::string& keys) {
  return fmt::format(R"(domicile: 1
lease: {{ttl: 4s, beat: 500ms, margin: 300ms, patience: 8s}}
regions:
  us-east-1:    {{jurisdiction: US}}
  eu-central-1: {{jurisdiction: EU}}
  eu-west-1:    {{jurisdiction: EU}}
residencies:
  directory: {{home: us-east-1, standby: [eu-central-1], holds: {{US: full, EU: full}}, calm: 0s}}
  us: {{home: us-east-1, holds: {{US: full, EU: full}}, rpo: 0, calm: 0s, {}}}
  eu: {{home: eu-central-1, standby: [eu-west-1], holds: {{EU: full, US: reduced}}, calm: 0s}}
data:
  app.orders:
    personal: [customer_name]
    shared: [id]
)",
                     keys);
}

bool covered(Regions& regions, const std::string& by) {
  return eventually([&] { return covered_by(regions.record("us")) == by; }, 60 * kSecond, 50 * kMillisecond);
}

std::string stuck(Regions& regions, const std::string& region) {
  const Json seen = regions.status(region, "us");
  return seen.is_object() && seen.contains("standby") ? seen["standby"].value("stuck", "") : "";
}

// Sessions whose commit waits for a standby.
std::int64_t waiting(Regions& regions, const std::string& region) {
  auto connection = regions.database(region).connect();
  return must(connection.exec("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))
      .integer_or(0, 0, 0);
}

// A write that nobody calls back. "" once it is acknowledged.
std::future<std::string> slow_write(Regions& regions, const std::string& region, std::int64_t row) {
  return std::async(std::launch::async, [&regions, region, row]() -> std::string {
    auto connection = postgres::Connection::open(regions.database(region).conninfo("app"));
    if (!connection) return "lost";
    const auto done = connection->exec(Regions::insert_sql("us", row));
    if (!done) return one_line(done.error());
    regions.acknowledged("us", row);
    return "";
  });
}

// A story that ends early must not wait for a commit that waits for ever.
struct Ending {
  Regions& regions;
  ~Ending() {
    for (const auto& region : std::vector{kUs, kEu}) regions.kill_database(region);
  }
};

bool over(const std::future<std::string>& write, Micros within) {
  return write.wait_for(std::chrono::microseconds(within)) == std::future_status::ready;
}

TEST(AgentsStandby, AnOwnerKilledUnderLoadLosesNothingThatItAcknowledged) {
  Regions regions({.topology = topology("standby: [eu-central-1, eu-west-1]")});
  ASSERT_TRUE(covered(regions, kEu)) << regions.told();
  Writers writers(regions, "us", {kLevels[0], kLevels[1], kLevels[2], kLevels[0]});
  ASSERT_TRUE(writers.until_more(200)) << regions.told();
  regions.kill_region(kUs);
  ASSERT_TRUE(regions.serves("us", kEu, 2)) << regions.told();
  EXPECT_EQ(regions.record("us").cause, authority::Cause::automatic);
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});

  // The third region follows the new owner, and writes that had to wait for it go on.
  ASSERT_TRUE(covered(regions, kWest)) << regions.told();
  ASSERT_TRUE(writers.until_more(50)) << regions.told();
  writers.stop();
  EXPECT_GT(writers.acknowledged_at(kEu), 0);

  // What the killed one had committed and nobody was told of is salvage; nothing else is.
  regions.start_region(kUs);
  ASSERT_TRUE(eventually([&] { return regions.copy_state(kUs, "us") == "following"; })) << regions.told();
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});
  EXPECT_TRUE(eventually([&] { return regions.rows(kUs, "us") == regions.rows(kEu, "us"); })) << regions.told();

  // And back by a planned switch, whose first writes wait for the region that was left.
  ASSERT_TRUE(eventually([&] { return regions.order_switch("us", kUs).has_value(); })) << regions.told();
  ASSERT_TRUE(regions.serves("us", kUs, 3)) << regions.told();
  ASSERT_TRUE(eventually([&] { return !covered_by(regions.record("us")).empty(); })) << regions.told();
  EXPECT_EQ(regions.write(kUs, "us"), "");
  EXPECT_EQ(regions.missing(kUs, "us"), std::vector<std::int64_t>{});
}

void stops_and_takes_over(const std::string& guard) {
  Regions regions({.topology = topology("standby: [eu-central-1]"), .guard = guard});
  ASSERT_TRUE(covered(regions, kEu)) << regions.told();
  EXPECT_EQ(regions.write(kUs, "us"), "");

  // The standby lives, and nothing comes to it.
  regions.gate(kUs).kill();
  const auto row = regions.next_row();
  auto write = slow_write(regions, kUs, row);
  const Ending ending{regions};
  ASSERT_TRUE(eventually([&] { return !stuck(regions, kUs).empty(); })) << regions.told();
  EXPECT_NE(stuck(regions, kUs).find(kEu), std::string::npos);
  ASSERT_TRUE(eventually([&] { return waiting(regions, kUs) == 1; })) << regions.told();
  const auto told = regions.cli({"status", "--agent", regions.socket(kUs).string()});
  EXPECT_EQ(told.exit_code, 5) << told.out << told.err;
  EXPECT_NE(told.out.find("writes of us wait: " + kEu), std::string::npos) << told.out;
  // Of another residency they do not wait, and the owner is not taken for one whose database is dead.
  const auto added = regions.cli({"tenant", "add", "us-2", "us-2.example", "--residency", "us"});
  EXPECT_EQ(added.exit_code, 0) << added.err;
  ASSERT_TRUE(regions.passes_on(kUs, 2));
  EXPECT_FALSE(over(write, 0));
  EXPECT_EQ(regions.record("us").owner, kUs);
  EXPECT_EQ(covered_by(regions.record("us")), kEu) << "what was acknowledged is there still";

  regions.gate(kUs).start();
  ASSERT_TRUE(over(write, 60 * kSecond)) << regions.told();
  EXPECT_EQ(write.get(), "");
  ASSERT_TRUE(eventually([&] { return stuck(regions, kUs).empty(); })) << regions.told();
  EXPECT_TRUE(regions.rows(kEu, "us").contains(row));

  // Whoever gives up waiting is told that nobody knows.
  regions.gate(kUs).kill();
  ASSERT_TRUE(eventually([&] { return !stuck(regions, kUs).empty(); })) << regions.told();
  EXPECT_EQ(regions.write(kUs, "us"), "lost");
  write = slow_write(regions, kUs, regions.next_row());
  ASSERT_TRUE(eventually([&] { return waiting(regions, kUs) == 1; })) << regions.told();

  // However far the standby lags by its markers: by the record it has everything that was acknowledged.
  regions.kill_region(kUs);
  ASSERT_TRUE(over(write, 10 * kSecond));
  EXPECT_NE(write.get(), "");
  ASSERT_TRUE(regions.serves("us", kEu, 2)) << regions.told();
  EXPECT_EQ(regions.record("us").cause, authority::Cause::automatic);
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});
  write = slow_write(regions, kEu, regions.next_row());
  ASSERT_TRUE(eventually([&] { return waiting(regions, kEu) == 1; })) << "nobody is left to wait for";
  EXPECT_FALSE(over(write, 0));
  // The copy of the region that comes back is made anew, for which nothing may wait for it.
  regions.start_region(kUs);
  ASSERT_TRUE(covered(regions, kUs)) << regions.told();
  ASSERT_TRUE(over(write, 10 * kSecond)) << regions.told();
  EXPECT_NE(write.get(), "") << "nobody could be told that it is done";
  EXPECT_EQ(regions.write(kEu, "us"), "");
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});
}

TEST(AgentsStandbyStops, WritesWaitForTheStandbyAndATakeoverNeedsNobody) { stops_and_takes_over("c"); }
TEST(AgentsStandbyPortable, TheSameWithThePortableGuard) { stops_and_takes_over("portable"); }

TEST(AgentsStandbyGoesOn, TheRecordSaysSoBeforeAnythingIsAcknowledgedAndATakeoverAsks) {
  Regions regions({.topology = topology("standby: [eu-central-1], without_standby: go_on")});
  ASSERT_TRUE(covered(regions, kEu)) << regions.told();
  EXPECT_EQ(regions.write(kUs, "us"), "");
  // Between the loss and the word in the record nothing is acknowledged.
  regions.stop_at(kUs, "residency.before_swap@us");
  regions.gate(kUs).kill();
  auto write = slow_write(regions, kUs, regions.next_row());
  const Ending ending{regions};
  ASSERT_TRUE(regions.reached(kUs, "residency.before_swap@us")) << regions.told();
  EXPECT_FALSE(over(write, kSecond));
  EXPECT_EQ(covered_by(regions.record("us")), kEu);
  // Taking a word back takes an epoch: until that is open the list is as it was.
  regions.stop_at(kUs, "open.swap_serving@us");
  regions.let_go(kUs, "residency.before_swap@us");
  ASSERT_TRUE(regions.reached(kUs, "open.swap_serving@us")) << regions.told();
  EXPECT_EQ(regions.record("us").epoch, 2);
  EXPECT_FALSE(over(write, kSecond));
  regions.let_go(kUs, "open.swap_serving@us");
  ASSERT_TRUE(over(write, 20 * kSecond)) << regions.told();
  EXPECT_EQ(write.get(), "") << regions.told();
  ASSERT_TRUE(regions.serves("us", kUs, 2)) << regions.told();
  EXPECT_EQ(covered_by(regions.record("us")), "");
  EXPECT_EQ(regions.write(kUs, "us"), "");
  EXPECT_FALSE(regions.missing(kEu, "us").empty());

  // Back: what it lacked comes, and then the record says so again.
  regions.gate(kUs).start();
  ASSERT_TRUE(covered(regions, kEu)) << regions.told();
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});

  regions.gate(kUs).kill();
  ASSERT_TRUE(regions.serves("us", kUs, 3)) << regions.told();
  EXPECT_EQ(covered_by(regions.record("us")), "");
  EXPECT_EQ(regions.write(kUs, "us"), "");
  regions.kill_region(kUs);
  std::string proposal;
  ASSERT_TRUE(eventually(
      [&] {
        const Json seen = regions.status(kEu, "us");
        proposal = seen.is_object() ? seen.value("proposal", "") : "";
        return !proposal.empty();
      },
      60 * kSecond))
      << regions.told();
  EXPECT_EQ(regions.record("us").owner, kUs);
  must(regions.post(kEu, "/v1/approve", {{"proposal", proposal}, {"reason", "the region is lost"}}));
  ASSERT_TRUE(regions.serves("us", kEu, 4)) << regions.told();
  EXPECT_EQ(regions.record("us").cause, authority::Cause::approved);
  EXPECT_EQ(regions.write(kEu, "us"), "") << "without a standby, as the topology says";
  EXPECT_EQ(regions.missing(kEu, "us").size(), 1u) << "that is what the person was asked about";
  regions.start_region(kUs);
  EXPECT_TRUE(covered(regions, kUs)) << regions.told();
}

}  // namespace
}  // namespace domicile::test
