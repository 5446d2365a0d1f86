#include <gtest/gtest.h>

#include "prove/self_test.hpp"

namespace domicile::prove {
namespace {

SelfTest perfect() { return {.leaks = {{"wan", "a", true, true, "here"}, {"tls", "b", true, true, "there"}}}; }

TEST(SelfTestHolds, WhenEveryLeakWasPlantedAndFound) {
  EXPECT_TRUE(perfect().held());
  EXPECT_EQ(perfect().planted(), 2U);
  EXPECT_EQ(perfect().found(), 2U);
}

TEST(SelfTestHolds, NotWhenAnythingIsMissing) {
  const struct {
    const char* name;
    void (*spoil)(SelfTest&);
  } cases[] = {
      {"a leak was not found", [](SelfTest& test) { test.leaks[1].found = false; }},
      {"a leak could not be planted", [](SelfTest& test) { test.leaks[0].planted = test.leaks[0].found = false; }},
      {"no leak was tried", [](SelfTest& test) { test.leaks.clear(); }},
      {"an encoding is a blind spot", [](SelfTest& test) { test.blind_spots = {"gzip > hex"}; }},
      {"something was found that nobody planted", [](SelfTest& test) { test.phantoms = {"us-east-1: logs"}; }},
  };
  for (const auto& c : cases) {
    SelfTest test = perfect();
    c.spoil(test);
    EXPECT_FALSE(test.held()) << c.name;
  }
}

}  // namespace
}  // namespace domicile::prove
