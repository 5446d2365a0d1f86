// The loss of a region between real agents. What a lost region must do to come back is a later piece of work, so each
// story has regions of its own.
#include <gtest/gtest.h>

#include <thread>

#include "core/authority/switch_steps.hpp"
#include "engines/etcd/status.hpp"
#include "support/agents_fixture.hpp"

namespace domicile::test {
namespace {

constexpr Micros kPatience = 4 * kSecond;

// `us` asks a person before it is taken over. Who was paused until after its expiry has not lost its patience yet, and
// goes on at its epoch.
std::string asking() {
  std::string topology = one_standby();
  topology.replace(topology.find("patience: 4s"), std::string("patience: 4s").size(), "patience: 20s");
  const std::string us = "us: {home: us-east-1,    standby: [eu-central-1], holds: {US: full, EU: full}, ";
  topology.insert(topology.find(us) + us.size(), "failover: approve, ");
  return topology;
}

// The quorum's leadership goes to this member, so that its loss is the harder one.
void lead(Regions& regions, const std::string& site) {
  etcd::Client client(regions.etcd().access("root"));
  const auto id_of = [&](const std::string& endpoint) -> std::string {
    for (std::size_t i = 0; i < client.endpoints().size(); ++i)
      if (client.endpoints()[i] == endpoint)
        return must(
            client.call_at(i, "/v3/maintenance/status", Json::object(), etcd::Effect::reads))["header"]["member_id"];
    return "";
  };
  const std::string wanted = id_of(regions.etcd().endpoint(site));
  const bool led = eventually([&] {
    if (regions.etcd().leader() == site) return true;
    for (std::size_t i = 0; i < client.endpoints().size(); ++i)  // only the leader obeys
      (void)client.call_at(i, "/v3/maintenance/transfer-leadership", {{"targetID", wanted}}, etcd::Effect::writes)
          .has_value();
    return regions.etcd().leader() == site;
  });
  ASSERT_TRUE(led);
}

// Looks all the time whether a lease runs.
class LeaseWatch {
 public:
  LeaseWatch(Regions& regions, std::string region, std::string residency)
      : thread_([this, &regions, region, residency](const std::stop_token& stop) {
          for (; !stop.stop_requested(); ::usleep(50'000))
            if (const auto seen = regions.guard(region, residency); !seen.state.empty())
              (seen.lease_runs ? runs_ : lapses_)++;
        }) {}
  int runs() const { return runs_; }
  int lapses() const { return lapses_; }

 private:
  std::atomic<int> runs_{0}, lapses_{0};
  std::jthread thread_;
};

bool beats_on(Regions& regions, const std::string& region, int count) {
  const auto now = regions.beats(region);
  return eventually([&] { return regions.beats(region) >= now + count; });
}

// Every row that was acknowledged at `from` has come to `to`: what an asynchronous link may lose is another story.
void replicated(Regions& regions, const std::string& residency, const std::string& to) {
  ASSERT_TRUE(eventually([&] { return regions.missing(to, residency).empty(); })) << regions.told();
}

TEST(AgentsTakeover, ARegionIsKilledAndWhoTakesOverIsKilledAfterEveryStep) {
  Regions regions({.topology = one_standby()});
  lead(regions, kUs);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(regions.write(kUs, "us"), "");
  replicated(regions, "us", kEu);
  LeaseWatch other(regions, kEu, "eu");
  using authority::OpenStep;
  // Of one residency: the other's thread may reach another point in the moment of a death, and one death would use up
  // two points.
  std::vector<std::string> points{"residency.before_swap@us"};
  // Not publish: see the next story.
  for (const auto step : {OpenStep::stop_inbound, OpenStep::journal_position, OpenStep::advance_slots,
                          OpenStep::advance_sequences, OpenStep::persist_epochs, OpenStep::swap_serving})
    for (const char* moment : {"", ".done"})
      points.push_back(fmt::format("open.{}{}@us", authority::name_of(step), moment));

  // Before anybody who would take over dies: the leader's loss lapses nobody else's lease.
  regions.kill_region(kUs);
  const auto gone = [&] { return regions.status(kEu, "us").value("owner_expired", false); };
  regions.stop_at(kEu, "residency.before_swap");
  ASSERT_TRUE(eventually(gone)) << regions.told();
  ASSERT_TRUE(regions.reached(kEu, "residency.before_swap"));
  EXPECT_GT(other.runs(), 0);
  EXPECT_EQ(other.lapses(), 0) << "the loss of the quorum's leader cost another residency its lease";

  regions.kill_agent(kEu);
  for (const auto& point : points) regions.kill_at(kEu, point);
  regions.let_go(kEu, "residency.before_swap");
  regions.start_agent(kEu);
  int deaths = 0;
  const auto served = [&] {
    if (!regions.agent_runs(kEu)) {
      ++deaths;
      regions.start_agent(kEu);
    }
    for (const auto& point : points)
      if (regions.standing(kEu, point)) return false;
    for (const char* residency : {"us", "directory"}) {  // lost together
      const auto now = regions.record(residency);
      if (now.mode != authority::Mode::serving || now.owner != kEu || !regions.guard(kEu, residency).lease_runs)
        return false;
    }
    return regions.agent_runs(kEu);  // the last point may have ended it just now
  };
  ASSERT_TRUE(eventually(served, 60 * kSecond, 20 * kMillisecond)) << regions.told();
  EXPECT_EQ(deaths, static_cast<int>(points.size()));
  EXPECT_EQ(regions.record("us").epoch, 2);
  EXPECT_EQ(regions.record("us").cause, authority::Cause::automatic);
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kEu});
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});
  // The third region's copy stood where the new owner's did, or is made equal to it.
  EXPECT_TRUE(eventually([&] { return regions.copy_state(kWest, "us") == "following"; })) << regions.told();
  EXPECT_TRUE(eventually([&] { return regions.rows(kWest, "us") == regions.rows(kEu, "us"); })) << regions.told();
}

