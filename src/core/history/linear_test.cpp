#include "core/history/linear.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

namespace domicile::history {
namespace {

constexpr Start kEmpty{true, {}};
constexpr Micros kNever = 1'000'000;

Step read(Held value, Micros begin, Micros end) { return {Step::Act::read, value, 0, 0, begin, end, true}; }
Step write(std::int64_t value, Micros begin, Micros end, bool certain = true) {
  return {Step::Act::write, {}, value, 0, begin, end, certain};
}
Step cas(std::int64_t old, std::int64_t value, Micros begin, Micros end) {
  return {Step::Act::cas, {}, value, old, begin, end, true};
}

TEST(Linearizable, SaysWhichHistoriesOneRegisterCanHave) {
  const struct {
    const char* name;
    std::vector<Step> steps;
    Start initial;
    Linear want;
  } cases[] = {
      {"nothing", {}, kEmpty, Linear::yes},
      {"reads what was written", {write(1, 0, 1), read(1, 2, 3)}, kEmpty, Linear::yes},
      {"a stale read", {write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)}, kEmpty, Linear::no},
      {"an overlapping read may be of before", {write(1, 0, 1), write(2, 2, 5), read(1, 3, 4)}, kEmpty, Linear::yes},
      {"and of after", {write(1, 0, 1), write(2, 2, 5), read(2, 3, 4)}, kEmpty, Linear::yes},
      {"but not first after and then before",
       {write(1, 0, 1), write(2, 2, 9), read(2, 3, 4), read(1, 5, 6)},
       kEmpty,
       Linear::no},
      {"never written", {read(7, 0, 1)}, kEmpty, Linear::no},
      {"never written, and nobody knows what was there", {read(7, 0, 1)}, {}, Linear::yes},
      {"unknown at first, and then it is settled", {read(7, 0, 1), read(8, 2, 3)}, {}, Linear::no},
      {"empty after a write", {write(1, 0, 1), read({}, 2, 3)}, kEmpty, Linear::no},
      {"an unknown write happened", {write(1, 0, kNever, false), read(1, 5, 6)}, kEmpty, Linear::yes},
      {"or not", {write(1, 0, kNever, false), read({}, 5, 6)}, kEmpty, Linear::yes},
      {"but not before it began", {read(1, 0, 1), write(1, 2, kNever, false)}, kEmpty, Linear::no},
      {"and not undone again", {write(1, 0, kNever, false), read(1, 5, 6), read({}, 7, 8)}, kEmpty, Linear::no},
      {"compare and set", {write(1, 0, 1), cas(1, 2, 2, 3), read(2, 4, 5)}, kEmpty, Linear::yes},
      {"two of the same old value", {write(1, 0, 1), cas(1, 2, 2, 9), cas(1, 3, 2, 9)}, kEmpty, Linear::no},
      {"compared with what was never there", {cas(4, 5, 0, 1)}, kEmpty, Linear::no},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(linearizable(each.steps, each.initial), each.want) << each.name;
  }
}

TEST(Linearizable, ASearchThatIsTooLongIsNoAnswer) {
  std::vector<Step> steps;
  for (int i = 0; i < 12; ++i) steps.push_back(write(i, 0, 100));
  steps.push_back(read(99, 200, 201));
  EXPECT_EQ(linearizable(steps, kEmpty, 1000), Linear::undecided);
}

// What one register did, told with operations that take longer than they took.
RC_GTEST_PROP(Linearizable, WhatARegisterDidIsAlwaysPossible, ()) {
  Held held;
  std::vector<Step> steps;
  const auto count = *rc::gen::inRange(1, 25);
  for (Micros now = 10; now < 10 + count * 10; now += 10) {
    const Micros begin = now - *rc::gen::inRange<Micros>(0, 25), end = now + *rc::gen::inRange<Micros>(0, 25);
    switch (*rc::gen::inRange(0, 4)) {
      case 0:
        steps.push_back(read(held, begin, end));
        break;
      case 1:
        held = now;
        steps.push_back(write(now, begin, end));
        break;
      case 2:
        if (!held) break;
        steps.push_back(cas(*held, now, begin, end));
        held = now;
        break;
      default:  // nobody knows: it happened or not
        steps.push_back(write(now, begin, kNever, false));
        if (*rc::gen::arbitrary<bool>()) held = now;
    }
  }
  steps.push_back(read(held, kNever, kNever + 1));
  RC_ASSERT(linearizable(steps, kEmpty) == Linear::yes);
  // A read of something else, in the end, is seen.
  steps.back().read = -1;
  RC_ASSERT(linearizable(steps, kEmpty) == Linear::no);
}

}  // namespace
}  // namespace domicile::history
