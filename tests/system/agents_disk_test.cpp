// Regions whose disks are not what they were: put back to an older day, or gone.
#include <gtest/gtest.h>

#include "support/returned.hpp"

namespace domicile::test {
namespace {

fs::path image_of(Regions& regions, const std::string& region) { return regions.database(region).folder() / "image"; }

// What a snapshot of the volume sees.
void take_image(Regions& regions, const std::string& region) {
  regions.pause_database(region);
  const auto copied = must(domicile::run(
      {{"cp", "-a", regions.database(region).data().string(), image_of(regions, region).string()}}, kPatient));
  regions.resume_database(region);
  ASSERT_EQ(copied.exit_code, 0) << copied.err;
}

void put_image_back(Regions& regions, const std::string& region) {
  fs::remove_all(regions.database(region).data());
  fs::rename(image_of(regions, region), regions.database(region).data());
}

void tell_marker(Regions& regions, const std::string& region) {
  const auto beats = regions.beats(region);
  ASSERT_TRUE(eventually([&] { return regions.beats(region) >= beats + 3; })) << "so that its marker is told";
}

// The disk of us-east-1 is put back to the day before rows 11 and 12, while it is the owner by the record still: `us`
// moves only when a person says so. `directory` has gone to eu-central-1 by itself.
class AgentsPast : public testing::Test {
 protected:
  static std::string topology() {
    std::string out = one_standby();
    const std::string us = "us: {home: us-east-1, ", times = "ttl: 4s, beat: 500ms, margin: 300ms, patience: 4s";
    out.insert(out.find(us) + us.size(), "failover: approve, ");
    return out.replace(out.find(times), times.size(), "ttl: 8s, beat: 500ms, margin: 300ms, patience: 8s");
  }

  void SetUp() override {
    while (regions.next_row() < 1'000) {
    }
    for (int i = 1; i <= 3; ++i) ASSERT_EQ(regions.write(kUs, "us", i), "");
    take_image(regions, kUs);
    for (const int id : {11, 12}) ASSERT_EQ(regions.write(kUs, "us", id), "") << regions.told();
    ASSERT_TRUE(eventually([&] { return orders(regions, kEu) == orders(regions, kUs); })) << regions.told();
    tell_marker(regions, kUs);
    regions.kill_region(kUs);
    put_image_back(regions, kUs);
    regions.start_region(kUs);
    ASSERT_TRUE(eventually([&] { return regions.copy_state(kUs, "us") == "resync"; })) << regions.told();
    EXPECT_NE(regions.status(kUs, "us")["copy"].value("why", "").find("an older image"), std::string::npos);
    ASSERT_TRUE(eventually([&] { return regions.record("us").mode == authority::Mode::draining; })) << regions.told();
    EXPECT_EQ(regions.writable("us"), std::vector<std::string>{}) << regions.told();
  }

  void approve_at(const std::string& region) {
    ASSERT_TRUE(eventually([&] { return regions.status(region, "us").value("proposal", "") == "us-2"; }))
        << regions.told();
    EXPECT_NE(regions.copy_state(kEu, "us"), "resync") << "what it has is not measured by a disk of the past";
    must(regions.post(region, "/v1/approve", {{"proposal", "us-2"}, {"reason", "a story"}}));
    ASSERT_TRUE(regions.serves("us", region, 2)) << regions.told();
  }

