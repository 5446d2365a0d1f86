#include "drill/headroom.hpp"

#include <gtest/gtest.h>

namespace domicile::drill {
namespace {

TEST(Headroom, ReadsTheTimeOfAllProcessors) {
  const auto time = processor_time("cpu  10 1 20 300 40 5 6 7 99 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n");
  ASSERT_TRUE(time);
  EXPECT_EQ(time->idle, 340u);
  EXPECT_EQ(time->all, 389u);
  for (const char* bad : {"", "cpu", "cpu 1 2 3 4 5 6 7\n", "cpu0 1 2 3 4 5 6 7 8\n", "cpu 1 2 3 x 5 6 7 8\n"})
    EXPECT_FALSE(processor_time(bad)) << bad;
}

TEST(Headroom, IsTheIdleShareOfWhatPassed) {
  EXPECT_DOUBLE_EQ(idle_share({100, 1'000}, {150, 1'200}), 0.25);
  EXPECT_DOUBLE_EQ(idle_share({100, 1'000}, {100, 1'000}), 0) << "nothing passed";
}

}  // namespace
}  // namespace domicile::drill
