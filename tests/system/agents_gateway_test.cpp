// Agents and gateways together, as clients meet them: what is served when nobody steers any more, and what becomes of a
// request that waits while the agent that acts is killed.
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "support/agents_fixture.hpp"

namespace domicile::test {
namespace {

class AgentsGateway : public testing::Test {
 protected:
  static void SetUpTestSuite() { regions_ = std::make_unique<Regions>(RegionsOptions{.gateways = true}); }
  static void TearDownTestSuite() { regions_.reset(); }

  void SetUp() override {
    if (regions_->record("us").owner != kUs) {
      ASSERT_TRUE(regions_->order_switch("us", kUs));
    }
    ASSERT_TRUE(regions_->serves("us", kUs)) << told();
    ASSERT_TRUE(regions_->settled()) << told();
    // Through its own gateway, and through that of a region that passes it on undecrypted.
    for (const auto& region : {kUs, kEu, kWest})
      ASSERT_TRUE(eventually([&] { return post(region) == 201; })) << region << told();
  }
  void TearDown() override { regions_->forget_stalls(); }

  static std::string told() { return regions_->told(); }
  static long post(const std::string& region, const std::string& residency = "us") {
    return regions_->gateway(region).post(residency, regions_->next_row()).status;
  }

  // A switch from kUs to kEu with a write that waits at the old owner's gateway while `acting` is killed at `point`.
  void kill_under_a_held_write(const std::string& acting, const std::string& point) {
    SCOPED_TRACE(point + " at " + acting);
    const auto begun = regions_->record("us");
    // Where it is killed itself it stands and is killed there; else it stands at the fence until the write waits.
    const std::string stand = acting == kUs ? point : "drain.fence";
    regions_->stop_at(kUs, stand);
    if (acting != kUs) regions_->kill_at(acting, point);
    ASSERT_TRUE(regions_->order_switch("us", kEu));
    ASSERT_TRUE(regions_->reached(kUs, stand)) << told();
    const auto row = regions_->next_row();
    auto held = std::async(std::launch::async, [&] { return regions_->gateway(kUs).post("us", row); });
    ASSERT_TRUE(eventually([] { return regions_->gateway(kUs).held() > 0; })) << told();
    if (acting == kUs) regions_->kill_agent(kUs);
    regions_->let_go(kUs, stand);
    ASSERT_TRUE(eventually([&] { return !regions_->agent_runs(acting); })) << told();
    regions_->start_agent(acting);

    const auto answer = held.get();
    EXPECT_EQ(answer.status, 201) << answer.headers << answer.body << told();
    ASSERT_TRUE(regions_->serves("us", kEu, begun.epoch + 1)) << told();
    EXPECT_EQ(regions_->gateway(kEu).arrivals(row), 1);
    EXPECT_EQ(regions_->gateway(kUs).arrivals(row), 0);
    EXPECT_TRUE(regions_->rows(kEu, "us").contains(row));
    EXPECT_EQ(regions_->writable("us"), std::vector<std::string>{kEu}) << told();
    EXPECT_EQ(regions_->missing(kEu, "us"), std::vector<std::int64_t>{});
    regions_->forget_stalls();
  }

