// Planned switches between real agents: under writes, through the death of whoever acts, and in the interleavings that
// go wrong when a rule is forgotten.
#include <gtest/gtest.h>

#include "core/authority/switch_steps.hpp"
#include "support/agents_fixture.hpp"
#include "support/writers.hpp"

namespace domicile::test {
namespace {

class AgentsSwitch : public testing::Test {
 protected:
  // A customer had rows before Domicile came: they have numbers below 0.
  static constexpr int kFirstRows = 3;
  static void SetUpTestSuite() {
    regions_ = std::make_unique<Regions>(RegionsOptions{.before_apply = [](Regions& regions) {
      for (int i = 1; i <= kFirstRows; ++i) must(regions.database(kEu).connect().exec(Regions::insert_sql("eu", -i)));
    }});
  }
  static void TearDownTestSuite() { regions_.reset(); }

  // Each story begins with everything served and every copy ready to take over, wherever the last one left it.
  void SetUp() override {
    if (regions_->record("us").owner != kUs) move(kUs);
    ASSERT_TRUE(regions_->serves("us", kUs)) << told();
    ASSERT_TRUE(regions_->settled()) << told();
  }
  void TearDown() override { regions_->forget_stalls(); }

  static std::string told() { return regions_->told(); }
  void move(const std::string& to) {
    const auto ordered = regions_->order_switch("us", to);
    ASSERT_TRUE(ordered) << render(ordered.error());
    ASSERT_TRUE(regions_->serves("us", to)) << told();
    ASSERT_TRUE(regions_->settled()) << told();
  }
  // One writer, nobody else, and nothing that was acknowledged is missing there.
  void expect_one_writer(const std::string& owner) {
    EXPECT_EQ(regions_->writable("us"), std::vector<std::string>{owner}) << told();
    EXPECT_EQ(regions_->missing(owner, "us"), std::vector<std::int64_t>{});
  }

  std::string other(const std::string& region) { return region == kUs ? kEu : kUs; }
  // Orders a switch, kills the agent of `acting` at `point`, starts it again, and sees the switch end well.
  void kill_and_start(const std::string& acting, const std::string& point, const std::string& to) {
    SCOPED_TRACE(point + " at " + acting + ", to " + to);
    const auto begun = regions_->record("us");
    ASSERT_EQ(regions_->write(begun.owner, "us"), "");
    regions_->kill_at(acting, point);
    (void)regions_->order_switch("us", to).has_value();  // its answer may die with the agent
    ASSERT_TRUE(regions_->reached(acting, point)) << told();
    ASSERT_TRUE(eventually([&] { return !regions_->agent_runs(acting); }));
    regions_->start_agent(acting);
    const auto ended = [&] {
      const auto now = regions_->record("us");
      return now.mode == authority::Mode::serving && now.epoch > begun.epoch &&
             regions_->guard(now.owner, "us").lease_runs;
    };
    ASSERT_TRUE(eventually(ended, 20 * kSecond, 50 * kMillisecond)) << told();
    ASSERT_TRUE(regions_->settled()) << told();
    const auto now = regions_->record("us");
    EXPECT_TRUE(now.owner == begun.owner || now.owner == to);
    expect_one_writer(now.owner);
    let_go(acting, point);
  }
  void let_go(const std::string& region, const std::string& point) { regions_->let_go(region, point); }
  bool stays(const std::function<bool()>& condition, Micros time) {
    return !eventually([&] { return !condition(); }, time, 20 * kMillisecond);
  }
  bool beats_on(const std::string& region, int count) {
    const auto now = regions_->beats(region);
    return eventually([&] { return regions_->beats(region) >= now + count; });
  }

