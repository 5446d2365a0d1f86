#include "core/authority/standby.hpp"

#include <gtest/gtest.h>

namespace domicile::authority {
namespace {

Record record(const std::string& covered) {
  Record out{"a", 4, Mode::serving, "s", "a", "a", Cause::bootstrap};
  if (!covered.empty()) out.covered = Covered{4, covered};
  return out;
}

struct Case {
  const char* name;
  std::string covered;
  std::set<std::string> live;
  bool gone, go_on;
  bool waits;
  std::vector<std::string> wait_for;
};

TEST(PlanStandby, CommitsWaitForWhomTheRecordNamesUntilItSaysOtherwise) {
  const Case cases[] = {
      {"the first that confirms", "", {"c", "b"}, false, false, true, {"b"}},
      {"the next one where the first is silent", "", {"c"}, false, false, true, {"c"}},
      {"nobody confirms: writes wait", "", {}, false, false, true, {"b"}},
      {"nobody confirms: they go on", "", {}, false, true, false, {}},
      {"whom the record names", "c", {"b", "c"}, false, false, true, {"c"}},
      {"a short silence", "c", {"b"}, false, true, true, {"c"}},
      {"another one is to take its place", "c", {"b"}, true, false, true, {"c", "b"}},
      {"there too where it would go on", "c", {"b"}, true, true, true, {"c", "b"}},
      {"nobody else: writes wait", "c", {}, true, false, true, {"c"}},
      {"nobody else, and it would go on: not before the record says so", "c", {}, true, true, true, {"c"}},
      {"one that is no standby is none", "", {"x"}, false, true, false, {}},
  };
  for (const auto& c : cases) {
    Rules rules{"r", "a", {"b", "c"}, 0};
    rules.go_on = c.go_on;
    const std::optional<Record> seen = record(c.covered);
    const auto plan = plan_standby({rules, "a", seen, c.live, c.gone});
    EXPECT_EQ(plan.waits, c.waits) << c.name;
    EXPECT_EQ(plan.wait_for, c.wait_for) << c.name;
    EXPECT_FALSE(plan.why.empty()) << c.name;
  }
}

TEST(PlanStandby, OnlyTheOwnerAndWhoIsToOpenIt) {
  const Rules rules{"r", "a", {"b", "c"}, 0};
  std::optional<Record> seen;
  EXPECT_EQ(plan_standby({rules, "a", seen, {"b"}, false}), StandbyPlan());
  seen = record("b");
  EXPECT_EQ(plan_standby({rules, "b", seen, {"a"}, false}), StandbyPlan());
  seen->mode = Mode::draining, seen->to = "b";
  EXPECT_EQ(plan_standby({rules, "a", seen, {"b"}, false}).wait_for, std::vector<std::string>{"b"});
  seen->mode = Mode::moving, seen->epoch = 5;
  EXPECT_EQ(plan_standby({rules, "a", seen, {"b"}, false}), StandbyPlan());
  EXPECT_EQ(plan_standby({rules, "b", seen, {}, false}).wait_for, std::vector<std::string>{"a"}) << "the home first";
}

// Until the next epoch is kept by a majority of the sites, a restored quorum could name the old standby again.
TEST(PlanStandby, WhoseWordIsTakenBackIsWaitedForUntilTheNextEpochIsOpen) {
  Rules rules{"r", "a", {"b", "c"}, 0};
  rules.go_on = true;
  std::optional<Record> seen = record("b");
  seen->history = {{4, "a", {}}};
  seen->mode = Mode::moving, seen->epoch = 5, seen->cause = Cause::takeback;
  using Names = std::vector<std::string>;
  EXPECT_EQ(plan_standby({rules, "a", seen, {}, true}).wait_for, Names{"b"});
  EXPECT_EQ(plan_standby({rules, "a", seen, {"c"}, true}).wait_for, (Names{"b", "c"}));
  rules.rpo = kSecond;
  EXPECT_EQ(plan_standby({rules, "a", seen, {}, true}).wait_for, Names{"b"});
  rules.rpo = 0;
  // Of an epoch before the last one, and of another owner's, it says nothing.
  seen->history.push_back({5, "a", {}}), seen->epoch = 6;
  EXPECT_EQ(named_standby(*seen), "");
  seen->history.pop_back(), seen->epoch = 5, seen->to = "b";
  EXPECT_EQ(named_standby(*seen), "");
  seen->mode = Mode::serving, seen->to = "a";
  EXPECT_EQ(plan_standby({rules, "a", seen, {}, true}),
            (StandbyPlan{false, {}, "no standby confirms: writes are served without one"}));
}

TEST(PlanStandby, WithAnotherRpoUntilTheRecordHasSaidSo) {
  const Rules rules{"r", "a", {"b"}, kSecond};
  std::optional<Record> seen = record("b");
  EXPECT_EQ(plan_standby({rules, "a", seen, {}, true}).wait_for, std::vector<std::string>{"b"});
  seen = record("");
  EXPECT_EQ(plan_standby({rules, "a", seen, {"b"}, false}), StandbyPlan());
}

TEST(Covered, SurvivesTheTextAndMeansNothingInAnotherEpoch) {
  Record record{"a", 4, Mode::serving, "s", "a", "a", Cause::bootstrap};
  record.covered = Covered{4, "b"};
  EXPECT_EQ(covered_by(*record_of(to_text(record))), "b");
  // As an agent that does not know of it would write it on: the member stays, the epoch grows.
  std::string later = to_text(record);
  later.replace(later.find("\"epoch\":4,\"from\""), 9, "\"epoch\":5");
  const auto read = record_of(later);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->epoch, 5);
  EXPECT_EQ(covered_by(*read), "");
  record.epoch = 6;
  EXPECT_EQ(to_text(record).find("covered"), std::string::npos);
}

}  // namespace
}  // namespace domicile::authority
