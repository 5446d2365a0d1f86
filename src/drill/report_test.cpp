#include "drill/report.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "base/file.hpp"
#include "core/drills/parse.hpp"

namespace domicile::drill {
namespace {

constexpr Micros kBegin = 1'000 * kSecond;
constexpr Micros kMs = kMillisecond;

// 100 writes a second for ten seconds, answered after 5 ms; those that fall due in [from, until) wait until then.
RunResult run_with_wait(Micros from, Micros until) {
  RunResult run;
  run.readable.emplace();
  for (Micros at = 0; at < 10 * kSecond; at += 10 * kMs) {
    const bool waits = at >= from && at < until;
    const Micros done = (waits ? until : at) + 5 * kMs;
    run.writes.push_back({fmt::format("w{}", at), 0, kBegin + at, kBegin + done, Outcome::acknowledged, 201, 1});
    run.readable->insert(run.writes.back().id);
  }
  return run;
}

RunResult planned(Micros pause) {
  RunResult run = run_with_wait(3 * kSecond, 3 * kSecond + pause);
  run.story = {
      kBegin + 3 * kSecond, kBegin + 3 * kSecond + pause, {{"fence", 40 * kMs}, {"publish", pause - 40 * kMs}}};
  return run;
}

RunResult lost(Micros outage) {
  RunResult run = run_with_wait(0, 0);
  run.fault = kBegin + 2 * kSecond;
  run.returned = 9 * kSecond;
  run.salvaged.emplace();
  for (Write& write : run.writes)
    if (write.intended >= run.fault && write.intended < run.fault + outage) {
      write.outcome = Outcome::refused;
      run.readable->erase(write.id);
    }
  return run;
}

// By the bars of the drill's own file.
Subject subject_of_file(const std::string& name, const std::string& kind, const std::string& residency = "us") {
  const bool fault = name == "region-loss";
  const auto file = fs::path(DOMICILE_ROOT) / "drills" / (name + (fault ? "-" + kind : "") + ".yaml");
  const auto plan = drills::load(read_file(file).value(), file.string());
  return {name, kind, residency, 4, 100, drills::with_ttl(plan.value().hold, 5 * kSecond), fault};
}

TEST(Judge, APlannedSwitchHoldsOnlyIfNoClientNoticed) {
  const Subject subject = subject_of_file("planned-switch", "there");
  struct {
    const char* name;
    std::function<void(RunResult&)> change;
    std::size_t broken;
  } cases[] = {
      {"held", [](RunResult&) {}, 0},
      {"a client error", [](RunResult& r) { r.writes[0].outcome = Outcome::refused; }, 1},
      {"an unknown outcome", [](RunResult& r) { r.writes[0].outcome = Outcome::unknown; }, 1},
      {"a missing write", [](RunResult& r) { r.readable->erase(r.writes[7].id); }, 1},
      {"too long a pause", [](RunResult& r) { r = planned(1'200 * kMs); }, 1},
      {"a pause that nobody saw", [](RunResult& r) { r.story = {}; }, 1},
      {"nobody to ask what is missing", [](RunResult& r) { r.readable.reset(); }, 1},
      {"no end", [](RunResult& r) { r.trouble = "rolled back"; }, 1},
      {"nothing written at all", [](RunResult& r) { r.writes.clear(); }, 2},
  };
  for (const auto& c : cases) {
    RunResult run = planned(600 * kMs);
    c.change(run);
    const Report report = judge(subject, {run});
    EXPECT_EQ(report.broken.size(), c.broken) << c.name << "\n" << table({report}, false);
    EXPECT_EQ(report.held(), c.broken == 0) << c.name;
  }
  const Report report = judge(subject, {planned(600 * kMs)});
  EXPECT_EQ(report.pause_max, 605 * kMs);
  EXPECT_EQ(report.rto_p50, std::nullopt);
}

TEST(Judge, ALossHoldsByTheBarsOfItsKind) {
  struct {
    const char* name;
    const char* kind;
    Micros outage, missing_before;  // acknowledged that long before the fault
    std::size_t broken;
  } cases[] = {
      {"quick kill", "kill", 4 * kSecond, 100 * kMs, 0},
      {"slow kill", "kill", 60 * kSecond, 100 * kMs, 1},
      {"kill that loses much", "kill", 4 * kSecond, 600 * kMs, 1},
      {"cut with clients inside", "cut", 4 * kSecond, 1'900 * kMs, 0},
  };
  for (const auto& c : cases) {
    RunResult run = lost(c.outage);
    for (const Write& write : run.writes)
      if (write.done >= run.fault - c.missing_before && write.intended < run.fault) {
        run.readable->erase(write.id);
        run.salvaged->insert(write.id);
      }
    const Report report = judge(subject_of_file("region-loss", c.kind), {run});
    EXPECT_EQ(report.broken.size(), c.broken) << c.name << "\n" << table({report}, false);
  }
  // One bad run of ten is the p99.
  std::vector<RunResult> runs(9, lost(kSecond));
  for (RunResult& run : runs) run.fault = kBegin + kSecond;
  runs.push_back(lost(4 * kSecond));
  const Report report = judge(subject_of_file("region-loss", "kill"), runs);
  EXPECT_EQ(report.runs, 10U);
  EXPECT_GT(*report.rto_p99, *report.rto_p50);
}

TEST(Judge, AcknowledgedIsReadablePlusSalvaged) {
  const auto report_of = [](const std::function<void(RunResult&)>& change) {
    RunResult run = lost(2 * kSecond);
    for (const int missing : {3, 4}) run.readable->erase(run.writes[static_cast<std::size_t>(missing)].id);
    run.salvaged = {run.writes[3].id, run.writes[4].id};
    run.fault = kBegin + 60 * kMs;
    change(run);
    return judge(subject_of_file("region-loss", "pause"), {run});
  };
  const auto whole = report_of([](RunResult&) {});
  EXPECT_EQ(whole.salvaged, 2U);
  EXPECT_EQ(whole.lost, std::vector<std::string>{});
  const auto one = report_of([](RunResult& run) { run.salvaged->erase(run.writes[4].id); });
  EXPECT_EQ(one.salvaged, 1U);
  EXPECT_EQ(one.lost->size(), 1U);
  EXPECT_FALSE(one.held());
  const auto invented = report_of([](RunResult& run) { run.salvaged->insert("nobody's"); });
  EXPECT_EQ(invented.invented, 1U);
  EXPECT_FALSE(invented.held());
  const auto refused = report_of([](RunResult& run) {
    run.writes[5].outcome = Outcome::refused;
    run.salvaged->insert(run.writes[5].id);
  });
  EXPECT_EQ(refused.invented, 1U) << "a write that was refused and is there nevertheless";
  const auto unknown = report_of([](RunResult& run) {
    run.writes[5].outcome = Outcome::unknown;
    run.salvaged->insert(run.writes[5].id);
  });
  EXPECT_EQ(unknown.invented, 0U);
  const auto away = report_of([](RunResult& run) { run.salvaged.reset(); });
  EXPECT_FALSE(away.lost);
  EXPECT_FALSE(away.held());
  EXPECT_TRUE(json_of(away)["writes_lost"].is_null()) << "unknown is not none";
}

TEST(Judge, EveryDemandOfAFileIsAsked) {
  drills::Hold hold;
  hold.errors = hold.unknown = hold.missing = hold.lost = 0;
  hold.rpo = 250 * kMs, hold.rto_p50 = hold.rto_p99 = 5 * kSecond, hold.halt = 5 * kSecond;
  hold.owner = "same";
  const auto good = [] {
    RunResult run = lost(0);
    run.begin = run.fault;
    run.halted = 4 * kSecond;
    run.owner_before = run.owner_after = "a";
    return run;
  };
  const struct {
    const char* name;
    std::function<void(RunResult&, drills::Hold&)> change;
    std::string broken;
  } cases[] = {
      {"nothing", [](auto&, auto&) {}, ""},
      {"errors", [](auto& run, auto&) { run.writes[900].outcome = Outcome::refused; }, "1 client errors"},
      {"unknown", [](auto& run, auto&) { run.writes[900].outcome = Outcome::unknown; },
       "1 writes with an unknown outcome"},
      {"missing",
       [](auto& run, auto&) {
         run.readable->erase(run.writes[199].id);
         run.salvaged->insert(run.writes[199].id);
       },
       "1 acknowledged writes are missing"},
      {"halt", [](auto& run, auto&) { run.halted = 6 * kSecond; }, "writes stopped after 6000 ms is over 5000 ms"},
      {"halt unseen", [](auto& run, auto&) { run.halted.reset(); }, "when writes stopped was not seen"},
      {"owner", [](auto& run, auto&) { run.owner_after = "b"; }, "a owned it before and b in the end"},
      {"owner other", [](auto&, auto& demand) { demand.owner = "other"; }, "a owned it before and a in the end"},
      {"owner unknown", [](auto& run, auto&) { run.owner_after.clear(); }, "nobody could be asked who owns it"},
      {"divergence", [](auto&, auto& demand) { demand.diverged = true; },
       "the histories did not diverge: nothing was shown"},
  };
  for (const auto& c : cases) {
    RunResult run = good();
    drills::Hold demand = hold;
    c.change(run, demand);
    const Report report = judge({"mine", "", "us", 4, 100, demand, true}, {run});
    EXPECT_EQ(fmt::format("{}", fmt::join(report.broken, "; ")), c.broken) << c.name;
  }
}

TEST(Derive, ReturnAndHaltAreCountedFromMarks) {
  RunResult run = lost(0);
  run.fault = kBegin + 2 * kSecond, run.undone = kBegin + 7 * kSecond, run.followed = kBegin + 9 * kSecond;
  derive(run, "us");
  EXPECT_EQ(run.returned, 2 * kSecond);
  EXPECT_EQ(run.halted, 5 * kSecond - 5 * kMs) << "what was acknowledged after the end of the fault says nothing";
  run.followed = 0;
  derive(run, "us");
  EXPECT_EQ(run.returned, std::nullopt);
}

TEST(Story, IsTheEventsOfThatSwitchInTheirOrder) {
  const std::vector<Event> events = {
      {kBegin + 300, "switch.open.publish", "us", "s1"},
      {kBegin + 10, "record.draining", "us", "s1"},
      {kBegin + 250, "switch.open.swap_serving", "us", "s1"},
      {kBegin + 50, "switch.drain.fence", "us", "s1"},
      {kBegin + 60, "switch.drain.fence", "eu", "s2"},
      {kBegin - 9, "record.draining", "us", "s1"},
      {kBegin + 70, "trouble", "us", "s1"},
  };
  const Story story = story_of(events, "us", "s1", kBegin);
  EXPECT_EQ(story.hold, kBegin + 10);
  EXPECT_EQ(story.release, kBegin + 300);
  std::string phases;
  for (const Phase& phase : story.phases) phases += fmt::format("{} {}, ", phase.name, phase.length);
  EXPECT_EQ(phases, "draining 10, fence 40, swap serving 200, publish 50, ");
}

TEST(ReportJson, HasEveryPromisedFieldOnOneLineAndNullWhereNothingApplies) {
  const Json json = json_of(std::vector{judge(subject_of_file("planned-switch", "there"), {planned(600 * kMs)}),
                                        judge(subject_of_file("region-loss", "kill"), {lost(4 * kSecond)})});
  EXPECT_EQ(dump(json).find('\n'), std::string::npos);
  ASSERT_EQ(json["drills"].size(), 2U);
  for (const Json& drill : json["drills"])
    for (const char* field : {"drill",
                              "kind",
                              "residency",
                              "runs",
                              "clients",
                              "offered_per_s",
                              "writes_acknowledged",
                              "writes_readable",
                              "writes_unknown",
                              "writes_missing",
                              "client_errors",
                              "writes_salvaged",
                              "writes_lost",
                              "return_ms_p50",
                              "pause_ms_p99",
                              "pause_ms_max",
                              "rto_ms_p50",
                              "rto_ms_p99",
                              "rpo_ms_max",
                              "phases",
                              "held"})
      EXPECT_TRUE(drill.contains(field)) << field;
  EXPECT_TRUE(json["drills"][0]["rto_ms_p50"].is_null());
  EXPECT_EQ(json["drills"][0]["phases"][0], (Json{{"name", "fence"}, {"ms", 40.0}}));
  EXPECT_TRUE(json["drills"][1]["pause_ms_p99"].is_null());
  EXPECT_EQ(json["drills"][1]["client_errors"], 400);
}

TEST(Table, FitsATerminalOf80Columns) {
  Report report = judge(subject_of_file("planned-switch", "there", "residency"), {planned(600 * kMs)});
  report.counts = {99'999, 99'999, 0, 0};
  report.readable = 99'999;
  report.phases.push_back({"advance sequences", 12'345 * kMs});
  std::string line;
  std::istringstream lines(table({report}, false));
  while (std::getline(lines, line))
    EXPECT_LE(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }), 80) << line;
}

TEST(Bar, GrowsByEighthsAndShowsWhatIsSmall) {
  struct {
    double value, whole;
    const char* want;
  } cases[] = {{10, 10, "████"}, {5, 10, "██"},    {0.001, 10, "▏"}, {0, 10, ""},
               {1, 0, ""},       {20, 10, "████"}, {9, 10, "███▋"}};
  for (const auto& c : cases) EXPECT_EQ(bar(c.value, c.whole, 4), c.want) << c.value;
}

}  // namespace
}  // namespace domicile::drill
