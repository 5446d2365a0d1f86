#include "agent/gateway_loop.hpp"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "agent/tenants_loop.hpp"
#include "base/temp_dir.hpp"
#include "core/snapshot/view.hpp"
#include "core/topology/parse.hpp"
#include "edge/generations.hpp"
#include "edge/publish.hpp"

namespace domicile::agent {
namespace {

constexpr const char* kTopology = R"(domicile: 1
regions:
  us-1: {jurisdiction: US}
  us-2: {jurisdiction: US}
voters: {us-3: {}}
residencies:
  directory: {home: us-1, standby: [us-2], holds: {US: full}}
  us: {home: us-1, standby: [us-2], holds: {US: full}}
data:
  app.orders: {personal: [name], shared: [id]}
)";

bool eventually(const std::function<bool()>& done) {
  for (const Micros until = monotonic_now() + 20 * kSecond; monotonic_now() < until; std::this_thread::yield())
    if (done()) return true;
  return false;
}

struct Gateway {
  TempDir dir;
  topology::Topology topology = topology::load(kTopology, "topology.yaml").value();
  std::map<std::string, SiteConfig> sites;
  Bell changes;
  Published<QuorumSeen> quorum{&changes};
  Published<ResidencySeen> directory{&changes}, us{&changes};
  Published<MovesSeen> moves{&changes};
  Published<GatewaySeen> seen;

  std::uint64_t generation() const { return edge::highest_generations(dir.path().string()).authority; }
  GatewayLoop loop() {
    return GatewayLoop({"us-1",
                        "hash",
                        dir.path(),
                        &topology,
                        &sites,
                        &quorum,
                        {{"directory", &directory}, {"us", &us}},
                        Log{2, Log::Format::text, Level::info, ""},
                        &moves},
                       seen, changes);
  }
  // What is told of a version, once it is; empty rows when it never is.
  std::vector<snapshot::MoveRow> told(const std::string& version) const {
    EXPECT_TRUE(eventually([&] { return seen.get()->moves_version == version; })) << version;
    return written_moves();
  }
  std::vector<snapshot::MoveRow> written_moves() const {
    const auto last = edge::last_authority(dir.path().string());
    return last ? last->moves : std::vector<snapshot::MoveRow>();
  }
  void record(authority::Epoch epoch) {
    const authority::Record record{.owner = "us-1", .epoch = epoch, .mode = authority::Mode::serving, .switch_id = "s"};
    ResidencySeen next;
    next.record = {record, authority::to_text(record)};
    us.set(next);
  }
  void lease(authority::Epoch epoch, Micros end) {
    QuorumSeen next;
    next.leases["us"] = {epoch, {host_boot_id(), end}, 0};
    quorum.set(next);
  }
};

// The clock was far ahead when the last agent wrote, and has been set back since.
TEST(GatewayLoop, GoesOnAboveTheGenerationsThatAreThereWhateverTheClockSays) {
  Gateway gateway;
  snapshot::AuthoritySnapshot before;
  before.generation = static_cast<std::uint64_t>(wall_now() + 3600 * kSecond);
  before.region = "us-1";
  ASSERT_TRUE(edge::publish((gateway.dir.path() / "authority.snap").string(), snapshot::compile(before).value()));
  auto loop = gateway.loop();
  std::jthread thread([&](const std::stop_token& stop) { loop.run(stop); });
  EXPECT_TRUE(eventually([&] { return gateway.seen.get()->generation > before.generation; }));
  EXPECT_TRUE(eventually([&] { return gateway.generation() > before.generation; }));
  thread.request_stop();
  gateway.changes.ring();
}

// An agent that is killed and started again must not cut off the requests that its last beat entitles to be served.
class GatewayLoopAfterARestart : public testing::Test {
 protected:
  static constexpr Micros kEnd = 77 * kSecond;
  const std::vector<snapshot::MoveRow> kBefore = {{"acme", "us", true}};

  void start(const std::string& boot_id) {
    snapshot::AuthoritySnapshot before;
    before.generation = 5;
    before.region = "us-1";
    before.boot_id = boot_id;
    before.rows = {{.residency = "us",
                    .owner = "us-1",
                    .epoch = 3,
                    .mode = snapshot::Mode::serving,
                    .switch_id = "s",
                    .lease_end = kEnd,
                    .here = snapshot::Form::full}};
    before.moves = kBefore;
    ASSERT_TRUE(edge::publish((gateway_.dir.path() / "authority.snap").string(), snapshot::compile(before).value()));
    thread_ = std::jthread([this](const std::stop_token& stop) { loop_.run(stop); });
    ASSERT_TRUE(eventually([&] { return gateway_.generation() > 5; }));
  }
  void TearDown() override {
    thread_.request_stop();
    gateway_.changes.ring();
  }
  snapshot::AuthorityRow us() const {
    const auto last = edge::last_authority(gateway_.dir.path().string());
    for (const auto& row : last ? last->rows : std::vector<snapshot::AuthorityRow>())
      if (row.residency == "us") return row;
    return {};
  }
  bool wrote(authority::Epoch epoch) {
    gateway_.record(epoch);
    const std::string text = gateway_.us.get()->record->text;
    return eventually([&] {
      const auto texts = gateway_.seen.get()->record_texts;
      return texts.contains("us") && texts.at("us") == text;
    });
  }

