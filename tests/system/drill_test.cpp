// The drills as an operator runs them, on whole labs: what clients saw of a switch, and of the loss of a region. How
// long it took is for drills on a calm machine; that nothing is lost or miscounted holds on any.
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/json.hpp"
#include "base/process.hpp"

namespace domicile {
namespace {

class Drill : public testing::Test {
 protected:
  Json drill(std::vector<std::string> words) {
    for (const char* option : {"--rate", "60", "--clients", "6", "--json"}) words.emplace_back(option);
    const auto ran = domicile(words);
    const auto parsed = parse_json(ran.out, "the report");
    if (!parsed || !parsed->contains("drills")) {
      ADD_FAILURE() << ran.out << ran.err;
      return Json::object();
    }
    // 4: something did not hold, which may be a time.
    EXPECT_TRUE(ran.exit_code == 0 || ran.exit_code == 4) << ran.exit_code << "\n" << ran.err;
    EXPECT_EQ((*parsed)["drills"].size(), 1U);
    return (*parsed)["drills"][0];
  }
  Outcome domicile(std::vector<std::string> words) {
    words.insert(words.begin(), DOMICILE_BINARY);
    words.insert(words.end(), {"--base", base_});
    const auto ran = run({words}, 300 * kSecond);
    if (!ran) ADD_FAILURE() << render(ran.error());
    return ran ? *ran : Outcome{};
  }
  void TearDown() override { (void)domicile({"lab", "down"}); }

  static void expect_counted(const Json& report) {
    ASSERT_TRUE(report["writes_missing"].is_array()) << report;
    EXPECT_GT(report["writes_acknowledged"], 100) << report;
    EXPECT_EQ(report["writes_acknowledged"].get<std::size_t>(),
              report["writes_readable"].get<std::size_t>() + report["writes_missing"].size())
        << report;
  }

  const std::string base_ = std::to_string(2000 + ::getpid() % 10000);
};

TEST_F(Drill, SwitchesLoseNothingAndAPausedRegionIsLeftBehind) {
  ASSERT_EQ(domicile({"lab", "up"}).exit_code, 0);
  const Json switched = drill({"drill", "planned-switch", "--runs", "2"});
  ASSERT_TRUE(switched.contains("runs"));
  expect_counted(switched);
  EXPECT_EQ(switched["runs"], 2);
  EXPECT_EQ(switched["writes_missing"], Json::array());
  EXPECT_EQ(switched["writes_unknown"], 0) << switched;
  EXPECT_EQ(switched["client_errors"], 0) << switched;
  EXPECT_TRUE(switched["pause_ms_p99"].is_number()) << switched;

  const Json lost = drill({"drill", "region-loss", "--kind", "pause"});
  ASSERT_TRUE(lost.contains("runs"));
  expect_counted(lost);
  EXPECT_TRUE(lost["rto_ms_p50"].is_number()) << lost;
  EXPECT_TRUE(lost["rpo_ms_max"].is_number()) << lost;
}

TEST_F(Drill, ACutWithClientsInsideCostsAtMostTheLease) {
  const Json lost = drill({"drill", "region-loss", "--kind", "cut"});
  ASSERT_TRUE(lost.contains("runs"));
  expect_counted(lost);
  EXPECT_TRUE(lost["rto_ms_p50"].is_number()) << lost;
  // The old owner goes on for those who are inside with it, until its lease ends and not longer.
  EXPECT_LE(lost["rpo_ms_max"].get<double>(), 5000) << lost;
}

}  // namespace
}  // namespace domicile
