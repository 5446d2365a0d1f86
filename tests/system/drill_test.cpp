// The drills as an operator runs them, on whole labs: what clients saw of a switch, and of the loss of a region. How
// long it took is for drills on a calm machine; that nothing is lost or miscounted holds on any.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <set>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/http_client.hpp"
#include "base/json.hpp"
#include "base/process.hpp"

namespace domicile {
namespace {

class Drill : public testing::Test {
 protected:
  Json drill(std::vector<std::string> words) {
    const Json drills = drills_of(std::move(words));
    EXPECT_EQ(drills.size(), 1U);
    return drills.empty() ? Json::object() : drills[0];
  }
  Json drills_of(std::vector<std::string> words) {
    for (const char* option : {"--rate", "60", "--clients", "6", "--json"}) words.emplace_back(option);
    const auto ran = domicile(words);
    const auto parsed = parse_json(ran.out, "the report");
    if (!parsed || !parsed->contains("drills")) {
      ADD_FAILURE() << ran.out << ran.err;
      return Json::array();
    }
    // 4: something did not hold, which may be a time.
    EXPECT_TRUE(ran.exit_code == 0 || ran.exit_code == 4) << ran.exit_code << "\n" << ran.err;
    return (*parsed)["drills"];
  }
  Outcome domicile(std::vector<std::string> words) {
    words.insert(words.begin(), DOMICILE_BINARY);
    words.insert(words.end(), {"--base", base_});
    const auto ran = run({words}, 600 * kSecond);
    if (!ran) ADD_FAILURE() << render(ran.error());
    return ran ? *ran : Outcome{};
  }
  void TearDown() override {
    (void)domicile({"lab", "down"});
    std::error_code code;
    fs::remove(folder() / "report.json", code);
    fs::remove(folder(), code);
    EXPECT_FALSE(fs::exists(folder())) << "something is left lying about";
  }
  // Where a report is written, and the lab as well unless the engines' user cannot get in there.
  fs::path folder() const { return fs::path(DOMICILE_BINARY).parent_path() / ("lab-" + base_); }

  static void expect_counted(const Json& report) {
    ASSERT_TRUE(report["writes_missing"].is_array()) << report;
    EXPECT_GT(report["writes_acknowledged"], 100) << report;
    EXPECT_EQ(report["writes_acknowledged"].get<std::size_t>(),
              report["writes_readable"].get<std::size_t>() + report["writes_missing"].size())
        << report;
  }

  // ./test long drills more often.
  static int runs(int usual) { return std::getenv("DOMICILE_LONG") == nullptr ? usual : 3 * usual; }

  const std::string base_ = std::to_string(2000 + ::getpid() % 10000);
};

TEST_F(Drill, OnceShowsASwitchThereAndBackAndALossAndLeavesOnlyItsReport) {
  const Json drills = drills_of({"lab", "once"});
  ASSERT_EQ(drills.size(), 3U);
  const char* expected[][2] = {{"planned-switch", "there"}, {"planned-switch", "back"}, {"region-loss", "kill"}};
  for (std::size_t i = 0; i < 3; ++i) {
    const Json& each = drills[i];
    EXPECT_EQ(each["drill"], expected[i][0]);
    EXPECT_EQ(each["kind"], expected[i][1]);
    expect_counted(each);
    if (i == 2) continue;
    EXPECT_EQ(each["writes_missing"], Json::array());
    EXPECT_EQ(each["writes_unknown"], 0) << each;
    EXPECT_EQ(each["client_errors"], 0) << each;
    EXPECT_TRUE(each["pause_ms_p99"].is_number()) << each;
  }
  EXPECT_TRUE(drills[2]["rto_ms_p50"].is_number()) << drills[2];
  EXPECT_TRUE(drills[2]["rpo_ms_max"].is_number()) << drills[2];
  const auto report = parse_json(read_file(folder() / "report.json").value_or(""), "report.json");
  ASSERT_TRUE(report);
  EXPECT_EQ((*report)["drills"], drills);
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder())) left.push_back(entry.path().filename());
  EXPECT_EQ(left, std::vector<std::string>{"report.json"});
  EXPECT_EQ(domicile({"lab", "status"}).exit_code, 75) << "no lab runs any more";
}

