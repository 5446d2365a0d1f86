#include "drill/raw_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/file.hpp"
#include "base/process.hpp"
#include "drill/chart.hpp"

namespace domicile::drill {
namespace {

constexpr Micros kBegin = 1'000'000 * kSecond;
constexpr Micros kMs = kMillisecond;

// A loss with everything in it: an outage of three seconds, two writes missing and salvaged, phases, clients inside.
RunResult a_loss() {
  RunResult run;
  run.fault = run.begin = kBegin + 2 * kSecond;
  run.undone = kBegin + 12 * kSecond, run.followed = kBegin + 15 * kSecond;
  run.switch_id = "s1";
  run.owner_before = "us-east-1", run.owner_after = "eu-central-1";
  run.readable.emplace(), run.salvaged.emplace();
  for (int i = 0; i < 1000; ++i) {
    const Micros at = i * 10 * kMs;
    const bool lost = at >= 2 * kSecond && at < 5 * kSecond;
    run.writes.push_back({fmt::format("w{}", i), static_cast<std::uint32_t>(i % 4), kBegin + at, kBegin + at + 5 * kMs,
                          lost ? Outcome::refused : Outcome::acknowledged, lost ? 503 : 201, 1});
    if (!lost) run.readable->insert(run.writes.back().id);
  }
  for (const int missing : {198, 199}) {
    run.readable->erase(run.writes[static_cast<std::size_t>(missing)].id);
    run.salvaged->insert(run.writes[static_cast<std::size_t>(missing)].id);
  }
  run.inside.push_back({"i1", 0, kBegin + kSecond, kBegin + kSecond + kMs, Outcome::unknown, 0, 1});
  run.events = {{run.fault + 2 * kSecond, "record.moving", "us", "s1"},
                {run.fault + 2500 * kMs, "switch.open.persist_epochs", "us", "s1"},
                {run.fault + 2700 * kMs, "switch.open.publish", "us", "s1"},
                {run.fault + 2700 * kMs, "trouble", "us", ""}};
  derive(run, "us");
  return run;
}

Subject a_subject() {
  drills::Hold hold;
  hold.lost = 0, hold.rto_p99 = 10 * kSecond, hold.rpo = 250 * kMs;
  return {"region-loss", "kill", "us", 4, 100, hold, true};
}

TEST(RawLog, GivesBackWhatTheFiguresComeFrom) {
  const std::vector<RunResult> runs{a_loss(), a_loss()};
  const std::string text = raw_log(a_subject(), runs);
  const auto log = raw_log_of(text);
  ASSERT_TRUE(log) << render(log.error());
  EXPECT_EQ(raw_log(log->subject, log->runs), text);
  const Json report = json_of(judge(a_subject(), runs));
  EXPECT_EQ(report["held"], true) << report;
  EXPECT_EQ(report["rto_ms_p50"], 2990.0) << "one late write of a hundred is still 99 %";
  EXPECT_EQ(report["return_ms_p50"], 3000.0);
  EXPECT_EQ(report["phases"].back()["name"], "clients find it");
  EXPECT_EQ(disagreements(report, *log), std::vector<std::string>{});
  // Through a file and back, as recompute has it.
  EXPECT_EQ(disagreements(parse_json(dump(report), "the report").value(), *log), std::vector<std::string>{});
}

TEST(RawLog, AnAlteredFigureIsFoundWhicheverItIs) {
  const std::vector<RunResult> runs{a_loss()};
  const auto log = raw_log_of(raw_log(a_subject(), runs)).value();
  const Json report = json_of(judge(a_subject(), runs));
  for (const auto& [key, value] : report.items()) {
    Json altered = report;
    altered[key] = value.is_number()    ? Json(value.get<double>() + 1)
                   : value.is_boolean() ? Json(!value.get<bool>())
                                        : Json("x");
    const auto found = disagreements(altered, log);
    ASSERT_EQ(found.size(), 1U) << key;
    EXPECT_THAT(found[0], testing::StartsWith(key + ":"));
    altered.erase(key);
    EXPECT_EQ(disagreements(altered, log).size(), 1U) << key;
  }
  EXPECT_EQ(disagreements("nothing", log).size(), 1U);
}

TEST(RawLog, WhatIsTornOrForeignIsNamedByItsLine) {
  const std::string good = raw_log(a_subject(), {a_loss()});
  const auto line = [&](std::size_t number) {
    std::size_t at = 0;
    while (--number > 0) at = good.find('\n', at) + 1;
    return at;
  };
  const struct {
    const char* name;
    std::function<std::string()> text;
    std::string what;
  } cases[] = {
      {"empty", [] { return std::string(); }, "before its first run"},
      {"another file", [] { return std::string("hello\n"); }, "line 1"},
      {"no subject", [&] { return good.substr(0, line(2)) + good.substr(line(3)); }, "line 2"},
      {"no run", [&] { return good.substr(0, line(3)) + good.substr(line(4)); }, "line 3"},
      {"a torn write", [&] { return good + "write w1 0 17"; }, "writes is broken"},
      {"an unknown line", [&] { return good + "note hello"; }, "not known"},
      {"two ids", [&] { return good + "readable a b"; }, "one id"},
      {"a time before all time", [&] { return good + "write w1 0 -5 7 0 201 1"; }, "of no time"},
      {"an event of no kind", [&] { return good + "event soon x us -"; }, "no event"},
  };
  for (const auto& c : cases) {
    const auto log = raw_log_of(c.text());
    ASSERT_FALSE(log) << c.name;
    EXPECT_THAT(log.error().what, testing::HasSubstr(c.what)) << c.name;
    EXPECT_EQ(log.error().kind, Kind::corrupt);
  }
}

TEST(Chart, IsWellFormedAndSaysWhatTheReportSays) {
  RunResult odd = a_loss();
  odd.events[1].name = "switch.open.<&\">";
  odd.trouble = "a < b & \"c\"";
  derive(odd, "us");
  const struct {
    const char* name;
    std::vector<RunResult> runs;
  } cases[] = {
      {"a loss", {a_loss()}}, {"words that are no XML", {odd}}, {"nothing seen", {RunResult{}}}, {"no run", {}}};
  for (const auto& c : cases) {
    const auto svg = chart_svg(judge(a_subject(), c.runs), c.runs);
    const auto parsed = run(
        {.argv = {"python3", "-c", "import sys, xml.etree.ElementTree as e\nprint(e.fromstring(sys.stdin.read()).tag)"},
         .input = svg},
        30 * kSecond);
    ASSERT_TRUE(parsed) << render(parsed.error());
    EXPECT_EQ(parsed->out, "{http://www.w3.org/2000/svg}svg\n") << c.name << parsed->err;
  }
  const auto svg = chart_svg(judge(a_subject(), {a_loss()}), {a_loss()});
  for (const char* word : {">region-loss kill, us<", ">held<", ">fault<", ">undone<", ">served again<", ">moving<",
                           ">persist epochs<", "RTO p50 2990.0 ms", "2 missing, 2 salvaged, 0 lost"})
    EXPECT_THAT(svg, testing::HasSubstr(word));
}

}  // namespace
}  // namespace domicile::drill
