#include "agent/loop_life.hpp"

#include <gtest/gtest.h>

namespace domicile::agent {
namespace {

TEST(LoopLives, CountThePassesOfEachLoopAndOfSeveralWithOneNameTheOneThatIsBehind) {
  LoopLife beat, us, eu;
  LoopLives lives;
  lives.add("beat", beat, kSecond);
  lives.add("residency", us, kSecond);
  lives.add("residency", eu, kSecond);
  beat.begin_pass();
  for (int i = 0; i < 3; ++i) us.begin_pass();
  eu.begin_pass();
  eu.begin_pass();
  eu.alive();  // is no pass
  EXPECT_EQ(lives.passes(), (std::map<std::string, std::int64_t>{{"beat", 1}, {"residency", 2}}));
}

TEST(LoopLives, ALoopHangsWhenItWasSilentForLongerThanAnyPassCanTake) {
  LoopLife beat, us, eu;
  LoopLives lives;
  lives.add("beat", beat, kSecond);
  lives.add("residency", us, 60 * kSecond);
  lives.add("residency", eu, 60 * kSecond);
  const Micros begun = beat.alive_at();
  EXPECT_TRUE(lives.hung(begun).empty());
  EXPECT_EQ(lives.hung(begun + 2 * kSecond), std::vector<std::string>{"beat"});
  EXPECT_EQ(lives.hung(begun + 100 * kSecond), (std::vector<std::string>{"beat", "residency"}));
}

TEST(LoopLives, ALoopThatNeverBeganHangsToo) {
  LoopLife never;
  LoopLives lives;
  lives.add("marker", never, kSecond);
  EXPECT_EQ(lives.hung(monotonic_now() + 2 * kSecond), std::vector<std::string>{"marker"});
}

}  // namespace
}  // namespace domicile::agent
