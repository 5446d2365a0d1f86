#include "drill/live_view.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <regex>

namespace domicile::drill {
namespace {

std::vector<std::string> shown(const LiveState& state, int columns, int rows) {
  const std::string plain =
      std::regex_replace(picture(state, columns, rows), std::regex("\033\\[[0-9;]*[mK]"), std::string());
  std::vector<std::string> lines{""};
  for (std::size_t i = 0; i < plain.size(); ++i) {
    if (plain[i] == '\r') continue;
    if (plain[i] == '\n')
      lines.emplace_back();
    else
      lines.back() += plain[i];
  }
  return lines;
}

std::size_t columns_of(const std::string& line) {
  std::size_t count = 0;
  for (const char c : line) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

LiveState three_regions() {
  LiveState state;
  state.title = "build/lab";
  state.regions = {
      {"us-east-1", "US", "killed", {}}, {"eu-central-1", "EU", "up", {"us-east-1"}}, {"eu-west-1", "EU", "up", {}}};
  state.residencies = {
      {"us", "eu-central-1", "serving", "", 3, {{"us-east-1", "full", {}}}, 240, 250, 0, 7, {240, 0, 240}},
      {"eu", "eu-central-1", "serving", "", 1, {{"eu-west-1", "full", 12 * kMillisecond}}, 250, 250, 0, 0, {}}};
  for (int i = 0; i < 50; ++i) state.events.push_back({i * kSecond, "eu-west-1", fmt::format("event {}", i)});
  state.message = {"us-east-1 is killed"};
  return state;
}

TEST(Picture, ShowsOwnersLagsAndTheLatestEvents) {
  std::string all;
  for (const auto& line : shown(three_regions(), 100, 30)) all += line + "\n";
  for (const char* part : {"us-east-1", "killed", "eu-central-1", "lag unknown", "12 ms", "event 49",
                           "us-east-1 is killed", "q quit", "240"})
    EXPECT_NE(all.find(part), std::string::npos) << part << "\n" << all;
  EXPECT_EQ(all.find("event 0\n"), std::string::npos) << "too old for this terminal";
}

TEST(Picture, EveryKeyIsShownWhole) {
  for (const int columns : {60, 80, 120}) {
    std::string all;
    for (const auto& line : shown(three_regions(), columns, 30)) all += line + "\n";
    for (const char* key :
         {"1-9 region", "c cut/heal from all", "h heal all", "(0: clients)", "x loss drill", "q quit"})
      EXPECT_NE(all.find(key), std::string::npos) << key << " at " << columns << "\n" << all;
  }
}

TEST(Picture, ACopyThatDoesNotFollowSaysSoInsteadOfALag) {
  LiveState state = three_regions();
  state.residencies[0].links = {{"us-east-1", "full", 0, "resync"}, {"eu-west-1", "full", {}, "no word"}};
  std::string all;
  for (const auto& line : shown(state, 100, 30)) all += line + "\n";
  EXPECT_NE(all.find("us-east-1 full resync"), std::string::npos) << all;
  EXPECT_NE(all.find("eu-west-1 full no word"), std::string::npos) << all;
}

RC_GTEST_PROP(Picture, NeverGrowsOverTheTerminal, ()) {
  const int columns = *rc::gen::inRange(20, 200), rows = *rc::gen::inRange(10, 60);
  const auto lines = shown(three_regions(), columns, rows);
  RC_ASSERT(lines.size() <= static_cast<std::size_t>(rows));
  for (const auto& line : lines) RC_ASSERT(columns_of(line) <= static_cast<std::size_t>(columns));
}

TEST(Sparkline, ShowsTheNewestValues) {
  EXPECT_EQ(sparkline({1, 8, 4, 0}, 8, 3), "█▅ ");
  EXPECT_EQ(sparkline({}, 8, 3), "");
}

}  // namespace
}  // namespace domicile::drill
