#include "engines/postgres/links/marker.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace domicile::postgres::links {
namespace {

LagFacts good() {
  LagFacts facts{true, true, true, false, Marker{5'000'000, 100, 3}, Marker{4'200'000, 90, 3}};
  return facts;
}

TEST(Lag, IsTheDifferenceOfTwoMarkersOfTheOwnersClock) { EXPECT_EQ(lag(good()).us, 800'000); }

TEST(Lag, IsZeroWhenTheCopyIsAheadOfTheLastBeat) {
  auto facts = good();
  facts.applied->clock_us = 5'100'000;
  EXPECT_EQ(lag(facts).us, 0);
}

TEST(Lag, IsUnknownWithItsReasonWheneverAFactIsMissing) {
  const struct {
    const char* name;
    void (*spoil)(LagFacts&);
  } cases[] = {
      {"first rows not complete", [](LagFacts& f) { f.copy_complete = false; }},
      {"schema differs", [](LagFacts& f) { f.schema_agrees = false; }},
      {"link disabled", [](LagFacts& f) { f.enabled = false; }},
      {"resync", [](LagFacts& f) { f.resync = true; }},
      {"no beat", [](LagFacts& f) { f.committed.reset(); }},
      {"no marker here", [](LagFacts& f) { f.applied.reset(); }},
      {"marker of an older epoch", [](LagFacts& f) { f.applied->epoch = 2; }},
  };
  for (const auto& c : cases) {
    auto facts = good();
    c.spoil(facts);
    const Lag result = lag(facts);
    EXPECT_FALSE(result.us.has_value()) << c.name;
    EXPECT_FALSE(result.why.empty()) << c.name;
  }
}

TEST(SequenceMargin, IsTheLargerOfStepAndTwiceTheRateOverTheTime) {
  EXPECT_EQ(sequence_margin({0, 10 * kSecond, 1'000}), 1'000);
  EXPECT_EQ(sequence_margin({500, 6 * kSecond, 1'000}), 6'000);
  EXPECT_EQ(sequence_margin({-5, -kSecond, 7}), 7);
  EXPECT_EQ(sequence_margin({1e300, kSecond, 1}), 1'000'000'000'000'000);
}

RC_GTEST_PROP(SequenceMargin, NeverFallsShortOfWhatTheRateUses, ()) {
  const auto rate = *rc::gen::inRange(0, 100'000);
  const auto time = *rc::gen::inRange<Micros>(0, 60 * kSecond);
  const auto step = *rc::gen::inRange<std::int64_t>(0, 100'000);
  const auto margin = sequence_margin({static_cast<double>(rate), time, step});
  RC_ASSERT(margin >= step);
  RC_ASSERT(margin >= static_cast<std::int64_t>(rate) * time / kSecond);
}

}  // namespace
}  // namespace domicile::postgres::links