  Gateway gateway_;
  GatewayLoop loop_ = gateway_.loop();
  std::jthread thread_;
};

TEST_F(GatewayLoopAfterARestart, WhatTheLastProcessSaidHoldsUntilThisOneKnowsBetter) {
  start(host_boot_id());
  EXPECT_EQ(us().owner, "us-1");
  EXPECT_EQ(us().epoch, 3U);
  EXPECT_EQ(us().mode, snapshot::Mode::serving);
  EXPECT_EQ(us().lease_end, kEnd);
  ASSERT_TRUE(wrote(3));
  EXPECT_EQ(us().lease_end, kEnd) << "the record was read, and no beat has given a lease yet";
  ASSERT_TRUE(wrote(4));
  EXPECT_EQ(us().lease_end, 0) << "the lease was of another epoch";
  EXPECT_EQ(us().mode, snapshot::Mode::draining) << "requests wait for the first beat instead of being refused";
  gateway_.lease(4, 99 * kSecond);
  EXPECT_TRUE(eventually([&] { return us().lease_end == 99 * kSecond; }));
  EXPECT_EQ(us().mode, snapshot::Mode::serving);
}

TEST_F(GatewayLoopAfterARestart, TheLeaseOfAnotherBootIsOver) {
  start("another-boot");
  EXPECT_EQ(us().owner, "us-1");
  EXPECT_EQ(us().lease_end, 0);
  ASSERT_TRUE(wrote(3));
  EXPECT_EQ(us().lease_end, 0);
}

TEST_F(GatewayLoopAfterARestart, ATenantThatWasHeldIsHeldUntilItIsKnownWhoMoves) {
  start(host_boot_id());
  EXPECT_EQ(gateway_.written_moves(), kBefore);
  ASSERT_TRUE(wrote(3));
  EXPECT_EQ(gateway_.written_moves(), kBefore) << "a record was read, the moves were not";
  EXPECT_EQ(gateway_.seen.get()->moves_version, "");
  gateway_.moves.set({{}, "9"});
  EXPECT_TRUE(gateway_.told("9").empty());
}

TEST_F(GatewayLoopAfterARestart, InAnotherBootToo) {
  start("another-boot");
  EXPECT_EQ(gateway_.written_moves(), kBefore);
}

TEST(GatewayLoop, TellsWhoMovesAndOfWhichVersionThatIs) {
  Gateway gateway;
  auto loop = gateway.loop();
  std::jthread thread([&](const std::stop_token& stop) { loop.run(stop); });
  const std::vector<snapshot::MoveRow> held = {{"acme", "us", true}}, flipped = {{"acme", "directory", false}};
  gateway.moves.set({held, "1"});
  EXPECT_EQ(gateway.told("1"), held);
  const auto generation = gateway.seen.get()->generation;
  gateway.moves.set({held, "2"});
  EXPECT_EQ(gateway.told("2"), held);
  EXPECT_GT(gateway.seen.get()->generation, generation) << "who waits for a version waits for its generation";
  gateway.moves.set({flipped, "3"});
  EXPECT_EQ(gateway.told("3"), flipped);
  gateway.moves.set({{}, "4"});
  EXPECT_TRUE(gateway.told("4").empty());
  EXPECT_EQ(gateway.seen.get()->trouble, "");
  thread.request_stop();
  gateway.changes.ring();
}

TEST(GatewayLoop, MovesThatDoNotFitKeepNoLeaseFromBeingTold) {
  Gateway gateway;
  auto loop = gateway.loop();
  std::jthread thread([&](const std::stop_token& stop) { loop.run(stop); });
  const std::vector<snapshot::MoveRow> held = {{"acme", "us", true}};
  gateway.moves.set({held, "1"});
  EXPECT_EQ(gateway.told("1"), held);
  gateway.moves.set({{{"acme", "us", false}, {"acme", "us", true}}, "2"});
  EXPECT_TRUE(eventually([&] { return !gateway.seen.get()->trouble.empty(); }));
  gateway.record(3);
  gateway.lease(3, 99 * kSecond);
  EXPECT_TRUE(eventually([&] {
    const auto last = edge::last_authority(gateway.dir.path().string());
    return last && last->rows.at(1).lease_end == 99 * kSecond;
  }));
  EXPECT_EQ(gateway.written_moves(), held) << "the last ones stay";
  EXPECT_EQ(gateway.seen.get()->moves_version, "1") << "and nobody takes the others for obeyed";
  gateway.moves.set({{}, "3"});
  EXPECT_TRUE(gateway.told("3").empty());
  EXPECT_EQ(gateway.seen.get()->trouble, "");
  thread.request_stop();
  gateway.changes.ring();
}

TEST(GatewayLoop, AuthorityFlowsOnWhileALargeDirectoryIsRead) {
  Gateway gateway;
  std::promise<void> begun, release;
  const auto released = release.get_future().share();
  Published<TenantsSeen> written;
  TenantsLoop tenants({gateway.dir.path(),
                       [&](const std::string& known) -> Result<std::optional<Directory>> {
                         if (!known.empty()) return std::optional<Directory>();
                         begun.set_value();
                         released.wait();
                         return std::optional(Directory{"1", {{"a.example", "a", "us"}}});
                       }},
                      written);
  auto loop = gateway.loop();
  std::jthread authority([&](const std::stop_token& stop) { loop.run(stop); });
  std::jthread directory([&](const std::stop_token& stop) { tenants.run(stop); });
  begun.get_future().wait();
  for (authority::Epoch epoch = 1; epoch <= 3; ++epoch) {
    gateway.record(epoch);
    const std::string text = gateway.us.get()->record->text;
    EXPECT_TRUE(eventually([&] {
      const auto texts = gateway.seen.get()->record_texts;
      return texts.contains("us") && texts.at("us") == text;
    })) << epoch;
  }
  EXPECT_FALSE(fs::exists(gateway.dir.path() / "tenants.snap"));
  release.set_value();
  EXPECT_TRUE(eventually([&] { return fs::exists(gateway.dir.path() / "tenants.snap"); }));
  authority.request_stop();
  directory.request_stop();
  gateway.changes.ring();
}

}  // namespace
}  // namespace domicile::agent
