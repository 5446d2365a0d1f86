#include "campaign/schedule.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

namespace domicile::campaign {
namespace {

const Ground kGround{{"a", "b", "c"}, {"a", "b", "c", "v"}, {"us", "eu"}};

RC_GTEST_PROP(Schedule, IsTheSameForTheSameSeedAndOverInTime, (std::uint64_t seed)) {
  const Micros length = *rc::gen::inRange<Micros>(1, 600) * kSecond;
  const auto faults = draw_schedule(seed, length, kGround);
  RC_ASSERT(faults == draw_schedule(seed, length, kGround));
  Micros last = 0;
  for (const Fault& fault : faults) {
    RC_ASSERT(fault.at >= last && fault.length >= 0 && fault.at + fault.length <= length);
    RC_ASSERT(fault.site != fault.other);
    last = fault.at;
  }
}

RC_GTEST_PROP(Schedule, NeverTakesTwoRegionsAtOnce, (std::uint64_t seed)) {
  Micros free = 0;
  for (const Fault& fault : draw_schedule(seed, 300 * kSecond, kGround)) {
    if (fault.kind > FaultKind::isolate_all && fault.kind != FaultKind::etcd_loss && fault.kind != FaultKind::full_disk)
      continue;
    RC_ASSERT(fault.at >= free);
    free = fault.at + fault.length;
  }
}

TEST(Schedule, HasEveryKindInTenMinutes) {
  std::set<FaultKind> kinds;
  const auto faults = draw_schedule(7, 600 * kSecond, kGround);
  for (const Fault& fault : faults) kinds.insert(fault.kind);
  EXPECT_EQ(kinds.size(), 15U);
  EXPECT_GT(faults.size(), 120U);
  const std::string text = table(faults);
  EXPECT_EQ(std::ranges::count(text, '\n'), static_cast<std::ptrdiff_t>(faults.size()));
  EXPECT_NE(draw_schedule(8, 600 * kSecond, kGround), faults);
}

TEST(Schedule, SaysWhatItDoes) {
  EXPECT_EQ(table({{2 * kSecond, 3'500'000, FaultKind::kill_program, "a", "agent", 0},
                   {5 * kSecond, 0, FaultKind::planned_switch, "us", "", 0},
                   {6 * kSecond, kSecond, FaultKind::clock_step, "b", "", -1'500'000}}),
            "    2.0 s  for  3.5 s  kill-program a agent\n"
            "    5.0 s              planned-switch us\n"
            "    6.0 s  for  1.0 s  clock-step b by -1.5 s\n");
}

}  // namespace
}  // namespace domicile::campaign