// Both residencies may be swapped to serving in one beat, and who is killed then has nothing left to publish: so one of
// them waits before it while the other one goes on.
TEST(AgentsTakeoverPublish, WhoTakesOverIsKilledAtAndAfterPublish) {
  Regions regions({.topology = one_standby()});
  for (int i = 0; i < 5; ++i) ASSERT_EQ(regions.write(kUs, "us"), "");
  replicated(regions, "us", kEu);
  const std::string before_serving = "open.swap_serving@";
  for (const char* residency : {"us", "directory"}) regions.stop_at(kEu, before_serving + residency);
  regions.kill_region(kUs);
  for (const char* residency : {"us", "directory"})
    ASSERT_TRUE(regions.reached(kEu, before_serving + residency)) << regions.told();
  for (const auto& [residency, point] :
       {std::pair<std::string, std::string>{"us", "open.publish@us"}, {"directory", "open.publish.done@directory"}}) {
    SCOPED_TRACE(point);
    EXPECT_EQ(regions.record(residency).mode, authority::Mode::moving);
    regions.kill_at(kEu, point);
    regions.let_go(kEu, before_serving + residency);
    ASSERT_TRUE(regions.reached(kEu, point)) << regions.told();
    ASSERT_TRUE(eventually([&] { return !regions.agent_runs(kEu); }));
    regions.start_agent(kEu);
    ASSERT_TRUE(regions.serves(residency, kEu, 2)) << regions.told();
    EXPECT_EQ(regions.record(residency).epoch, 2) << "the switch was over: nobody takes it again";
  }
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kEu});
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});
}

// The agent hangs, then the whole machine is stopped. Nothing that wakes up later may be kept by the survivor.
TEST(AgentsLoss, AHangingAgentAndAPausedRegionAcceptNothingAfterTheirLease) {
  Regions regions;
  for (int i = 0; i < 5; ++i) ASSERT_EQ(regions.write(kUs, "us"), "");
  for (const auto& standby : {kEu, kWest}) replicated(regions, "us", standby);
  auto early = regions.database(kUs).connect("app");
  const auto late_row = regions.next_row();
  ASSERT_TRUE(early.exec("BEGIN; " + Regions::insert_sql("us", late_row)));
  // A beat that the quorum took, and an owner that hangs before it counts its lease.
  regions.stop_at(kUs, "beat.after_answer");
  ASSERT_TRUE(regions.reached(kUs, "beat.after_answer"));
  ASSERT_TRUE(regions.lease_ended(kUs, "us"));
  EXPECT_EQ(regions.write(kUs, "us"), "DM001") << "the database fences without its agent";
  const auto commit = early.exec("COMMIT");
  ASSERT_FALSE(commit);
  EXPECT_EQ(postgres::sqlstate_of(commit.error()), "DM001");
  auto paused = regions.database(kUs).connect("app");
  regions.pause_region(kUs);
  const auto taken = [&] { return regions.record("us").owner != kUs && regions.record("directory").owner != kUs; };
  ASSERT_TRUE(eventually(taken)) << regions.told();
  const auto owner = regions.record("us").owner;
  ASSERT_TRUE(regions.serves("us", owner, 2)) << regions.told();
  ASSERT_EQ(regions.write(owner, "us"), "");

  regions.resume_region(kUs);
  EXPECT_FALSE(paused.exec(Regions::insert_sql("us", regions.next_row())));
  regions.let_go(kUs, "beat.after_answer");  // and now it comes to its old beat's lease
  ASSERT_TRUE(beats_on(regions, kUs, 6)) << regions.told();
  EXPECT_FALSE(regions.guard(kUs, "us").lease_runs);
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{owner});
  EXPECT_EQ(regions.missing(owner, "us"), std::vector<std::int64_t>{});
  EXPECT_FALSE(regions.rows(owner, "us").contains(late_row));
  EXPECT_EQ(regions.record("us").epoch, 2);
}

