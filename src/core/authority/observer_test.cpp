#include "core/authority/observer.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace domicile::authority {
namespace {

View with_beat(const std::string& region, const std::string& boot, std::int64_t counter) {
  View view;
  const Beat beat{boot, counter, 1, {}};
  view.beats[region] = {beat, to_text(beat)};
  return view;
}

Micros life_after(const View& first, const View& second) {
  Observed o = observe({}, first, {"a"}, 100);
  o = observe(o, second, {"a"}, 200);
  return o.lives.at("a").changed_at;
}

TEST(Life, IsOnlyAHigherCounterOrANewBoot) {
  struct {
    const char* name;
    std::string boot;
    std::int64_t counter;
    Micros want;
  } cases[] = {
      {"the same beat is no life", "x", 7, 100},
      {"a higher counter is", "x", 8, 200},
      {"a lower counter of the same boot is a restored quorum: as at a first look", "x", 6, 200},
      {"a new boot is life whatever its counter", "y", 1, 200},
      {"a new boot with the same counter", "y", 7, 200},
  };
  for (const auto& c : cases)
    EXPECT_EQ(life_after(with_beat("a", "x", 7), with_beat("a", c.boot, c.counter)), c.want) << c.name;
}

TEST(Life, ABeatThatDisappearedIsNone) { EXPECT_EQ(life_after(with_beat("a", "x", 7), {}), 100); }

TEST(Life, ARegionWithoutABeatCountsFromTheFirstLook) {
  Observed o = observe({}, {}, {"a"}, 100);
  o = observe(o, {}, {"a"}, 9'000);
  EXPECT_EQ(expires_at(o, "a", 50, 5), 155);
}

TEST(Life, ARestoreRestartsEveryClockOnceAndTheDeadStillExpire) {
  View view = with_beat("a", "x", 9);
  view.beats["b"] = with_beat("b", "y", 5).beats["b"];
  Observed o = observe({}, view, {"a", "b"}, 100);
  view.beats["b"] = with_beat("b", "y", 2).beats["b"];  // our own, say: the quorum went back
  o = observe(o, view, {"a", "b"}, 200);
  EXPECT_EQ(o.lives.at("a").changed_at, 200) << "beats of a that nobody remembers may have been there";
  o = observe(o, view, {"a", "b"}, 300);
  EXPECT_EQ(o.lives.at("a").changed_at, 200);
  EXPECT_EQ(o.lives.at("b").changed_at, 200);
}

TEST(Glimpse, TakesOnlyAHigherCounterOfTheSameBoot) {
  struct {
    const char* name;
    std::string boot;
    std::int64_t counter;
    Life want;
  } cases[] = {
      {"the same", "x", 7, {"x", 7, 100}},
      {"higher", "x", 8, {"x", 8, 200}},
      {"lower: a member that lags, no restore", "x", 6, {"x", 7, 100}},
      {"another boot: perhaps of long ago", "w", 9, {"x", 7, 100}},
  };
  for (const auto& c : cases) {
    const auto o = glimpse(observe({}, with_beat("a", "x", 7), {"a"}, 100), with_beat("a", c.boot, c.counter), 200);
    EXPECT_EQ(o.lives.at("a").boot, c.want.boot) << c.name;
    EXPECT_EQ(o.lives.at("a").counter, c.want.counter) << c.name;
    EXPECT_EQ(o.lives.at("a").changed_at, c.want.changed_at) << c.name;
  }
  EXPECT_TRUE(glimpse({}, with_beat("a", "x", 7), 200).lives.empty()) << "a first look is the quorum's";
}

TEST(Glimpse, IsNoRestoreForTheReadThatFollows) {
  Observed o = observe({}, with_beat("a", "x", 7), {"a"}, 100);
  o = glimpse(o, with_beat("a", "x", 8), 200);
  o = observe(o, with_beat("a", "x", 8), {"a"}, 300);
  EXPECT_EQ(o.lives.at("a").changed_at, 200) << "it was seen before";
}

TEST(Expiry, OfARegionThatNobodyLooksAtNeverComes) {
  EXPECT_EQ(expires_at({}, "a", 50, 5), std::numeric_limits<Micros>::max());
}

TEST(Expiry, IsTtlAndMarginAfterTheLastChange) {
  EXPECT_EQ(expires_at(observe({}, with_beat("a", "x", 1), {"a"}, 100), "a", 50, 5), 155);
}

View with_record(const Record& record) {
  View view;
  view.authorities["eu"] = {record, to_text(record)};
  return view;
}

TEST(Sight, StartsAgainOnlyWhenTheStateOfTheSwitchChanges) {
  const Record base{"a", 4, Mode::draining, "s", "a", "b", Cause::planned};
  struct {
    const char* name;
    Record next;
    Micros want;
  } cases[] = {
      {"the same", base, 100},
      {"another cause or history is the same switch", {"a", 4, Mode::draining, "s", "a", "b", Cause::rollback}, 100},
      {"another mode", {"a", 4, Mode::moving, "s", "a", "b", Cause::planned}, 200},
      {"another epoch", {"a", 5, Mode::draining, "s", "a", "b", Cause::planned}, 200},
      {"another switch", {"a", 4, Mode::draining, "t", "a", "b", Cause::planned}, 200},
      {"another target", {"a", 4, Mode::draining, "s", "a", "c", Cause::planned}, 200},
  };
  for (const auto& c : cases) {
    Observed o = observe({}, with_record(base), {}, 100);
    o = observe(o, with_record(c.next), {}, 200);
    EXPECT_EQ(o.sights.at("eu").first_seen, c.want) << c.name;
  }
}

}  // namespace
}  // namespace domicile::authority
