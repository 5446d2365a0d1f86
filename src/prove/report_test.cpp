#include "prove/report.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <sstream>

namespace domicile::prove {
namespace {

Judged refused(const std::string& id, Layer layer, const std::string& rule) {
  return {id, layer, "something", Verdict::refused, rule, "g-1", "", 0};
}

Report good() {
  Report report;
  report.residency = "eu";
  report.forbidden = {"us-east-1"};
  report.scope.from = "us-east-1";
  report.attempts = {refused("gateway.host", Layer::gateway, "host_is_not_sni"),
                     refused("database.insert", Layer::database, "DM008"),
                     refused("database.update", Layer::database, "DM008"),
                     {"database.read", Layer::database, "something", Verdict::lawful, "reduced", "", "", 0}};
  report.census.emplace();
  report.census->searched_bytes = 1'234'567;
  report.census->places = {{"us-east-1: postgres", 1'234'567, 12}};
  report.self_test.emplace();
  report.self_test->leaks = {{"wal", "a row rolled back", true, true, "here"}};
  return report;
}

TEST(Report, HoldsOnlyWhenAllOfItDoes) {
  EXPECT_TRUE(good().held());
  const struct {
    const char* name;
    std::function<void(Report&)> change;
  } cases[] = {
      {"one that passed", [](Report& r) { r.attempts[1].verdict = Verdict::passed; }},
      {"one that is unknown", [](Report& r) { r.attempts[1].verdict = Verdict::unknown; }},
      {"nothing attempted", [](Report& r) { r.attempts.clear(); }},
      {"nothing searched", [](Report& r) { r.census.reset(); }},
      {"a hit",
       [](Report& r) {
         r.census->hits.push_back({"us-east-1: postgres", "pg_wal/1", 1, "x", "raw", "raw", 2});
       }},
      {"a gap",
       [](Report& r) {
         r.census->unsearched.push_back({"us-east-1: postgres", "base/1", 0, "cannot be read"});
       }},
      {"a leak that was not found", [](Report& r) { r.self_test->leaks[0].found = false; }},
      {"a leak that was not planted", [](Report& r) { r.self_test->leaks[0].planted = false; }},
      {"a blind spot", [](Report& r) { r.self_test->blind_spots = {"base64"}; }},
      {"trouble", [](Report& r) { r.trouble = {"the lab went away"}; }},
  };
  for (const auto& c : cases) {
    Report report = good();
    c.change(report);
    EXPECT_FALSE(report.held()) << c.name;
    EXPECT_FALSE(json_of(report)["held"].get<bool>()) << c.name;
    EXPECT_NE(table(report, false).find("NOT HELD"), std::string::npos) << c.name;
  }
  Report untested = good();
  untested.self_test.reset();
  EXPECT_TRUE(untested.held()) << "it was not asked for";
}

TEST(Report, TakesNoPartForTheWhole) {
  EXPECT_TRUE(json_of(good())["scope"]["whole"].get<bool>());
  const struct {
    const char* name;
    std::function<void(Report&)> change;
    const char* told;
  } cases[] = {
      {"one layer", [](Report& r) { r.scope.layer = Layer::database; }, "without layers other than database\n"},
      {"a slice", [](Report& r) { r.scope.quick = true; }, "without kinds of attempts that are not part of the slice"},
      {"what breaks a lab", [](Report& r) { r.left_out = {"authority.x"}; }, "without 1 that break a lab which others"},
      {"no self-test", [](Report& r) { r.self_test.reset(); }, "without whether the census sees (--self-test)\n"},
      {"another region", [](Report& r) { r.scope.elsewhere = {"eu at b"}; }, "without attempts on eu at b\n"},
  };
  for (const auto& c : cases) {
    Report report = good();
    c.change(report);
    const Json json = json_of(report);
    EXPECT_TRUE(json["held"].get<bool>()) << c.name;
    EXPECT_FALSE(json["scope"]["whole"].get<bool>()) << c.name;
    EXPECT_EQ(json["scope"]["missing"].size(), 1U) << c.name;
    const std::string shown = table(report, false);
    EXPECT_NE(shown.find(c.told), std::string::npos) << shown;
    EXPECT_TRUE(shown.ends_with("\nheld, as far as it was tried\n")) << shown;
  }
}

TEST(Report, CountsApartWhatNobodyRefused) {
  Report report = good();
  report.attempts[0].verdict = Verdict::unknown;
  const Json json = json_of(report);
  EXPECT_EQ(json["attempted"], 4);
  EXPECT_EQ(json["refused"], 2);
  EXPECT_EQ(json["lawful"], 1);
  EXPECT_EQ(json["not_held"], 1);
}

TEST(Report, ItsJsonIsOneLineWithEveryPromisedFigure) {
  Report report = good();
  report.attempts[0].bytes = 30;
  report.census->hits.push_back({"us-east-1: postgres", "pg_wal/1", 1, "database.insert", "raw", "raw", 2});
  const Json json = json_of(report);
  EXPECT_EQ(dump(json).find('\n'), std::string::npos);
  EXPECT_EQ(json["attempted"], 4);
  EXPECT_EQ(json["refused"], 3);
  EXPECT_EQ(json["bytes_crossed"], 90) << "of an answer, and of two hits";
  EXPECT_EQ(json["searched_bytes"], 1'234'567);
  EXPECT_EQ(json["self_test_found"], 1);
  EXPECT_EQ(json["self_test_planted"], 1);
  EXPECT_EQ(json["layers"]["database"],
            (Json{{"attempted", 3}, {"refused", 2}, {"lawful", 1}, {"rules", {{"DM008", 2}, {"reduced", 1}}}}));
  EXPECT_EQ(json["attempts"][0]["denial"], "g-1");
  report.self_test.reset();
  report.census.reset();
  for (const char* figure : {"searched_bytes", "self_test_found", "self_test_planted"})
    EXPECT_TRUE(json_of(report)[figure].is_null()) << figure << ": unknown is not zero";
}

TEST(Table, SaysPerLayerByWhichRuleAndNamesWhatDidNotHold) {
  EXPECT_EQ(table(good(), false),
            "eu may not lie in full at: us-east-1\n"
            "\n"
            "layer        attempted  refused  lawful  by rule\n"
            "gateway              1        1       0  host_is_not_sni\n"
            "database             3        2       1  DM008 (2) reduced\n"
            "all                  4        3       1\n"
            "\n"
            "0 bytes crossed; 1,234,567 bytes searched in 1 places, 0 decoded\n"
            "self-test: 1 of 1 leaks found, 0 blind spots\n"
            "  wal (1 of 1)\n"
            "held\n");
  Report report = good();
  report.attempts[1].verdict = Verdict::passed;
  report.attempts[1].why = "nothing refused it";
  report.census->hits.push_back(
      {"us-east-1: postgres", "pg_wal/000000010000000000000001", 1, "database.insert", "raw", "wal > raw", 2});
  report.self_test->leaks[0].found = false;
  const std::string shown = table(report, false);
  for (const char* part : {"passed  database.insert\n", "        nothing refused it\n", "60 bytes crossed",
                           "found   database.insert, us-east-1: postgres\n",
                           "pg_wal/000000010000000000000001, wal > raw", "missed  wal: a row rolled back\n"})
    EXPECT_NE(shown.find(part), std::string::npos) << part << "\n" << shown;
}

TEST(Table, FitsATerminalOf80ColumnsHoweverLongNamesAre) {
  Report report = good();
  const std::string longest(200, 'x');
  for (int i = 0; i < 30; ++i) {
    report.attempts.push_back(
        refused("gateway." + std::to_string(i), Layer::gateway, "rule_number_" + std::to_string(i)));
    report.attempts.push_back({longest, Layer::logs, longest, Verdict::unknown, longest, longest, longest, 0});
    report.census->hits.push_back({longest, longest, 1, longest, longest, longest, 1});
    report.census->unsearched.push_back({longest, longest, 1, longest, 1});
    report.self_test->leaks.push_back({longest, longest, true, false, longest});
  }
  report.trouble = {longest};
  report.left_out = {longest};
  report.scope.elsewhere.assign(30, longest);
  std::string line;
  std::istringstream lines(table(report, false));
  while (std::getline(lines, line)) EXPECT_LE(line.size(), 80U) << line;
}

}  // namespace
}  // namespace domicile::prove