  static std::unique_ptr<Regions> regions_;
};
std::unique_ptr<Regions> AgentsGateway::regions_;

TEST_F(AgentsGateway, AWriteHeldWhileTheOwnersAgentDiesAtGatewaysHoldArrivesOnceAtTheNewOwner) {
  kill_under_a_held_write(kUs, "drain.gateways_hold");
}

TEST_F(AgentsGateway, AWriteHeldWhileTheOwnersAgentDiesAfterGatewaysHoldArrivesOnceAtTheNewOwner) {
  kill_under_a_held_write(kUs, "drain.gateways_hold.done");
}

TEST_F(AgentsGateway, AWriteHeldWhileTheTargetsAgentDiesAtPublishArrivesOnceThere) {
  kill_under_a_held_write(kEu, "open.publish");
}

TEST_F(AgentsGateway, AWriteHeldWhileTheTargetsAgentDiesAfterPublishArrivesOnceThere) {
  kill_under_a_held_write(kEu, "open.publish.done");
}

// A beat that falls between the order and the fence extends no lease, and takes none away.
TEST_F(AgentsGateway, WhileItsOwnerDrainsReadsAreServedAndAWriteThatHasBegunIsTold) {
  const auto epoch = regions_->record("us").epoch;
  auto holding = regions_->database(kUs).connect();
  ASSERT_TRUE(holding.exec("BEGIN; LOCK TABLE app.orders IN SHARE MODE"));
  const auto row = regions_->next_row();
  auto begun = std::async(std::launch::async, [&] { return regions_->gateway(kUs).post("us", row); });
  ASSERT_TRUE(eventually([&] { return regions_->gateway(kUs).arrivals(row) == 1; }));
  regions_->stop_at(kUs, "drain.gateways_hold");
  ASSERT_TRUE(regions_->order_switch("us", kEu));
  ASSERT_TRUE(regions_->reached(kUs, "drain.gateways_hold")) << told();
  const auto beats = regions_->beats(kUs);
  ASSERT_TRUE(eventually([&] { return regions_->beats(kUs) >= beats + 2; }));
  EXPECT_EQ(regions_->gateway(kUs).read("us").status, 200) << told();
  ASSERT_TRUE(holding.exec("COMMIT"));
  const auto answer = begun.get();
  EXPECT_EQ(answer.status, 201) << answer.headers << answer.body << told();
  regions_->let_go(kUs, "drain.gateways_hold");
  ASSERT_TRUE(regions_->serves("us", kEu, epoch + 1)) << told();
  EXPECT_TRUE(regions_->rows(kEu, "us").contains(row));
}

// A restart is not a loss: the lease that the last beat gave runs on, in the database and in the gateway.
TEST_F(AgentsGateway, AnAgentThatIsKilledAndStartedAgainCostsNoRequest) {
  std::multiset<long> answers;
  std::atomic<bool> over = false;
  std::jthread client([&] {
    while (!over) answers.insert(post(kUs));
  });
  for (int i = 0; i < 5; ++i) {
    regions_->kill_agent(kUs);
    regions_->start_agent(kUs);
    EXPECT_TRUE(regions_->serves("us", kUs)) << told();
  }
  over = true;
  client.join();
  EXPECT_EQ(answers.count(201), answers.size()) << told();
  EXPECT_GT(answers.size(), 20U);
}

// No agent and no quorum: what was entitled to be served is served, until its lease ends and not longer.
TEST_F(AgentsGateway, WithAllAgentsAndTheQuorumDeadItServesUntilTheLeaseEndsAndThenSaysWhy) {
  const auto status = regions_->cli({"status", "--agent", regions_->socket(kUs).string()});
  EXPECT_EQ(status.exit_code, 0) << status.out << status.err;
  for (const auto& region : Regions::all()) regions_->kill_agent(region);
  const Micros dead = monotonic_now();
  for (const auto& region : Regions::all()) regions_->etcd().kill(region);

  int served = 0;
  std::set<std::string> others;
  edge::Answer refused;
  const bool ended = eventually(
      [&] {
        const auto answer = regions_->gateway(kUs).post("us", regions_->next_row());
        if (answer.status == 201)
          ++served;
        else if (answer.status == 503 && edge::has(answer, "X-Domicile-Reason: lease_over"))
          refused = answer;
        // Its lease ended while it was written: nobody can say, or the database has refused it in the last moment.
        else if (answer.status != 504 && answer.body.find("DM001") == std::string::npos)
          others.insert(answer.headers + answer.body);
        return refused.status != 0;
      },
      kExpiry + 2 * kSecond, 20 * kMillisecond);
  ASSERT_TRUE(ended) << "it was never refused";
  EXPECT_GE(monotonic_now() - dead, kSecond) << "the lease had hardly begun";
  EXPECT_GT(served, 10) << "the control plane is in the path";
  EXPECT_EQ(others, std::set<std::string>{}) << "neither served nor refused with the reason";
  EXPECT_TRUE(edge::has(refused, "Retry-After: ")) << refused.headers;
  for (const char* residency : {"us", "eu"}) {
    const std::string owner = residency == std::string("us") ? kUs : kEu;
    EXPECT_TRUE(eventually([&] { return regions_->write(owner, residency) == "DM001"; }, kExpiry));
    EXPECT_EQ(regions_->writable(residency), std::vector<std::string>{});
    for (const auto& region : Regions::all()) {
      const auto answer = regions_->gateway(region).post(residency, regions_->next_row());
      EXPECT_EQ(answer.status, 503) << residency << " at " << region;
      EXPECT_TRUE(edge::has(answer, "X-Domicile-Reason: lease_over"))
          << residency << " at " << region << answer.headers;
    }
    EXPECT_EQ(regions_->gateway(owner).read(residency).status, 503) << "reads may not be stale here";
  }

  // It comes back by itself when they do.
  for (const auto& region : Regions::all()) regions_->etcd().start(region);
  regions_->etcd().await_healthy();
  for (const auto& region : Regions::all()) regions_->start_agent(region);
  ASSERT_TRUE(regions_->serves("us", kUs, 0)) << told();
  for (const auto& region : Regions::all())
    EXPECT_TRUE(eventually([&] { return post(region) == 201; })) << region << told();
  EXPECT_EQ(regions_->missing(kUs, "us"), std::vector<std::int64_t>{});
}

}  // namespace
}  // namespace domicile::test
