#include "gate/pace.hpp"

#include <gtest/gtest.h>

namespace domicile::gate {
namespace {

// Takings of `messages` each `apart`; the longest that one had to wait for the next.
Micros longest_wait(Pace& pace, Micros& now, int takings, std::size_t messages, Micros apart) {
  Micros longest = 0;
  for (int i = 0; i < takings; ++i, now += apart) {
    pace.took(messages, now);
    longest = std::max(longest, pace.wait(now));
  }
  return longest;
}

TEST(Pace, WhoeverWaitsForACommitOfTheirsIsNotHeldUp) {
  Pace pace;
  Micros now = kSecond;
  // Begin, insert and commit every 200 us, each taken by itself: one client that commits as fast as it can.
  EXPECT_EQ(longest_wait(pace, now, 3000, 1, 67), 0);
}

TEST(Pace, ABusyStreamIsTakenFromAtIntervals) {
  Pace pace;
  Micros now = kSecond;
  EXPECT_EQ(longest_wait(pace, now, 500, 1, 10), Pace::kPause);
  pace.took(1, now);
  EXPECT_EQ(pace.wait(now + 100), Pace::kPause - 100);
  EXPECT_EQ(pace.wait(now + Pace::kPause), 0);
  EXPECT_EQ(pace.wait(now + kSecond), 0);
}

TEST(Pace, ItStaysBusyWhileEachTakingBringsManyAndNoLonger) {
  Pace pace;
  Micros now = kSecond;
  (void)longest_wait(pace, now, 500, 1, 10);
  EXPECT_EQ(longest_wait(pace, now, 100, 25, Pace::kPause), Pace::kPause);
  now += 3 * Pace::kWindow;
  pace.took(1, now);
  EXPECT_EQ(pace.wait(now), 0) << "after silence";
}

}  // namespace
}  // namespace domicile::gate