  static std::unique_ptr<Regions> regions_;
};
std::unique_ptr<Regions> AgentsSwitch::regions_;

TEST_F(AgentsSwitch, ThereAndBackUnderWritesOfEveryIsolationLevelLosesNothing) {
  const auto begun = regions_->record("us");
  Writers writers(*regions_, "us", kLevels);
  ASSERT_TRUE(writers.until_more(20));
  for (const auto& to : {kEu, kUs}) {
    // Open since before the fence, with a snapshot that says «ours»; its first write comes after it.
    auto early = regions_->database(regions_->record("us").owner).connect("app");
    ASSERT_TRUE(early.exec("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM app.orders"));
    const auto ordered = regions_->order_switch("us", to);
    ASSERT_TRUE(ordered) << render(ordered.error());
    ASSERT_TRUE(regions_->serves("us", to)) << told();
    const auto late = early.exec(Regions::insert_sql("us", regions_->next_row()));
    ASSERT_FALSE(late);
    EXPECT_EQ(postgres::sqlstate_of(late.error()), "DM001");
    ASSERT_TRUE(writers.until_more(20));
    EXPECT_GT(writers.acknowledged_at(to), 0);
    ASSERT_TRUE(regions_->settled()) << told();
  }
  writers.stop();
  for (const auto& [refusal, times] : writers.refusals())
    EXPECT_TRUE(refusal == "DM001" || refusal == "40001") << refusal << " " << times << " times";
  expect_one_writer(kUs);
  const auto ended = regions_->record("us");
  ASSERT_EQ(ended.epoch, begun.epoch + 2);
  const auto& history = ended.history;
  ASSERT_GE(history.size(), 2U);
  EXPECT_EQ(history[history.size() - 2].owner, kEu);
  EXPECT_EQ(history[history.size() - 2].epoch, begun.epoch + 1);
  EXPECT_EQ(history.back().owner, kUs);
}

TEST_F(AgentsSwitch, AWriterThatDoesNotFinishMakesTheSwitchWithdraw) {
  const auto begun = regions_->record("us");
  auto slow = regions_->database(kUs).connect("app");
  ASSERT_TRUE(slow.exec("BEGIN; " + Regions::insert_sql("us", regions_->next_row())));
  ASSERT_TRUE(regions_->order_switch("us", kEu));
  ASSERT_TRUE(regions_->serves("us", kUs, begun.epoch + 1)) << told();
  EXPECT_EQ(regions_->record("us").cause, authority::Cause::rollback);
  // It began in an epoch that is over. Refused is not lost: its client is told.
  const auto late = slow.exec("COMMIT");
  ASSERT_FALSE(late);
  EXPECT_EQ(postgres::sqlstate_of(late.error()), "DM001");
  expect_one_writer(kUs);
}

// Kills take longer than all other stories together: a suite of its own, with regions of its own.
class AgentsSwitchKilled : public AgentsSwitch {};

TEST_F(AgentsSwitchKilled, AnOwnersAgentThatDiesAfterAnyStepFinishesOrRollsBack) {
  for (const auto step : {authority::DrainStep::gateways_hold, authority::DrainStep::fence,
                          authority::DrainStep::receivers_have, authority::DrainStep::swap_moving})
    for (const char* moment : {"", ".done"}) {
      const std::string owner = regions_->record("us").owner;
      kill_and_start(owner, fmt::format("drain.{}{}", authority::name_of(step), moment), other(owner));
      if (HasFatalFailure()) return;
    }
}

TEST_F(AgentsSwitchKilled, ATargetsAgentThatDiesAfterAnyStepGoesOn) {
  using authority::OpenStep;
  for (const auto step :
       {OpenStep::stop_inbound, OpenStep::journal_position, OpenStep::advance_slots, OpenStep::advance_sequences,
        OpenStep::persist_epochs, OpenStep::swap_serving, OpenStep::publish})
    for (const char* moment : {"", ".done"}) {
      const std::string target = other(regions_->record("us").owner);
      kill_and_start(target, fmt::format("open.{}{}", authority::name_of(step), moment), target);
      if (HasFatalFailure()) return;
    }
}

// The beat loop goes on while the switch stands between its fence and the swap: the quorum still says that this region
// owns the residency.
TEST_F(AgentsSwitch, ABeatInTheMiddleOfASwitchReopensNothing) {
  regions_->stop_at(kUs, "drain.fence");
  ASSERT_TRUE(regions_->order_switch("us", kEu));
  ASSERT_TRUE(regions_->reached(kUs, "drain.fence"));
  const auto end = regions_->guard(kUs, "us").end;
  ASSERT_TRUE(beats_on(kUs, 3));
  EXPECT_EQ(regions_->guard(kUs, "us").end, end) << "a beat extended the lease of a residency that drains";
  regions_->stop_at(kUs, "drain.fence.done");
  let_go(kUs, "drain.fence");
  ASSERT_TRUE(regions_->reached(kUs, "drain.fence.done"));
  ASSERT_TRUE(beats_on(kUs, 3));
  EXPECT_EQ(regions_->guard(kUs, "us").state, "fenced");
  EXPECT_EQ(regions_->writable("us"), std::vector<std::string>{});
  let_go(kUs, "drain.fence.done");
  ASSERT_TRUE(regions_->serves("us", kEu)) << told();
  expect_one_writer(kEu);
}

// The quorum takes a beat and its answer is lost; the region reads, recognises its own beat, and must not count the
// lease from the reading.
TEST_F(AgentsSwitch, ABeatWhoseAnswerWasLostExtendsNothingByReadingAgain) {
  regions_->stop_at(kUs, "beat.unknown_outcome");
  for (const auto& region : Regions::all()) regions_->etcd().pause(region);
  const bool lost = regions_->reached(kUs, "beat.unknown_outcome");
  for (const auto& region : Regions::all()) regions_->etcd().resume(region);
  ASSERT_TRUE(lost) << told();
  ASSERT_TRUE(regions_->lease_ended(kUs, "us"));
  const auto end = regions_->guard(kUs, "us").end;
  regions_->stop_at(kUs, "beat.before_send");  // before the next one, which may earn a lease of its own
  let_go(kUs, "beat.unknown_outcome");
  ASSERT_TRUE(regions_->reached(kUs, "beat.before_send"));
  const auto guard = regions_->guard(kUs, "us");
  EXPECT_FALSE(guard.lease_runs) << "lease of " << (guard.end - end) / 1000 << " ms more after a mere reading";
  EXPECT_EQ(regions_->write(kUs, "us"), "DM001");
  let_go(kUs, "beat.before_send");
  ASSERT_TRUE(regions_->serves("us", kUs)) << told();
}

TEST_F(AgentsSwitch, ATargetThatIsTooSlowIsOvertakenAndOpensNothingLater) {
  const auto begun = regions_->record("us");
  regions_->stop_at(kEu, "open.swap_serving");
  ASSERT_TRUE(regions_->order_switch("us", kEu));
  ASSERT_TRUE(regions_->reached(kEu, "open.swap_serving")) << told();
  EXPECT_EQ(regions_->writable("us"), std::vector<std::string>{});
  // The owner looks at the deadline and takes it back above the epoch that the target was to have.
  ASSERT_TRUE(regions_->serves("us", kUs, begun.epoch + 2)) << told();
  EXPECT_EQ(regions_->record("us").cause, authority::Cause::rollback);
  let_go(kEu, "open.swap_serving");
  ASSERT_TRUE(regions_->settled()) << told();  // it follows again
  EXPECT_EQ(regions_->record("us").epoch, begun.epoch + 2);
  expect_one_writer(kUs);
  // What it had prepared must not stand in the way of the next switch to it, nor send anybody the same rows twice.
  move(kEu);
  expect_one_writer(kEu);
  EXPECT_TRUE(eventually([&] { return regions_->missing(kWest, "us").empty(); })) << told();
}

// One disk of three is no majority: whoever restores the quorum later could not know of this epoch.
TEST_F(AgentsSwitch, AnEpochOnAMinorityOfTheDisksOpensNothing) {
  const auto begun = regions_->record("us");
  regions_->stop_at(kUs, "drain.swap_moving");
  ASSERT_TRUE(regions_->order_switch("us", kEu));
  ASSERT_TRUE(regions_->reached(kUs, "drain.swap_moving"));
  regions_->pause_agent(kWest);
  const fs::path disk = regions_->state_folder(kUs), away = disk.string() + ".away";
  fs::rename(disk, away);  // the site lives and beats, and cannot keep an epoch
  let_go(kUs, "drain.swap_moving");
  const auto told_so = [&] { return regions_->agent_log(kEu).find("1 of 3 sites, no majority") != std::string::npos; };
  EXPECT_TRUE(eventually(told_so)) << told();
  EXPECT_EQ(regions_->record("us").mode, authority::Mode::moving);
  EXPECT_EQ(regions_->writable("us"), std::vector<std::string>{});
  fs::rename(away, disk);
  regions_->resume_agent(kWest);
  const auto opened = [&] {
    const auto now = regions_->record("us");
    return now.mode == authority::Mode::serving && now.epoch > begun.epoch &&
           regions_->guard(now.owner, "us").lease_runs;
  };
  ASSERT_TRUE(eventually(opened, 20 * kSecond, 50 * kMillisecond)) << told();
  ASSERT_TRUE(regions_->settled()) << told();
  expect_one_writer(regions_->record("us").owner);
}

// Both stand before their last step at once; each is a record of its own, and neither may end or undo the other.
TEST_F(AgentsSwitch, AReceiverThatIsAwayMeanwhileHoldsNobodyUp) {
  regions_->kill_region(kWest);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(regions_->write(kUs, "us"), "");
  const auto ordered = regions_->order_switch("us", kEu);
  ASSERT_TRUE(ordered) << render(ordered.error());
  ASSERT_TRUE(regions_->serves("us", kEu)) << told();
  ASSERT_EQ(regions_->write(kEu, "us"), "");
  // Its slot at the old owner stands before the fence and always will; the old owner is a standby all the same.
  ASSERT_TRUE(eventually([&] { return regions_->copy_state(kUs, "us") == "following"; })) << told();
  regions_->start_region(kWest);
  ASSERT_TRUE(eventually([&] { return regions_->copy_state(kWest, "us") == "following"; })) << told();
  ASSERT_TRUE(regions_->settled()) << told();
  expect_one_writer(kEu);
  for (const auto& region : {kUs, kWest})
    EXPECT_TRUE(eventually([&] { return regions_->missing(region, "us").empty(); })) << region << told();
}

TEST_F(AgentsSwitch, TwoResidenciesMoveAtOnce) {
  const std::string point = "open.swap_serving";
  for (const bool back : {false, true}) {
    const std::string us = back ? kUs : kEu, eu = back ? kEu : kWest;
    for (const auto& target : {us, eu}) regions_->stop_at(target, point);
    ASSERT_TRUE(regions_->order_switch("us", us));
    ASSERT_TRUE(regions_->order_switch("eu", eu));
    for (const auto& target : {us, eu}) ASSERT_TRUE(regions_->reached(target, point)) << target << told();
    for (const char* residency : {"us", "eu"}) {
      EXPECT_EQ(regions_->record(residency).mode, authority::Mode::moving) << residency;
      EXPECT_EQ(regions_->writable(residency), std::vector<std::string>{}) << residency;
    }
    for (const auto& target : {us, eu}) let_go(target, point);
    ASSERT_TRUE(regions_->serves("us", us)) << told();
    ASSERT_TRUE(regions_->serves("eu", eu)) << told();
    EXPECT_EQ(regions_->writable("eu"), std::vector<std::string>{eu});
    expect_one_writer(us);
    ASSERT_TRUE(regions_->settled()) << told();
  }
  EXPECT_EQ(regions_->missing(kEu, "eu"), std::vector<std::int64_t>{});
}

// What the first rows brought and what came over the link afterwards, new rows and changed ones.
TEST_F(AgentsSwitch, TheCopyInTheUsHoldsNoPersonalColumnOfAnEuRow) {
  for (int i = 0; i < 3; ++i) ASSERT_EQ(regions_->write(kEu, "eu"), "");
  ASSERT_TRUE(regions_->database(kEu).connect("app").exec(
      "UPDATE app.orders SET customer_name = 'another' WHERE residency = 'eu' AND id < 0"));
  ASSERT_EQ(regions_->write(kEu, "eu"), "");  // after the change, in the link's order
  ASSERT_TRUE(eventually([&] { return regions_->missing(kUs, "eu").empty(); })) << told();
  ASSERT_TRUE(eventually([&] { return regions_->missing(kWest, "eu").empty(); })) << told();
  const auto count = [&](const std::string& region, const std::string& which) {
    auto connection = regions_->database(region).connect();
    return must(connection.exec("SELECT count(*) FROM app.orders WHERE residency = 'eu' AND " + which))
        .integer_or(0, 0, -1);
  };
  EXPECT_EQ(count(kUs, "id < 0"), kFirstRows) << "the first rows";
  EXPECT_GT(count(kUs, "id > 0"), 0) << "the stream";
  EXPECT_EQ(count(kUs, "customer_name IS NOT NULL"), 0);
  EXPECT_EQ(count(kWest, "customer_name IS NULL"), 0) << "a full copy has it";
  EXPECT_EQ(count(kWest, "customer_name = 'another'"), kFirstRows);
}

}  // namespace
}  // namespace domicile::test
