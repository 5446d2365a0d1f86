#include "core/desired/mend.hpp"

#include <gtest/gtest.h>

namespace domicile::desired {
namespace {

std::string acts(const std::vector<Step>& steps) {
  std::string out;
  for (const auto& step : steps) out += (out.empty() ? "" : " ") + std::string(name_of(step.act));
  return out;
}

TEST(Mend, DoesWhatBringsBackWhatApplyMadeAndReportsTheRest) {
  Plan plan;
  for (int act = 0; act <= static_cast<int>(Act::enable_subscription); ++act)
    plan.steps.push_back({static_cast<Act>(act), "x", std::string(name_of(static_cast<Act>(act)))});
  const auto mend = mend_of(plan, {});
  EXPECT_EQ(acts(mend.now), "change-publication guard-table create-publication");
  EXPECT_EQ(acts(mend.report),
            "drop-publication install-schema create-role change-role install-guard law-table set-observe grant-agent");
  const auto again = mend_of(plan, {"guard-table"});
  EXPECT_EQ(acts(again.now), "change-publication create-publication");
  EXPECT_NE(acts(again.report).find("guard-table"), std::string::npos) << "what came back is told, not done for ever";
}

TEST(Mend, NoPassDropsAnything) {
  Plan plan;
  for (const Act act : {Act::drop_publication, Act::drop_slot, Act::drop_subscription, Act::disable_subscription})
    plan.steps.push_back({act, "domicile_salvage_eu", "s"});
  EXPECT_TRUE(mend_of(plan, {}).now.empty());
}

TEST(Mend, ReportsWhatIsNotReadyButNoWarningAndNoRightThatOnlyApplyNeeds) {
  const auto drift = drift_of({{"DOM-P038", true, "app.orders", "column 'note' is neither personal nor shared"},
                               {"DOM-P006", true, "role", "no superuser"},
                               {"DOM-P005", false, "max_prepared_transactions", "may stay prepared"}});
  ASSERT_EQ(drift.size(), 1);
  EXPECT_EQ(drift[0].code, "DOM-P038");
}

TEST(Mend, WarnsOfWhoMightTakeTheLogPastTheGateAndOfNothingElse) {
  const auto warned = warnings_of({{"DOM-P018", false, "back-up", "may replicate"},
                                   {"DOM-P005", false, "max_prepared_transactions", "may stay prepared"},
                                   {"DOM-P019", false, "standby1", "a physical slot"},
                                   {"DOM-P017", true, "cdc", "wal2json"}});
  ASSERT_EQ(warned.size(), 2u);
  EXPECT_EQ(warned[0].object, "back-up");
  EXPECT_EQ(warned[1].object, "standby1");
}

}  // namespace
}  // namespace domicile::desired