// Stopped as a whole in the middle of a drain, it wakes with the id of a switch that is over.
TEST(AgentsLoss, AnActorThatWakesWithAStaleSwitchChangesNothing) {
  Regions regions;
  ASSERT_EQ(regions.write(kUs, "us"), "");
  for (const auto& standby : {kEu, kWest}) replicated(regions, "us", standby);
  regions.stop_at(kUs, "drain.fence");
  ASSERT_TRUE(regions.order_switch("us", kEu));
  ASSERT_TRUE(regions.reached(kUs, "drain.fence"));
  const auto stale = regions.record("us").switch_id;
  regions.pause_agent(kUs);
  const auto taken = [&] { return regions.record("us").owner != kUs; };
  ASSERT_TRUE(eventually(taken)) << regions.told();
  const auto owner = regions.record("us").owner;
  ASSERT_TRUE(regions.serves("us", owner, 2)) << regions.told();
  EXPECT_NE(regions.record("us").switch_id, stale);
  regions.let_go(kUs, "drain.fence");
  regions.resume_agent(kUs);
  ASSERT_TRUE(beats_on(regions, kUs, 6));
  EXPECT_EQ(regions.record("us").epoch, 2);
  EXPECT_EQ(regions.record("us").owner, owner);
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{owner});
  EXPECT_EQ(regions.missing(owner, "us"), std::vector<std::int64_t>{});
}

// Behind a living agent a database dies; then the next region does, and nobody is left whose copy is whole.
TEST(AgentsGreyFailure, ADeadDatabaseBehindALivingAgentIsLeftAndNoIncompleteCopyIsPromoted) {
  std::optional<postgres::Connection> holder;
  Regions regions({.before_agents =
                       [&](Regions& r) {
                         // The first rows of `eu` cannot be written here, however long anybody waits.
                         holder.emplace(r.database(kWest).connect());
                         ASSERT_TRUE(holder->exec("BEGIN; LOCK TABLE app.orders IN ACCESS EXCLUSIVE MODE"));
                       },
                   .copies = false});
  const auto ready = [&] {
    for (const char* residency : {"us", "directory"}) {
      const auto seen = regions.status(kEu, residency);
      if (!seen.is_object() || !seen["lag_ms"].is_number()) return false;
    }
    return true;
  };
  ASSERT_TRUE(eventually(ready, 40 * kSecond, 100 * kMillisecond)) << regions.told();
  ASSERT_EQ(regions.write(kUs, "us"), "");
  ASSERT_EQ(regions.write(kEu, "eu"), "");
  replicated(regions, "us", kEu);
  EXPECT_FALSE(regions.status(kWest, "eu")["lag_ms"].is_number()) << "known lag of an incomplete copy";

  regions.kill_database(kUs);
  EXPECT_TRUE(regions.serves("us", kEu, 2, kPatience + kExpiry + 3 * kSecond)) << regions.told();
  EXPECT_TRUE(regions.serves("directory", kEu, 2, 3 * kSecond)) << regions.told();
  EXPECT_TRUE(regions.agent_runs(kUs));
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});

  regions.kill_region(kEu);
  ASSERT_TRUE(eventually([&] { return regions.status(kWest, "eu").value("owner_expired", false); })) << regions.told();
  ASSERT_TRUE(beats_on(regions, kWest, 10));
  for (const char* residency : {"us", "eu", "directory"}) {
    EXPECT_EQ(regions.record(residency).owner, kEu) << residency;
    EXPECT_EQ(regions.record(residency).mode, authority::Mode::serving) << residency;
  }
  EXPECT_NE(regions.status(kWest, "eu").value("why", "").find("the copy here has no first rows yet"), std::string::npos)
      << regions.told();
}