// Waits until `region`'s own agent says of residency us what is wanted.
void await_us(const fs::path& lab, const std::string& region, const std::function<bool(const Json&)>& wanted) {
  Json last;
  for (const Micros deadline = monotonic_now() + 30 * kSecond; monotonic_now() < deadline; ::usleep(50'000)) {
    const auto ran = run(
        {{DOMICILE_BINARY, "status", "--json", "--agent", (lab / "sites" / region / "run" / "agent.sock").string()}},
        20 * kSecond);
    const auto status = parse_json(ran ? ran->out : "", "the status");
    if (!status || !status->contains("residencies")) continue;
    for (const Json& each : (*status)["residencies"])
      if (each["residency"] == "us") last = each;
    if (!last.is_null() && wanted(last)) return;
  }
  ADD_FAILURE() << region << " never says so: " << last;
}

TEST_F(Drill, ALostRegionComesBackFencedAndWhatItAloneHadIsFound) {
  ASSERT_EQ(domicile({"lab", "up"}).exit_code, 0);
  const auto status = [&] { return *parse_json(domicile({"lab", "status", "--json"}).out, "the lab's status"); };
  const fs::path lab = status()["directory"].get<std::string>();
  EXPECT_EQ(domicile({"prove", "residency"}).exit_code, 75) << "nothing is recorded there";
  const auto cuts = [&] {
    std::vector<std::string> all;
    const Json seen = status();
    for (const Json& path : seen["paths"])
      if (path["cut"] == true) all.push_back(path["from"].get<std::string>() + " " + path["to"].get<std::string>());
    return all;
  };
  ASSERT_EQ(domicile({"lab", "cut", "eu-west-1", "us-east-1", "--one-way"}).exit_code, 0);
  EXPECT_EQ(cuts(), std::vector<std::string>{"eu-west-1 us-east-1"});
  ASSERT_EQ(domicile({"lab", "slow", "us-east-1", "eu-west-1", "100000"}).exit_code, 0);
  ASSERT_EQ(domicile({"lab", "heal"}).exit_code, 0);
  EXPECT_EQ(cuts(), std::vector<std::string>{});
  const Json healed = status();
  for (const Json& path : healed["paths"]) EXPECT_EQ(path["bytes_per_s"], 0) << path;

  const Json lost = drill({"drill", "region-loss", "--kind", "pause"});
  ASSERT_TRUE(lost.contains("runs"));
  expect_counted(lost);
  EXPECT_TRUE(lost["rto_ms_p50"].is_number()) << lost;
  EXPECT_EQ(lost["writes_lost"], Json::array()) << lost;
  EXPECT_EQ(lost["writes_missing"].size(), lost["writes_salvaged"]) << lost;
  // An agent that has just started knows less: then these are null or missing.
  const auto fenced = [](const Json& us) {
    const auto state = [&us](const char* part) {
      return us.contains(part) && us[part].is_object() ? us[part].value("state", "") : std::string();
    };
    return us.value("owner", "") == "eu-central-1" && state("guard") == "closed" && state("copy") == "following" &&
           us.value("lease_ms", Json()).is_null();
  };
  await_us(lab, "us-east-1", fenced);
  ASSERT_EQ(domicile({"lab", "kill", "us-east-1"}).exit_code, 0);
  EXPECT_EQ(status()["sites"][0]["processes"], 0);
  ASSERT_EQ(domicile({"lab", "start", "us-east-1"}).exit_code, 0);
  await_us(lab, "us-east-1", fenced);
  ASSERT_EQ(domicile({"lab", "down"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(lab)) << "binaries, keys and rows are gone";
}

TEST_F(Drill, ACutWithClientsInsideCostsAtMostTheLease) {
  const Json lost = drill({"drill", "region-loss", "--kind", "cut", "--runs", std::to_string(runs(1))});
  ASSERT_TRUE(lost.contains("runs"));
  expect_counted(lost);
  EXPECT_TRUE(lost["rto_ms_p50"].is_number()) << lost;
  // The old owner goes on for those who are inside with it, until its lease ends and not longer.
  EXPECT_LE(lost["rpo_ms_max"].get<double>(), 5000) << lost;
}

class DrillFiles : public Drill {
 protected:
  void SetUp() override { ASSERT_TRUE(make_directories(reports_)); }
  void TearDown() override {
    Drill::TearDown();
    std::error_code code;
    fs::remove_all(reports_, code);
  }
  Json lab_status() {
    return parse_json(domicile({"lab", "status", "--json"}).out, "the lab's status").value_or(Json());
  }
  // Tells eu-west-1's agent that it was held just now.
  static void tell_held(const fs::path& lab, const std::string& name) {
    Json schedule = Json::object();
    for (const auto& entry : fs::directory_iterator(fs::path(DOMICILE_BINARY).parent_path().parent_path() / "drills"))
      schedule[entry.path().stem().string()] = 7;
    HttpRequest request;
    request.method = "POST";
    request.url = "http://agent/v1/drills";
    request.body = dump({{"schedule", schedule}, {"result", {{"drill", name}, {"at_us", wall_now()}, {"held", true}}}});
    const auto answer = HttpClient({}, (lab / "sites" / "eu-west-1" / "run" / "agent.sock").string()).send(request);
    EXPECT_TRUE(answer && answer->status == 200) << name;
  }
  // What a drill has left of its faults; empty: nothing.
  static std::string left(const Json& status) {
    if (!status.contains("paths")) return "no status";
    std::string out = status["faults"].empty() ? "" : dump(status["faults"]);
    for (const Json& path : status["paths"])
      if (path["cut"] == true || path["bytes_per_s"] != 0) out += dump(path);
    for (const Json& site : status["sites"])
      if (site["killed"] == true || site["paused"] == true || site["running"].size() < 6) out += dump(site);
    return out;
  }
  void await_status(const std::string& what, const std::function<bool(const Json&)>& wanted) {
    Json last;
    for (const Micros deadline = monotonic_now() + 180 * kSecond; monotonic_now() < deadline; ::usleep(50'000)) {
      last = lab_status();
      if (wanted(last)) return;
    }
    ADD_FAILURE() << what << ": " << last;
  }
  // Runs it with a report, which must be whole, agree with its raw log, and be found out when it is altered.
  Json held(const std::string& name) {
    const fs::path folder = reports_ / name;
    const Json report = drill({"drill", "run", name, "--report", folder.string()});
    EXPECT_EQ(left(lab_status()), "") << name;
    const auto recomputed = run({{DOMICILE_BINARY, "drill", "recompute", folder.string()}}, 60 * kSecond);
    EXPECT_TRUE(recomputed && recomputed->exit_code == 0) << name << (recomputed ? recomputed->err : "");
    const std::string text = read_file(folder / "report.json").value_or("");
    const auto written = parse_json(text, "report.json");
    EXPECT_TRUE(written && (*written)["drills"][0] == report) << text;
    Json altered = written.value_or(Json::object());
    altered["drills"][0]["writes_acknowledged"] = 1'000'000;
    EXPECT_TRUE(write_file(folder / "report.json", dump(altered)));
    const auto found = run({{DOMICILE_BINARY, "drill", "recompute", folder.string()}}, 60 * kSecond);
    EXPECT_TRUE(found && found->exit_code == 4 && found->err.find("writes_acknowledged") != std::string::npos)
        << (found ? found->err : "");
    EXPECT_TRUE(read_file(folder / "phases.svg").value_or("").starts_with("<svg "));
    return report;
  }
  // Ends a drill by SIGKILL as soon as it has set a fault.
  void kill_half_way(const std::string& name) {
    auto drill = Process::start({.argv = {DOMICILE_BINARY, "drill", "run", name, "--rate", "60", "--clients", "6",
                                          "--base", base_, "--report", (reports_ / "killed").string()},
                                 .output = (reports_ / "killed.log").string()});
    ASSERT_TRUE(drill);
    await_status("no fault is set",
                 [](const Json& status) { return status.contains("faults") && !status["faults"].empty(); });
    drill->signal(SIGKILL);
    drill->wait();
    EXPECT_FALSE(fs::exists(reports_ / "killed" / "report.json")) << "it was no longer half-way";
  }

  const fs::path reports_ = fs::path(DOMICILE_BINARY).parent_path() / ("drill-reports-" + base_);
};

TEST_F(DrillFiles, KilledHalfWayItIsUndoneAndTheNextOneIsHeld) {
  ASSERT_EQ(domicile({"lab", "up"}).exit_code, 0);
  const fs::path lab = lab_status()["directory"].get<std::string>();
  kill_half_way("one-way-partition");
  await_status("a fault stays", [](const Json& status) { return left(status).empty(); });
  const auto undo = domicile({"drill", "undo"});
  EXPECT_EQ(undo.exit_code, 0) << undo.err;
  EXPECT_NE(undo.err.find("nothing is left"), std::string::npos) << undo.err;

  const Json loss = held("gateway-loss");
  expect_counted(loss);
  EXPECT_EQ(loss["writes_missing"], Json::array()) << loss;
  EXPECT_TRUE(loss["rto_ms_p99"].is_number()) << loss;

  // The lab's agents know that it was held, and that others were not.
  const auto ran = run(
      {{DOMICILE_BINARY, "status", "--json", "--agent", (lab / "sites" / "eu-west-1" / "run" / "agent.sock").string()}},
      20 * kSecond);
  const auto status = parse_json(ran ? ran->out : "", "the status");
  ASSERT_TRUE(status);
  std::map<std::string, bool> late;
  for (const Json& each : (*status)["drills"]) late[each["drill"]] = each["late"].get<bool>();
  EXPECT_TRUE(late.contains("gateway-loss"));
  for (const auto& [name, is_late] : late)
    if (name != "quorum-minority") tell_held(lab, name);
  EXPECT_EQ(late["gateway-loss"], loss["held"] == false);
  EXPECT_TRUE(late["quorum-majority"]);

  const std::string agent = (lab / "sites" / "eu-west-1" / "run" / "agent.sock").string();
  const auto due = [&](const std::string& option) {
    return run({{DOMICILE_BINARY, "drill", "due", option, "--rate", "60", "--clients", "6", "--base", base_, "--agent",
                 agent}},
               120 * kSecond);
  };
  const auto before = due("--dry-run");
  ASSERT_TRUE(before);
  EXPECT_EQ(before->out, "quorum-minority\n") << before->err;
  const auto carried_out = due("--json");
  ASSERT_TRUE(carried_out);
  const auto reports = parse_json(carried_out->out, "the reports");
  ASSERT_TRUE(reports) << carried_out->err;
  ASSERT_EQ((*reports)["drills"].size(), 1U);
  EXPECT_EQ((*reports)["drills"][0]["drill"], "quorum-minority");
  EXPECT_EQ((*reports)["drills"][0]["held"], carried_out->exit_code == 0);
  EXPECT_EQ(left(lab_status()), "");
  if (carried_out->exit_code == 0) {
    EXPECT_EQ(due("--dry-run")->out, "");
  }
}

TEST_F(DrillFiles, EachIsHeldOnce) {
  if (std::getenv("DOMICILE_LONG") == nullptr) GTEST_SKIP() << "./test long";
  const std::set<std::string> elsewhere{"planned-switch", "region-loss-kill", "region-loss-pause", "region-loss-cut"};
  for (const bool fresh : {false, true}) {
    ASSERT_EQ(domicile({"lab", "up"}).exit_code, 0);
    for (const auto& entry : fs::directory_iterator(fs::path(DOMICILE_BINARY).parent_path().parent_path() / "drills")) {
      const std::string name = entry.path().stem().string();
      const bool wants_fresh = read_file(entry.path()).value_or("").find("\nfresh: true") != std::string::npos;
      if (elsewhere.contains(name) || wants_fresh != fresh) continue;
      SCOPED_TRACE(name);
      const Json report = held(name);
      expect_counted(report);
      EXPECT_FALSE(report["writes_lost"].is_array() && !report["writes_lost"].empty()) << report;
      EXPECT_TRUE(report["writes_lost"].is_array()) << report;
    }
    ASSERT_EQ(domicile({"lab", "down"}).exit_code, 0);
  }
  // Where the drill has brought the lab up itself, nothing stays of it.
  kill_half_way("quorum-minority");
  await_status("the lab stays", [&](const Json& status) { return status.is_null(); });
}

}  // namespace
}  // namespace domicile