  Regions regions{RegionsOptions{.topology = topology(), .drift_period = "500ms"}};
};

TEST_F(AgentsPast, AStandbyThatHasWhatWasAcknowledgedIsLetInAndTheOldDiskFollowsIt) {
  approve_at(kEu);
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{}) << "nothing that was acknowledged is lost";
  ASSERT_TRUE(back(regions, kUs)) << regions.told();
  EXPECT_TRUE(eventually([&] { return orders(regions, kUs) == orders(regions, kEu); })) << orders(regions, kUs);
  ASSERT_EQ(salvage(regions, kUs).size(), 1U) << regions.told();
  EXPECT_NE(salvage(regions, kUs)[0].value("lost", "").find("an older image"), std::string::npos)
      << salvage(regions, kUs);
}

TEST_F(AgentsPast, APersonMayGoOnWithItAndTheStandbyKeepsWhatItAloneHas) {
  approve_at(kUs);
  EXPECT_EQ(regions.record("us").cause, authority::Cause::adopted);
  EXPECT_EQ(regions.missing(kUs, "us"), (std::vector<std::int64_t>{11, 12}));
  ASSERT_TRUE(back(regions, kEu)) << regions.told();
  EXPECT_TRUE(eventually([&] { return orders(regions, kUs) == orders(regions, kEu); })) << orders(regions, kEu);
  // Nothing says whether the owner had removed them, so a person decides.
  EXPECT_EQ(verdicts(entries(regions, kEu)),
            (std::map<std::string, std::string>{{"11", "conflict"}, {"12", "conflict"}}))
      << entries(regions, kEu);
}

// It was taken over before its disk was put back to an older day: what differs there is older than the owner's rows,
// and nothing of it may be written over them.
class AgentsOldDisk : public testing::Test {
 protected:
  void SetUp() override {
    while (regions.next_row() < 1'000) {
    }
    for (int i = 1; i <= 3; ++i) ASSERT_EQ(regions.write(kUs, "us", i), "");
    take_image(regions, kUs);
    ASSERT_EQ(regions.write(kUs, "us", 11), "");
    run(regions, kUs,
        "UPDATE app.orders SET customer_name = 'newer' WHERE id = 1; DELETE FROM app.orders WHERE id = 2");
    ASSERT_TRUE(eventually([&] { return orders(regions, kEu) == orders(regions, kUs); })) << regions.told();
    tell_marker(regions, kUs);
    regions.kill_region(kUs);
    for (const char* residency : {"us", "directory"}) ASSERT_TRUE(regions.serves(residency, kEu, 2)) << regions.told();
  }
  // Its only run says what is lost, and applying all of it changes nothing at the owner.
  void expect_nothing_is_undone(const std::string& lost) {
    ASSERT_TRUE(back(regions, kUs)) << regions.told();
    const auto runs = salvage(regions, kUs);
    ASSERT_EQ(runs.size(), 1U) << regions.told();
    EXPECT_NE(runs[0].value("lost", "").find(lost), std::string::npos) << runs;
    const auto before = orders(regions, kEu);
    const auto told = must(regions.post(kUs, "/v1/salvage/decide",
                                        {{"residency", "us"}, {"epoch", 1}, {"act", "apply"}, {"reason", "test"}}));
    EXPECT_EQ(told["applied"], 0) << told << entries(regions, kUs);
    EXPECT_EQ(orders(regions, kEu), before);
    EXPECT_TRUE(eventually([&] { return orders(regions, kUs) == before; })) << orders(regions, kUs);
  }

  Regions regions{RegionsOptions{.topology = one_standby(), .drift_period = "500ms"}};
};

TEST_F(AgentsOldDisk, WithoutSlotsWhatDiffersIsAConflictAndNothingIsTakenForRemoved) {
  put_image_back(regions, kUs);
  regions.database(kUs).start();
  run(regions, kUs,  // a backup carries none
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ '^domicile_us_us'");
  regions.etcd().start(kUs);
  regions.gate(kUs).start();
  regions.start_agent(kUs);
  expect_nothing_is_undone("an older image");
  EXPECT_EQ(verdicts(entries(regions, kUs)), (std::map<std::string, std::string>{{"1", "conflict"}, {"2", "conflict"}}))
      << "an older state, and one that was deleted: " << entries(regions, kUs);
}

TEST_F(AgentsOldDisk, WithNothingLeftItIsMadeAnewAndSaysWhatIsLost) {
  regions.make_anew(kUs);
  const auto applied = regions.cli({"apply", "--yes"});
  ASSERT_EQ(applied.exit_code, 0) << applied.out << applied.err;
  regions.etcd().start(kUs);
  regions.gate(kUs).start();
  regions.start_agent(kUs);
  expect_nothing_is_undone("is lost with it; it was written up to");
  EXPECT_EQ(entries(regions, kUs), Json::array());
  for (const char* residency : {"directory", "eu"}) EXPECT_TRUE(back(regions, kUs, residency)) << regions.told();
}

// Its database is whole; only what its agent remembered is gone.
TEST(AgentsForgotten, AReceiverWithoutItsStateFolderIsRepairedAndFollows) {
  Regions regions({.topology = one_standby(), .drift_period = "500ms"});
  ASSERT_EQ(regions.write(kUs, "us"), "");
  regions.kill_agent(kWest);
  fs::remove_all(regions.state_folder(kWest));
  must(make_directories(regions.state_folder(kWest), 0700));
  ASSERT_EQ(regions.write(kUs, "us"), "");
  regions.start_agent(kWest);
  for (const char* residency : {"directory", "us", "eu"})
    ASSERT_TRUE(back(regions, kWest, residency)) << residency << regions.told();
  ASSERT_EQ(regions.write(kUs, "us"), "");
  EXPECT_TRUE(eventually([&] { return orders(regions, kWest) == orders(regions, kUs); })) << orders(regions, kWest);
}

}  // namespace
}  // namespace domicile::test