// The process that starts has committed nothing. It goes on naming the markers of the one before it, so that a standby
// knows how far it is and need not ask.
TEST(AgentsRestart, AnAgentThatRestartsBesideADeadDatabaseLeadsToASwitchByItself) {
  Regions regions({.topology = one_standby()});
  for (int i = 0; i < 3; ++i) ASSERT_EQ(regions.write(kUs, "us"), "");
  replicated(regions, "us", kEu);
  ASSERT_TRUE(beats_on(regions, kUs, 2));
  regions.kill_agent(kUs);
  regions.kill_database(kUs);
  regions.start_agent(kUs);
  const auto given_up = [&] {
    const auto now = regions.record("us");
    return now.mode == authority::Mode::draining && now.owner == kUs && now.to.empty();
  };
  ASSERT_TRUE(eventually(given_up, kPatience + 3 * kSecond, 50 * kMillisecond))
      << "the owner's life is not over: only it can lead to a switch\n"
      << regions.told();
  EXPECT_TRUE(regions.status(kEu, "us")["lag_ms"].is_number()) << regions.told();
  EXPECT_TRUE(regions.serves("us", kEu, 2, kExpiry + 3 * kSecond)) << regions.told();
  EXPECT_TRUE(regions.serves("directory", kEu, 2, 3 * kSecond)) << regions.told();
  EXPECT_TRUE(regions.agent_runs(kUs));
  EXPECT_EQ(regions.record("us").cause, authority::Cause::automatic);
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});
}

// A person says yes to the loss that they see. When the owner lives again before anything has moved, that yes is over:
// a later loss in the same epoch asks anew.
TEST(AgentsLoss, AResidencyThatAsksMovesOnlyAfterAYesToThisLoss) {
  Regions regions({.topology = asking()});
  const auto asks = [&] { return regions.status(kEu, "us").value("proposal", "") == "us-2"; };
  const auto approve = [&] {
    return regions.cli({"approve", "us-2", "--reason", "a story", "--agent", regions.socket(kEu).string()});
  };
  EXPECT_NE(approve().exit_code, 0) << "nothing asks yet";
  for (int i = 0; i < 3; ++i) ASSERT_EQ(regions.write(kUs, "us"), "");
  replicated(regions, "us", kEu);

  regions.pause_agent(kUs);
  ASSERT_TRUE(eventually(asks)) << regions.told();
  regions.stop_at(kEu, "residency.before_swap@us");
  const auto first = approve();
  ASSERT_EQ(first.exit_code, 0) << first.err;
  ASSERT_TRUE(regions.reached(kEu, "residency.before_swap@us")) << regions.told();
  regions.resume_agent(kUs);
  ASSERT_TRUE(beats_on(regions, kUs, 2));
  regions.let_go(kEu, "residency.before_swap@us");
  ASSERT_TRUE(regions.serves("us", kUs, 1)) << regions.told();
  EXPECT_EQ(regions.record("us").epoch, 1);
  const auto over = [&] { return dump(regions.get(kEu, "/v1/events?count=100")).find("approval_over"); };
  ASSERT_TRUE(eventually([&] { return over() != std::string::npos; })) << regions.told();

  regions.kill_region(kUs);
  ASSERT_TRUE(eventually(asks)) << regions.told();
  const auto status = regions.cli({"status", "--agent", regions.socket(kEu).string()});
  EXPECT_NE(status.out.find("domicile approve us-2"), std::string::npos) << status.out;
  ASSERT_TRUE(beats_on(regions, kEu, 4));
  EXPECT_EQ(regions.record("us").epoch, 1) << "moved without a yes to this loss\n" << regions.told();
  const auto second = approve();
  ASSERT_EQ(second.exit_code, 0) << second.err;
  ASSERT_TRUE(regions.serves("us", kEu, 2)) << regions.told();
  EXPECT_EQ(regions.record("us").cause, authority::Cause::approved);
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kEu});
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});
}

}  // namespace
}  // namespace domicile::test
