#include "agent/drill_book.hpp"

#include <gtest/gtest.h>

#include "base/temp_dir.hpp"

namespace domicile::agent {
namespace {

constexpr Micros kDay = 24 * 3600 * kSecond, kNow = 20'000 * kDay;

DrillNews news(const std::string& drill, Micros at, bool held) {
  DrillNews out;
  out.schedule = {{"loss", 30}, {"slow", 90}};
  out.drill = drill;
  out.result.at = at;
  if (held)
    out.result.held_at = at;
  else
    out.result.broken = "RTO is over 7 s";
  return out;
}

Json row(const DrillBook& book, const std::string& drill, Micros now) {
  const Json rows = json_of(book, now);
  for (const Json& each : rows)
    if (each["drill"] == drill) return each;
  return {};
}

TEST(DrillBook, IsLateWhenItWasHeldLongAgoOrNever) {
  DrillBook book = told({}, news("loss", kNow, true));
  EXPECT_EQ(row(book, "loss", kNow + 30 * kDay)["late"], false);
  EXPECT_EQ(row(book, "loss", kNow + 30 * kDay + 1)["late"], true);
  EXPECT_EQ(row(book, "loss", kNow + 5 * kDay)["age_days"], 5);
  EXPECT_EQ(row(book, "slow", kNow)["late"], true) << "never held";
  EXPECT_TRUE(row(book, "slow", kNow)["held_at"].is_null());
  // A try that did not hold renews nothing.
  book = told(book, news("loss", kNow + 10 * kDay, false));
  EXPECT_EQ(row(book, "loss", kNow + 31 * kDay)["late"], true);
  EXPECT_EQ(row(book, "loss", kNow + 31 * kDay)["broken"], "RTO is over 7 s");
  // News that arrive late take nothing back.
  book = told(book, news("loss", kNow + 5 * kDay, true));
  EXPECT_EQ(book["loss"].held_at, kNow + 5 * kDay);
  EXPECT_EQ(book["loss"].at, kNow + 10 * kDay);
  EXPECT_EQ(book["loss"].broken, "RTO is over 7 s");
  // A drill that nobody schedules any more is not late for ever.
  DrillNews less = news("", 0, false);
  less.schedule = {{"loss", 30}};
  EXPECT_FALSE(told(book, less).contains("slow"));
  // One without a schedule is never late.
  EXPECT_EQ(row(told({}, news("mine", kNow, false)), "mine", kNow + 900 * kDay)["late"], false);
}

TEST(DrillBook, StaysOnTheDisk) {
  const TempDir folder;
  EXPECT_EQ(read_drills(folder.path()).value(), DrillBook{});
  ASSERT_TRUE(keep_drills(folder.path(), news("loss", kNow, true)));
  ASSERT_TRUE(keep_drills(folder.path(), news("slow", kNow + 1, false)));
  const DrillBook book = read_drills(folder.path()).value();
  EXPECT_EQ(book, told(told({}, news("loss", kNow, true)), news("slow", kNow + 1, false)));
  ASSERT_TRUE(write_file(folder.path() / "drills.json", "[1]"));
  EXPECT_FALSE(read_drills(folder.path()));
}

TEST(DrillBody, IsTakenOnlyWhole) {
  const auto body = drill_body(R"({"schedule": {"loss": 30}, "result": {"drill": "loss", "at_us": 5, "held": false}})");
  ASSERT_TRUE(body) << render(body.error());
  EXPECT_EQ(body->schedule.at("loss"), 30U);
  EXPECT_EQ(body->result.held_at, 0);
  EXPECT_EQ(body->result.broken, "it did not hold");
  for (const char* wrong :
       {"", "[]", "{}", R"({"schedule": []})", R"({"schedule": {"a b": 1}})", R"({"schedule": {"a": -1}})",
        R"({"schedule": {"a": 4000}})", R"({"schedule": {}, "result": {"drill": "a", "held": true}})",
        R"({"schedule": {}, "result": {"drill": "../a", "at_us": 1, "held": true}})",
        R"({"schedule": {}, "result": {"drill": "a", "at_us": -1, "held": true}})"}) {
    const auto refused = drill_body(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().kind, Kind::invalid_input);
  }
}

}  // namespace
}  // namespace domicile::agent
