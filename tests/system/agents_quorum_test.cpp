// What real agents make of a quorum that came back from a backup, and of none at all.
#include <gtest/gtest.h>

#include "support/agents_fixture.hpp"

namespace domicile::test {
namespace {

TEST(AgentsQuorum, AnOlderBackupIsDistrustedUntilItIsAdoptedAndWithoutAnyQuorumLeasesEnd) {
  Regions regions;
  ASSERT_EQ(regions.write(kUs, "us"), "");
  const fs::path backup = regions.etcd().directory() / "backup.db";
  regions.etcd().save(backup);
  ASSERT_TRUE(regions.order_switch("us", kEu));
  ASSERT_TRUE(regions.serves("us", kEu, 2)) << regions.told();
  ASSERT_TRUE(regions.settled()) << regions.told();
  ASSERT_EQ(regions.write(kEu, "us"), "");
  EXPECT_EQ(regions.cli({"status", "--agent", regions.socket(kEu).string()}).exit_code, 0) << regions.told();

  // The quorum now says that us-east-1 owns `us` at epoch 1. Every disk knows epoch 2.
  regions.etcd().restore(backup);
  for (const auto& region : Regions::all())
    ASSERT_TRUE(eventually([&] { return regions.status(region, "us").value("distrusted", "") != ""; }, 20 * kSecond,
                           50 * kMillisecond))
        << region << regions.told();
  ASSERT_TRUE(regions.lease_ended(kEu, "us")) << "renewed from a distrusted quorum";
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{});
  const auto now = regions.beats(kUs);
  ASSERT_TRUE(eventually([&] { return regions.beats(kUs) >= now + 6; }));
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{});
  EXPECT_EQ(regions.record("us").epoch, 1);
  const auto status = regions.cli({"status", "--agent", regions.socket(kEu).string()});
  EXPECT_EQ(status.exit_code, 5) << status.out;
  EXPECT_NE(status.out.find("distrusted"), std::string::npos) << status.out;
  EXPECT_FALSE(regions.post(kUs, "/v1/switch", {{"residency", "us"}, {"to", kEu}, {"reason", "a story"}}));

  const auto adopted = regions.cli(
      {"quorum", "adopt", "--reason", "etcd came back from a backup", "--agent", regions.socket(kWest).string()});
  ASSERT_EQ(adopted.exit_code, 0) << adopted.out << adopted.err;
  ASSERT_TRUE(regions.serves("us", kEu, 3)) << regions.told();
  EXPECT_EQ(regions.record("us").cause, authority::Cause::adopted);
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kEu});
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});
  ASSERT_TRUE(regions.serves("eu", kEu)) << regions.told();
  ASSERT_TRUE(regions.serves("directory", kUs)) << regions.told();

  // All agents and all of etcd at once. The database serves for as long as its lease lasts, and no longer.
  for (const auto& region : Regions::all()) regions.kill_agent(region);
  for (const auto& region : Regions::all()) regions.etcd().kill(region);
  ASSERT_TRUE(regions.guard(kEu, "us").lease_runs);
  EXPECT_EQ(regions.write(kEu, "us"), "");
  EXPECT_EQ(regions.write(kEu, "eu"), "");
  for (const char* residency : {"us", "eu"}) {
    EXPECT_TRUE(eventually([&] { return regions.write(kEu, residency) == "DM001"; }, kExpiry + 2 * kSecond));
    EXPECT_EQ(regions.writable(residency), std::vector<std::string>{});
  }
  // And it comes back by itself when they do.
  for (const auto& region : Regions::all()) regions.etcd().start(region);
  regions.etcd().await_healthy();
  for (const auto& region : Regions::all()) regions.start_agent(region);
  ASSERT_TRUE(regions.serves("us", kEu, 3)) << regions.told();
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kEu});
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});
}

// `us` was at eu-central-1 since the backup was made, and that region is lost, too: a person names another owner.
TEST(AgentsQuorum, AnOwnerIsNamedForAResidencyWhoseLastOwnerIsLost) {
  Regions regions;
  const auto adopt = [&](const std::string& owner) {
    return regions.cli({"quorum", "adopt", "--reason", "eu-central-1 is lost", "--residency", "us", "--owner", owner,
                        "--agent", regions.socket(kUs).string()});
  };
  const auto healthy = adopt(kWest);
  EXPECT_NE(healthy.exit_code, 0) << healthy.out;
  EXPECT_NE(healthy.err.find("not behind"), std::string::npos) << healthy.err;
  EXPECT_EQ(regions.record("us").epoch, 1) << "a healthy quorum was moved";

  const fs::path backup = regions.etcd().directory() / "backup.db";
  regions.etcd().save(backup);
  ASSERT_TRUE(regions.order_switch("us", kEu));
  ASSERT_TRUE(regions.serves("us", kEu, 2)) << regions.told();
  ASSERT_TRUE(regions.settled()) << regions.told();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(regions.write(kEu, "us"), "");
  ASSERT_TRUE(eventually([&] { return regions.missing(kWest, "us").empty(); })) << regions.told();
  regions.kill_agent(kEu);
  regions.kill_database(kEu);
  regions.etcd().restore(backup);
  for (const auto& region : {kUs, kWest})
    ASSERT_TRUE(eventually([&] { return regions.status(region, "us").value("distrusted", "") != ""; }, 20 * kSecond,
                           50 * kMillisecond))
        << region << regions.told();

  const auto adopted = adopt(kWest);
  ASSERT_EQ(adopted.exit_code, 0) << adopted.out << adopted.err;
  ASSERT_TRUE(regions.serves("us", kWest, 3)) << regions.told();
  EXPECT_EQ(regions.record("us").cause, authority::Cause::adopted);
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kWest});
  EXPECT_EQ(regions.missing(kWest, "us"), std::vector<std::int64_t>{});
  // Nobody knows what the lost owner had: the other copy is no target for anything until it was compared.
  EXPECT_TRUE(eventually([&] { return regions.copy_state(kUs, "us") == "following"; })) << regions.told();
  EXPECT_TRUE(eventually([&] { return regions.rows(kUs, "us") == regions.rows(kWest, "us"); })) << regions.told();
}

// A newer version ran here and was taken back: what it left as this region's beat is of a form that nobody here reads.
TEST(AgentsQuorum, ABeatThatCannotBeReadIsReplacedByItsOwnRegion) {
  Regions regions({.copies = false});
  etcd::Client client(regions.etcd().access("root"));
  const std::string key = "domicile/beat/" + kWest;
  const auto before = regions.beats(kWest);
  ASSERT_TRUE(client.commit({.puts = {{key, "{\"boot\":7}"}}}));
  EXPECT_TRUE(eventually([&] { return regions.beats(kWest) > before + 4; })) << regions.told();
}

}  // namespace
}  // namespace domicile::test
