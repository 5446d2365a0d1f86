#include "core/authority/homeward.hpp"

#include <gtest/gtest.h>

namespace domicile::authority {
namespace {

constexpr Micros kQuiet = 600 * kSecond;

Rules rules() {
  Rules rules{"us", "us-1", {"eu-1"}};
  rules.failback = kQuiet;
  return rules;
}

Record lost() {
  Record record;
  record.owner = "eu-1";
  record.epoch = 4;
  record.mode = Mode::serving;
  record.cause = Cause::automatic;
  return record;
}

HomeSeen fit() {
  HomeSeen home;
  home.copy.copy.state = Copy::State::following;
  home.copy.copy.source = "eu-1";
  home.copy.copy.epoch = 4;
  home.copy.complete = true;
  home.copy.lag = 0;
  home.salvage_open = 0;
  return home;
}

TEST(Homeward, OnlyWhoeverLostItsHomeThinksOfIt) {
  EXPECT_TRUE(away_from_home(rules(), lost(), "eu-1"));
  auto approved = lost();
  approved.cause = Cause::approved;
  EXPECT_TRUE(away_from_home(rules(), approved, "eu-1"));
  for (const Cause cause : {Cause::planned, Cause::rollback, Cause::bootstrap, Cause::adopted}) {
    auto other = lost();
    other.cause = cause;
    EXPECT_FALSE(away_from_home(rules(), other, "eu-1")) << name_of(cause);
  }
  auto moving = lost();
  moving.mode = Mode::moving;
  EXPECT_FALSE(away_from_home(rules(), moving, "eu-1"));
  EXPECT_FALSE(away_from_home(rules(), lost(), "us-1")) << "another region's";
  auto at_home = lost();
  at_home.owner = "us-1";
  EXPECT_FALSE(away_from_home(rules(), at_home, "us-1"));
  auto by_hand = rules();
  by_hand.failback.reset();
  EXPECT_FALSE(away_from_home(by_hand, lost(), "eu-1"));
}

// An owner that goes on by itself at a higher epoch has still lost its home.
TEST(Homeward, WhatItTookBackFromItselfSinceChangesNothing) {
  const Position at{"7", 1, 100};
  auto record = lost();
  record.cause = Cause::takeback;
  EXPECT_FALSE(away_from_home(rules(), record, "eu-1")) << "nobody knows how it came here";
  record.history = {{3, "us-1", {}}, {4, "eu-1", {}, at}, {5, "eu-1", {}}, {6, "eu-1", {}}};
  EXPECT_TRUE(away_from_home(rules(), record, "eu-1"));
  record.history[1] = {4, "eu-1", at};
  EXPECT_FALSE(away_from_home(rules(), record, "eu-1")) << "a person sent it here";
  record.history = {{4, "eu-1", {}}, {5, "eu-1", {}, at}, {6, "eu-1", {}}};
  EXPECT_FALSE(away_from_home(rules(), record, "eu-1")) << "its own disk was put back, and a person accepted that";
}

TEST(Homeward, WaitsOutAQuietTimeThatEveryDoubtBeginsAnew) {
  const auto rules_ = rules();
  const auto record = lost();
  auto now = Micros{1'000 * kSecond};
  auto said = homeward({rules_, record, fit(), {}, now});
  EXPECT_FALSE(said.go);
  ASSERT_EQ(said.fit_since, now);
  EXPECT_EQ(said.why, "goes home to us-1 in 600 s, if nothing happens");
  said = homeward({rules_, record, fit(), said.fit_since, now + kQuiet - 1});
  EXPECT_FALSE(said.go);
  EXPECT_TRUE(homeward({rules_, record, fit(), said.fit_since, now + kQuiet}).go);

  now += kQuiet - 1;
  auto doubtful = fit();
  doubtful.copy.lag.reset();
  const auto doubt = homeward({rules_, record, doubtful, said.fit_since, now});
  EXPECT_FALSE(doubt.go);
  EXPECT_FALSE(doubt.fit_since.has_value());
  EXPECT_FALSE(homeward({rules_, record, fit(), doubt.fit_since, now + 1}).go);
}

TEST(Homeward, SalvageIsDecidedFirst) {
  const auto rules_ = rules();
  const auto record = lost();
  auto home = fit();
  home.salvage_open = 3;
  const auto said = homeward({rules_, record, home, 0, 10 * kQuiet});
  EXPECT_FALSE(said.go);
  EXPECT_NE(said.why.find("3 salvaged rows"), std::string::npos);
  home.salvage_open.reset();
  EXPECT_FALSE(homeward({rules_, record, home, 0, 10 * kQuiet}).go) << "unknown is not none";
}

TEST(Homeward, NoUnfitHomeIsGoneTo) {
  const auto rules_ = rules();
  const auto record = lost();
  std::vector<HomeSeen> unfit(4, fit());
  unfit[0].copy.unknown = "no answer";
  unfit[1].copy.copy.state = Copy::State::resync;
  unfit[2].copy.copy.epoch = 3;
  unfit[3].copy.lag = rules_.rpo + 1;
  for (const auto& home : unfit) EXPECT_FALSE(homeward({rules_, record, home, 0, 10 * kQuiet}).go);
}

}  // namespace
}  // namespace domicile::authority
