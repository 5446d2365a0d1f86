// What the comparison calls lost, accepted on both sides, and back, on histories that are made up.
#include "classify.hpp"

#include <gtest/gtest.h>

namespace domicile::bench::peers {
namespace {

using drill::Outcome;
using drill::Write;

constexpr Micros kFault = 100 * kSecond;

Write write_at(const std::string& id, Micros due, Micros done, Outcome outcome = Outcome::acknowledged) {
  Write write;
  write.id = id, write.intended = due, write.done = done, write.outcome = outcome;
  return write;
}

// Served every 100 ms until the fault, nothing for `outage`, then served for 5 s; the new primary has all but the last
// `behind` writes from before.
History loss_of(Micros outage, int behind) {
  History history;
  history.fault = kFault, history.struck = kFault + 50 * kMillisecond;
  history.readable.emplace();
  for (int i = 0; i < 30; ++i) {
    const Micros due = kFault - (30 - i) * 100 * kMillisecond;
    history.outside.push_back(write_at(fmt::format("before-{}", i), due, due + 5 * kMillisecond));
    if (i < 30 - behind) history.readable->insert(fmt::format("before-{}", i));
  }
  for (int i = 1; i * 100 * kMillisecond < outage; ++i) {
    const Micros due = kFault + i * 100 * kMillisecond;
    history.outside.push_back(write_at(fmt::format("outage-{}", i), due, due + 3 * kSecond, Outcome::refused));
  }
  for (int i = 0; i < 50; ++i) {
    const Micros due = kFault + outage + i * 100 * kMillisecond;
    history.outside.push_back(write_at(fmt::format("new-{}", i), due, due + 20 * kMillisecond));
    history.readable->insert(fmt::format("new-{}", i));
  }
  return history;
}

TEST(Classify, ALossWithoutDivergenceLosesNothingAndIsBackWhenTheClientsAreServed) {
  const auto found = classify(loss_of(6 * kSecond, 0));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->rto, 6 * kSecond);
  EXPECT_EQ(found->first, 6 * kSecond + 20 * kMillisecond);
  EXPECT_EQ(found->rpo, 0);
  EXPECT_EQ(found->missing.size(), 0U);
  EXPECT_EQ(found->both_sides, 0U);
  EXPECT_EQ(found->counts.refused, 59U);
}

TEST(Classify, WhatTheNewPrimaryNeverHadIsLostUnlessTheOldOneGivesItBack) {
  auto history = loss_of(6 * kSecond, 3);
  auto found = classify(history);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lost, (std::vector<std::string>{"before-27", "before-28", "before-29"}));
  EXPECT_EQ(found->rpo, 295 * kMillisecond);
  EXPECT_EQ(found->both_sides, 0U) << "they were acknowledged before anybody else was primary";
  history.kept = {"before-27", "before-29", "never written"};
  found = classify(history);
  EXPECT_EQ(found->kept, 2U);
  EXPECT_EQ(found->lost, std::vector<std::string>{"before-28"});
  EXPECT_EQ(found->missing.size(), 3U);
}

TEST(Classify, BothSidesAreThoseOfTheOldPrimaryBehindTheFirstAcknowledgementOfTheNew) {
  auto history = loss_of(6 * kSecond, 0);
  const Micros first = kFault + 6 * kSecond + 20 * kMillisecond;
  EXPECT_EQ(opened(history), first);
  history.inside = {
      write_at("in-1", kFault + kSecond, kFault + kSecond + 5 * kMillisecond),  // nobody else yet
      write_at("in-2", first - kSecond, first - 1),
      write_at("in-3", first - kSecond, first),
      write_at("in-4", first, first + 700 * kMillisecond),
      write_at("in-5", first, first + 900 * kMillisecond, Outcome::unknown),
      write_at("in-6", first, first + 900 * kMillisecond, Outcome::refused),
  };
  history.after = {write_at("after-1", first + 9 * kSecond, first + 9 * kSecond + 2)};
  auto found = classify(history);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->both_sides, 3U) << "in-3, in-4 and after-1";
  EXPECT_EQ(found->overlap, 9 * kSecond + 2);
  EXPECT_EQ(found->lost.size(), 5U);
  // Kept is not lost, and yet was accepted where somebody else was the owner.
  history.kept = {"in-1", "in-2", "in-3", "in-4", "after-1"};
  found = classify(history);
  EXPECT_EQ(found->both_sides, 3U);
  EXPECT_EQ(found->lost.size(), 0U);
}

TEST(Classify, AWriteOfTheOldPrimaryWhileTheFaultWasBeingDoneDoesNotOpenTheNewOne) {
  auto history = loss_of(6 * kSecond, 0);
  // Due behind the fault's begin, acknowledged by the old primary and replicated before its last process was gone.
  history.outside.push_back(write_at("late", kFault + 10 * kMillisecond, kFault + 20 * kMillisecond));
  history.readable->insert("late");
  history.outside.push_back(write_at("gone", kFault + 12 * kMillisecond, kFault + 25 * kMillisecond));
  const auto found = classify(history);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lost, std::vector<std::string>{"gone"});
  EXPECT_EQ(found->both_sides, 0U);
}

TEST(Classify, ServiceThatNeverCameBackHasNoRto) {
  auto history = loss_of(6 * kSecond, 0);
  std::erase_if(history.outside, [](const Write& write) { return write.id.starts_with("new-"); });
  const auto found = classify(history);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->rto);
  EXPECT_FALSE(opened(history));
}

TEST(Classify, NobodyToAskIsNoAnswer) {
  auto history = loss_of(6 * kSecond, 0);
  history.readable.reset();
  EXPECT_FALSE(classify(history));
}

}  // namespace
}  // namespace domicile::bench::peers
