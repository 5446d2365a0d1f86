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
  static void SetUpTestSuite() { regions_ = std::make_unique<Regions>(); }
  static void TearDownTestSuite() { regions_.reset(); }

  // Each story begins with everything served and every copy ready to take over, wherever the last one left it.
  void SetUp() override {
    if (regions_->record("us").owner != kUs) move(kUs);
    ASSERT_TRUE(regions_->serves("us", kUs)) << told();
    ASSERT_TRUE(regions_->settled()) << told();
  }
  void TearDown() override { regions_->forget_stalls(); }

  std::string told() {
    std::string out;
    for (const auto& region : Regions::all()) out += "\n--- " + region + "\n" + regions_->agent_log(region);
    return out.size() > 20'000 ? out.substr(out.size() - 20'000) : out;
  }
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

}  // namespace
}  // namespace domicile::test
