// The verbs that speak to an agent, against one that answers what a test wants.
#include <gtest/gtest.h>
#include <signal.h>

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>

#include "base/file.hpp"
#include "base/http_server.hpp"
#include "base/temp_dir.hpp"
#include "cli/agent_client.hpp"
#include "cli/plan_view.hpp"
#include "cli/registry.hpp"
#include "cli/status_view.hpp"

namespace domicile::cli {
namespace {

const char* const kStatus = R"({
  "region": "eu-west-1", "version": "0.1.0", "policy": "3f2ab6c0d1e4aaaa", "at": "2026-11-24T02:00:00.000Z",
  "lease": {"ttl_ms": 5000, "margin_ms": 500},
  "regions": {"us-east-1": "US", "eu-central-1": "EU", "eu-west-1": "EU"},
  "quorum": {"trouble": "", "answered_ms_ago": 412,
             "etcd": {"leader": "eu-central-1", "db_bytes": 1258291, "quota_bytes": 2147483648, "alarms": []}},
  "lives": {"us-east-1": {"boot": "a", "counter": 9, "seen_ms_ago": 700},
            "eu-central-1": {"boot": "b", "counter": 9, "seen_ms_ago": 300},
            "eu-west-1": {"boot": "c", "counter": 9, "seen_ms_ago": 100}},
  "database": "",
  "residencies": [
    {"residency": "directory", "owner": "us-east-1", "epoch": 3, "mode": "serving", "switch": "s1", "from": "us-east-1",
     "to": "us-east-1", "cause": "bootstrap", "form": "full", "lease_ms": null, "lag_ms": 120, "why": "follows us-east-1",
     "proposal": "", "distrusted": "", "owner_expired": false,
     "copy": {"state": "following", "source": "us-east-1", "epoch": 3, "why": ""},
     "link": {"complete": true, "streaming": true, "trouble": ""},
     "rules": {"home": "us-east-1", "standby": ["eu-central-1", "eu-west-1"], "holds": {"US": "full", "EU": "full"},
               "rpo_ms": 10000, "failover": "automatic"}},
    {"residency": "eu", "owner": "eu-west-1", "epoch": 7, "mode": "serving", "switch": "s2", "from": "eu-central-1",
     "to": "eu-west-1", "cause": "planned", "form": "full", "lease_ms": 4200, "lag_ms": null,
     "guard": {"state": "open", "epoch": 7, "left_ms": 4200, "switch": ""}, "why": "keeps the lease",
     "proposal": "", "distrusted": "", "owner_expired": false,
     "copy": {"state": "owner", "source": "eu-west-1", "epoch": 7, "why": ""},
     "rules": {"home": "eu-central-1", "standby": ["eu-west-1"], "holds": {"EU": "full", "US": "reduced"},
               "rpo_ms": 10000, "failover": "automatic"}}
  ]})";

Json status_json() { return Json::parse(kStatus); }

// Answers as it is told and remembers what it was asked.
class FakeAgent {
 public:
  FakeAgent() {
    answers["GET /v1/status"] = {200, kStatus};
    answers["GET /v1/events"] = {200, "[]"};
    answers["GET /v1/epochs"] = {200, R"({"eu": {"epoch": 7, "owner": "eu-west-1"}})"};
    HttpListen listen;
    listen.unix_socket = socket();
    auto started = HttpServer::start(listen, [this](const HttpCall& call) {
      const std::lock_guard lock(mutex_);
      asked_.push_back(call.method + " " + call.path + (call.body.empty() ? "" : " " + call.body));
      const auto it = answers.find(call.method + " " + call.path);
      if (it == answers.end()) return HttpReply{404, R"({"what": "no such route", "kind": "invalid_input"})"};
      const HttpReply reply{it->second.first, it->second.second};
      if (call.method == "POST" && !after_post.empty()) answers["GET /v1/status"].second = after_post;
      return reply;
    });
    EXPECT_TRUE(started);
    server_.emplace(std::move(*started));
  }
  std::string socket() const { return (directory_.path() / "agent.socket").string(); }
  std::vector<std::string> orders() {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const auto& each : asked_)
      if (each.starts_with("POST")) out.push_back(each);
    return out;
  }
  std::map<std::string, std::pair<int, std::string>> answers;  // set before a verb runs
  std::string after_post;                                      // the status once an order was taken

 private:
  TempDir directory_;
  std::mutex mutex_;
  std::vector<std::string> asked_;
  std::optional<HttpServer> server_;
};

struct Ran {
  int exit;
  std::string out, err;
};

Ran ran(std::vector<std::string> arguments, const FakeAgent& agent, const std::string& typed = {},
        bool terminal = false) {
  arguments.push_back("--agent");
  arguments.push_back(agent.socket());
  std::ostringstream out, err;
  std::istringstream in(typed);
  Io io{out, err, terminal, typed.empty() ? nullptr : &in};
  const Exit exit = dispatch(verbs(), arguments, io);
  return {static_cast<int>(exit), out.str(), err.str()};
}

std::string changed(const std::function<void(Json&)>& change) {
  Json status = status_json();
  change(status);
  return dump(status);
}

TEST(Status, IsOneTable) {
  const FakeAgent agent;
  const Ran answer = ran({"status"}, agent);
  EXPECT_EQ(answer.exit, 0) << answer.err;
  EXPECT_EQ(answer.out,
            "eu-west-1  domicile 0.1.0  policy 3f2ab6c0d1e4  2026-11-24T02:00:00.000Z\n"
            "\n"
            "quorum    answered 412 ms ago, leader eu-central-1, 1.2 MiB of 2048 MiB quota\n"
            "database  commits\n"
            "regions   eu-central-1 300 ms ago, eu-west-1 here, us-east-1 700 ms ago\n"
            "\n"
            "RESIDENCY  OWNER      EPOCH  MODE     LAG     COPY HERE  LEASE  WHY\n"
            "directory  us-east-1  3      serving  120 ms  following  -      follows us-east-1\n"
            "eu         eu-west-1  7      serving  -       owner      4.2 s  keeps the lease\n");
}

// Late is late, and so is what the agent was never told of. What it cannot read is not "none".
TEST(DrillDue, AreThoseThatAreLateOrUnknown) {
  FakeAgent agent;
  const auto told = [&](const Json& drills) {
    agent.answers["GET /v1/status"].second = changed([&](Json& status) { status["drills"] = drills; });
    return ran({"drill", "due", "--dry-run", "--json"}, agent);
  };
  const auto all = parse_json(told(Json::array()).out, "due");
  ASSERT_TRUE(all);
  const auto names = (*all)["due"].get<std::set<std::string>>();
  EXPECT_TRUE(names.contains("slow-wan") && names.contains("region-loss-kill"));
  const auto some = parse_json(
      told({{{"drill", "slow-wan"}, {"late", false}}, {{"drill", "region-loss-kill"}, {"late", true}}}).out, "due");
  ASSERT_TRUE(some);
  auto left = names;
  left.erase("slow-wan");
  EXPECT_EQ((*some)["due"].get<std::set<std::string>>(), left);
  const Ran unknown = told(nullptr);
  EXPECT_EQ(unknown.out, "");
  EXPECT_NE(unknown.exit, 0);
  EXPECT_NE(unknown.err.find("cannot read when which drill was held"), std::string::npos) << unknown.err;
}

TEST(Status, WritersSaysWhoUntilWhenAndWhy) {
  const FakeAgent agent;
  EXPECT_EQ(
      ran({"status", "--writers"}, agent).out,
      "RESIDENCY  MAY WRITE  UNTIL          GUARD HERE  WHY\n"
      "directory  us-east-1  at most 4.8 s  unknown     serving at epoch 3; surely over then, unless it beats again\n"
      "eu         eu-west-1  in 4.2 s       open        serving at epoch 7, each beat extends the lease\n");
  const auto json = parse_json(ran({"status", "--writers", "--json"}, agent).out, "writers");
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)[1]["until_ms"], 4200);
  EXPECT_EQ((*json)[1]["guard"], "open");
  EXPECT_EQ((*json)[0]["guard"], nullptr) << "not told is not known";
}

TEST(Status, NobodyWritesWhileItMovesOrWithoutALease) {
  struct {
    const char* story;
    std::function<void(Json&)> change;
    const char* why;
  } cases[] = {
      {"moving",
       [](Json& eu) {
         eu["mode"] = "moving";
         eu["to"] = "eu-central-1";
       },
       "moving to eu-central-1"},
      {"given up",
       [](Json& eu) {
         eu["mode"] = "draining";
         eu["to"] = "";
       },
       "has given it up"},
      {"the lease is over", [](Json& eu) { eu["lease_ms"] = -3; }, "is over"},
      {"no lease was opened", [](Json& eu) { eu["lease_ms"] = nullptr; }, "no lease is open"},
      {"the owner is gone",
       [](Json& eu) {
         eu["owner"] = "eu-central-1";
         eu["owner_expired"] = true;
       },
       "surely over"},
      {"no record", [](Json& eu) { eu.erase("owner"); }, "no record"},
  };
  for (const auto& each : cases) {
    Json status = status_json();
    each.change(status["residencies"][1]);
    const auto writers = writers_of(status);
    EXPECT_EQ(writers[1].region, "") << each.story;
    EXPECT_NE(writers[1].why.find(each.why), std::string::npos) << each.story << ": " << writers[1].why;
  }
}

TEST(Status, WhatIsUnsafeIsSaidAndIsTheExitCode) {
  struct {
    const char* story;
    std::function<void(Json&)> change;
    const char* said;
  } cases[] = {
      {"the quorum is silent", [](Json& s) { s["quorum"]["trouble"] = "timed out"; }, "no quorum"},
      {"and says nothing", [](Json& s) { s["quorum"]["answered_ms_ago"] = 9000; }, "no quorum for 9.0 s"},
      {"it never answered", [](Json& s) { s["quorum"]["answered_ms_ago"] = nullptr; }, "never answered this region"},
      {"somebody changed the schema",
       [](Json& s) {
         s["drift"]["found"] = {{{"object", "app.orders"}, {"what", "column 'note' is not mapped"}, {"fix", "map it"}}};
       },
       "drift: app.orders: column 'note' is not mapped; map it"},
      {"the gate was not reloaded",
       [](Json& s) {
         s["gate"] = {{"trouble", ""}, {"policy", "77aa00112233445566"}, {"links", Json::array()}};
       },
       "the gate here judges by policy 77aa00112233, the agent by 3f2ab6c0d1e4: what is personal now may still go out"},
      {"the glass is broken",
       [](Json& s) {
         s["residencies"][1]["glass"] = {
             {"open", true}, {"by", "A. Muster"}, {"reason", "etcd is lost"}, {"at", "now"}};
       },
       "GLASS BROKEN: eu is open here without a quorum since now by A. Muster: etcd is lost"},
      {"etcd is full", [](Json& s) { s["quorum"]["etcd"]["alarms"] = {"NOSPACE"}; }, "NOSPACE"},
      {"the database is dead", [](Json& s) { s["database"] = "no connection"; }, "does not commit"},
      {"distrusted", [](Json& s) { s["residencies"][1]["distrusted"] = "behind"; }, "quorum adopt"},
      {"lag over rpo", [](Json& s) { s["residencies"][0]["lag_ms"] = 10'001; }, "over its rpo of 10.0 s"},
      {"lag unknown", [](Json& s) { s["residencies"][0]["lag_ms"] = nullptr; }, "unknown"},
      {"resync", [](Json& s) { s["residencies"][0]["copy"]["state"] = "resync"; }, "resync"},
      {"first rows are on their way", [](Json& s) { s["residencies"][0]["copy"]["state"] = "none"; },
       "the first rows of directory are not here yet"},
      {"owner lost, others live",
       [](Json& s) {
         s["residencies"][0]["owner_expired"] = true;
         s["lives"]["us-east-1"]["seen_ms_ago"] = 9000;
       },
       "can go to eu-central-1, eu-west-1"},
      {"owner lost, and the copy here is no target",
       [](Json& s) {
         s["residencies"][0]["owner_expired"] = true;
         s["residencies"][0]["copy"]["state"] = "resync";
         s["residencies"][0]["rules"]["standby"] = {"eu-west-1"};
       },
       "is gone; no switch to eu-west-1: its copy is resync"},
      {"owner lost, and the first rows are not here",
       [](Json& s) {
         s["residencies"][0]["owner_expired"] = true;
         s["residencies"][0]["copy"]["state"] = "none";
         s["residencies"][0]["rules"]["standby"] = {"eu-west-1"};
       },
       "is gone; no switch to eu-west-1: its first rows are not there yet"},
      {"no second place may hold it",
       [](Json& s) {
         auto& eu = s["residencies"][1];
         eu["owner"] = "eu-central-1";
         eu["owner_expired"] = true;
         eu["rules"]["standby"] = Json::array();
         s["regions"]["eu-west-1"] = "US";
       },
       "held by law: no other region may own it"},
      {"a second place may hold it and is not named",
       [](Json& s) {
         auto& eu = s["residencies"][1];
         eu["owner"] = "eu-central-1";
         eu["owner_expired"] = true;
         eu["rules"]["standby"] = Json::array();
       },
       "no standby is named (eu-west-1 could be)"},
  };
  FakeAgent agent;
  for (const auto& each : cases) {
    agent.answers["GET /v1/status"].second = changed(each.change);
    const Ran answer = ran({"status"}, agent);
    EXPECT_EQ(answer.exit, 5) << each.story;
    EXPECT_NE(answer.out.find(each.said), std::string::npos) << each.story << "\n" << answer.out;
  }
  agent.answers["GET /v1/status"].second = changed([](Json& s) {
    s["residencies"][0]["lag_ms"] = 10'000;
    s["gate"] = {{"trouble", ""}, {"policy", s["policy"]}, {"links", Json::array()}};
  });
  EXPECT_EQ(ran({"status"}, agent).exit, 0) << "within the budget, and the gate's policy is the agent's";
}

TEST(Status, WhatWaitsNamesTheCommand) {
  FakeAgent agent;
  agent.answers["GET /v1/status"].second = changed([](Json& s) { s["residencies"][1]["proposal"] = "eu-7"; });
  EXPECT_NE(ran({"status"}, agent).out.find("waits:  eu waits for a person: domicile approve eu-7 --reason TEXT\n"),
            std::string::npos);
}

TEST(Status, WhoMightTakeRowsPastTheGateIsNamedAndIsNoAlarm) {
  FakeAgent agent;
  agent.answers["GET /v1/status"].second = changed([](Json& s) {
    s["drift"]["warned"] = {{{"object", "standby1"}, {"what", "a physical slot [DOM-P019]"}, {"fix", "drop it"}}};
  });
  const Ran answer = ran({"status"}, agent);
  EXPECT_EQ(answer.exit, 0) << answer.out;
  EXPECT_NE(answer.out.find("warns:  standby1: a physical slot [DOM-P019]; drop it\n"), std::string::npos)
      << answer.out;
}

TEST(Status, AnOlderAgentThatLeavesThingsOutIsShown) {
  FakeAgent agent;
  agent.answers["GET /v1/status"].second =
      R"({"region": "a", "quorum": {"answered_ms_ago": 3}, "residencies": [{"residency": "eu", "owner": "a"}]})";
  const Ran answer = ran({"status"}, agent);
  EXPECT_EQ(answer.exit, 0) << answer.err;
  EXPECT_NE(answer.out.find("eu         a      -      unknown  -    -          -\n"), std::string::npos) << answer.out;
}

TEST(Status, WatchLeavesTheScreenAsItFoundIt) {
  const FakeAgent agent;
  sigset_t one, before;
  sigemptyset(&one);
  sigaddset(&one, SIGINT);
  pthread_sigmask(SIG_BLOCK, &one, &before);
  pthread_kill(pthread_self(), SIGINT);  // Ctrl-C, as soon as it looks
  const Ran answer = ran({"status", "--watch"}, agent, "", true);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(answer.exit, 0);
  EXPECT_TRUE(answer.out.starts_with("\033[?1049h")) << answer.out;
  EXPECT_TRUE(answer.out.ends_with("\033[?1049l")) << answer.out;
}

TEST(Operate, WrongUsageIs64) {
  const std::vector<std::vector<std::string>> wrong = {
      {"switch", "eu"},
      {"switch", "eu", "--to", "eu-central-1"},
      {"switch", "eu", "--to", "eu-central-1", "--reason", ""},
      {"switch", "eu", "--to", "eu-central-1", "--reason", "x", "--wait", "--no-wait"},
      {"switch", "eu", "--to", "eu-central-1", "--reason", "x", "--timeout", "soon"},
      {"switch", "eu", "--to", "eu-central-1", "--reason", "x"},  // nobody to ask
      {"approve", "p1"},
      {"approve", "--reason", "x"},
      {"quorum", "adopt"},
      {"quorum", "adopt", "--reason", "x", "--owner", "eu-west-1"},
      {"break-glass", "eu", "--by", "me", "--reason", "x"},  // nobody to ask
      {"break-glass", "eu", "--by", "me", "--reason", "x", "--attest", "us-east-1", "--yes"},
      {"break-glass", "eu", "--by", "me", "--reason", "x", "--attest", "a=b", "--attest", "a=c", "--yes"},
      {"status", "--url", "https://x"},
      {"status", "eu"},
  };
  FakeAgent agent;
  for (const auto& each : wrong) {
    EXPECT_EQ(ran(each, agent).exit, 64) << testing::PrintToString(each);
    EXPECT_TRUE(agent.orders().empty()) << testing::PrintToString(each);
  }
}

const std::vector<std::string> kSwitch = {"switch", "eu", "--to", "eu-central-1", "--reason", "kernel"};

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(Switch, DryRunPrintsTheStepsAndOrdersNothing) {
  FakeAgent agent;
  const Ran answer = ran(with(kSwitch, {"--dry-run"}), agent);
  EXPECT_EQ(answer.exit, 0) << answer.err;
  EXPECT_TRUE(answer.out.starts_with("eu: eu-west-1 -> eu-central-1 at epoch 8, because: kernel\n")) << answer.out;
  EXPECT_LT(answer.out.find("fence"), answer.out.find("swap_serving"));
  EXPECT_TRUE(agent.orders().empty());
}

TEST(Switch, WhatTheLawForbidsIsRefusedWithItsSentence) {
  FakeAgent agent;
  const Ran answer = ran({"switch", "eu", "--to", "us-east-1", "--reason", "x", "--yes"}, agent);
  EXPECT_EQ(answer.exit, 3);
  EXPECT_NE(answer.err.find("us-east-1 lies in US, which may hold only the reduced form of eu "
                            "(residencies.eu.holds.US: reduced): it must never own it"),
            std::string::npos)
      << answer.err;
  EXPECT_TRUE(agent.orders().empty());
  EXPECT_EQ(ran({"switch", "eu", "--to", "eu-west-1", "--reason", "x", "--yes"}, agent).exit, 1) << "it owns it";
  EXPECT_EQ(ran({"switch", "xx", "--to", "eu-west-1", "--reason", "x", "--yes"}, agent).exit, 1);
  EXPECT_EQ(ran({"switch", "eu", "--to", "nowhere", "--reason", "x", "--yes"}, agent).exit, 1);
}

std::string after_switch(const std::string& owner, int epoch) {
  return changed([&](Json& s) {
    s["residencies"][1]["owner"] = owner;
    s["residencies"][1]["epoch"] = epoch;
  });
}

const std::pair<int, std::string> kOrdered = {
    202, R"({"switch": "s9", "residency": "eu", "from": "eu-west-1", "to": "eu-central-1", "epoch": 7})"};
const char* const kEvents = R"([
  {"id": "8-4", "at_us": 30, "region": "eu-central-1", "event": "switch.serving", "text": "serves", "switch": "s9"},
  {"id": "7-2", "at_us": 20, "region": "eu-west-1", "event": "switch.drain.fence", "text": "", "switch": "s9", "ms": 12},
  {"id": "7-1", "at_us": 10, "region": "eu-west-1", "event": "switch.drain.fence", "text": "", "switch": "old", "ms": 99}])";

TEST(Switch, WaitsUntilItServesAndPrintsThePhasesInTheirOrder) {
  FakeAgent agent;
  agent.answers["POST /v1/switch"] = kOrdered;
  agent.answers["GET /v1/events"].second = kEvents;
  agent.after_post = after_switch("eu-central-1", 8);
  const Ran answer = ran(kSwitch, agent, "y\n");
  EXPECT_EQ(answer.exit, 0) << answer.err;
  EXPECT_EQ(answer.out, "eu is served by eu-central-1\n");
  const auto fence = answer.err.find("eu-west-1       switch.drain.fence                  12 ms");
  EXPECT_NE(fence, std::string::npos) << answer.err;
  EXPECT_LT(fence, answer.err.find("switch.serving"));
  EXPECT_EQ(answer.err.find("99 ms"), std::string::npos) << "another switch's";
  EXPECT_EQ(agent.orders(),
            std::vector<std::string>{R"(POST /v1/switch {"reason":"kernel","residency":"eu","to":"eu-central-1"})"});
}

TEST(Switch, EveryEndHasItsExitCode) {
  FakeAgent agent;
  agent.answers["POST /v1/switch"] = kOrdered;
  EXPECT_EQ(ran(kSwitch, agent, "n\n").exit, 1);
  EXPECT_TRUE(agent.orders().empty());
  EXPECT_EQ(ran(with(kSwitch, {"--yes", "--timeout", "1"}), agent).exit, 75) << "under way";
  agent.after_post = after_switch("eu-west-1", 8);
  const Ran back = ran(with(kSwitch, {"--yes", "--json"}), agent);
  EXPECT_EQ(back.exit, 75) << "rolled back: may be tried again";
  EXPECT_EQ(Json::parse(back.out)["outcome"], "rolled_back");
  agent.answers["GET /v1/status"].second = kStatus;
  for (const auto& [kind, exit] : std::map<std::string, int>{{"refused", 3},
                                                             {"corrupt", 4},
                                                             {"unsafe", 5},
                                                             {"unavailable", 75},
                                                             {"unknown_outcome", 75},
                                                             {"conflict", 1}}) {
    agent.answers["POST /v1/switch"] = {409,
                                        dump({{"what", "no"}, {"fix", "wait"}, {"code", "DOM-E201"}, {"kind", kind}})};
    agent.after_post.clear();
    const Ran answer = ran(with(kSwitch, {"--yes"}), agent);
    EXPECT_EQ(answer.exit, exit) << kind;
    EXPECT_NE(answer.err.find("[DOM-E201]: no"), std::string::npos) << answer.err;
    EXPECT_NE(answer.err.find("fix: wait"), std::string::npos) << answer.err;
  }
}

TEST(Operate, OrdersSayWhatThePersonSaid) {
  FakeAgent agent;
  agent.answers["POST /v1/approve"] = {200, R"({"approved": "p1"})"};
  agent.answers["POST /v1/quorum/adopt"] = {
      200, R"({"adopted": [{"residency": "eu", "adopted": true, "epoch": 9, "owner": "eu-west-1"},
                           {"residency": "us", "adopted": false, "epoch": 4}]})"};
  agent.answers["POST /v1/break-glass"] = {403, R"({"what": "not yet", "kind": "refused", "fix": "restore etcd"})"};
  EXPECT_EQ(ran({"approve", "p1", "--reason", "burns"}, agent).exit, 0);
  const Ran adopted =
      ran({"quorum", "adopt", "--reason", "restored", "--residency", "eu", "--owner", "eu-west-1"}, agent);
  EXPECT_EQ(adopted.out, "eu: epoch 9 for eu-west-1\nus: was not behind, stays at epoch 4\n");
  EXPECT_EQ(
      ran({"break-glass", "eu", "--by", "A", "--reason", "r", "--attest", "x=off", "--attest", "y=off"}, agent, "eu\n")
          .exit,
      3);
  EXPECT_EQ(ran({"break-glass", "eu", "--by", "A", "--reason", "r", "--attest", "x=off"}, agent, "us\n").exit, 1)
      << "another name";
  EXPECT_EQ(agent.orders(),
            (std::vector<std::string>{
                R"(POST /v1/approve {"proposal":"p1","reason":"burns"})",
                R"(POST /v1/quorum/adopt {"owner":"eu-west-1","reason":"restored","residency":"eu"})",
                R"(POST /v1/break-glass {"attest":{"x":"off","y":"off"},"by":"A","reason":"r","residency":"eu"})"}));
}

TEST(Operate, AMovingTenantIsSaidAndOneThatIsHeldAndWaitsIsUnsafe) {
  FakeAgent agent;
  const auto status_with = [](const char* phase, const char* waits) {
    return changed([&](Json& s) {
      s["moves"] = {{{"tenant", "acme"}, {"from", "us"}, {"to", "eu"}, {"phase", phase}, {"waits", waits}}};
    });
  };
  agent.answers["GET /v1/status"].second = status_with("copying", "");
  const Ran copying = ran({"status"}, agent);
  EXPECT_EQ(copying.exit, 0) << copying.out;
  EXPECT_NE(copying.out.find("tenant acme moves from us to eu: copying"), std::string::npos) << copying.out;
  agent.answers["GET /v1/status"].second = status_with("flipped", "eu-west-1 does not answer");
  const Ran held = ran({"status"}, agent);
  EXPECT_EQ(held.exit, 5) << held.out;
  EXPECT_NE(held.out.find("held by its move (flipped): eu-west-1 does not answer"), std::string::npos) << held.out;
}

TEST(TenantMove, EveryEndHasItsExitCode) {
  FakeAgent agent;
  const auto move = [](const char* phase, const char* note) {
    return Json{{"tenant", "acme"},        {"id", "m-1"},  {"from", "us"},   {"to", "eu"},
                {"phase", phase},          {"note", note}, {"form", "full"}, {"from_region", "us-east-1"},
                {"to_region", "eu-west-1"}};
  };
  const std::vector<std::string> words{"tenant", "move", "acme", "--to", "eu", "--reason", "asked for"};
  agent.answers["POST /v1/moves"] = {200, dump(move("copying", ""))};
  agent.answers["GET /v1/moves"] = {200, "[]"};
  agent.answers["GET /v1/events"] = {200, "[]"};
  agent.answers["POST /v1/moves/find"] = {200, dump({{"move", move("done", "")}})};
  EXPECT_EQ(ran(words, agent, "n\n").exit, 1);
  const Ran done = ran(words, agent, "y\n");
  EXPECT_EQ(done.exit, 0) << done.err;
  EXPECT_EQ(done.out, "acme lives in eu\n");
  EXPECT_NE(done.err.find("us -> eu (us-east-1 -> eu-west-1), all columns"), std::string::npos) << done.err;
  agent.answers["POST /v1/moves/find"] = {200, dump({{"move", move("aborted", "eu-west-1 did not hold")}})};
  const Ran back = ran(with(words, {"--yes", "--json"}), agent);
  EXPECT_EQ(back.exit, 1) << back.err;
  EXPECT_NE(back.err.find("taken back: eu-west-1 did not hold"), std::string::npos) << back.err;
  EXPECT_EQ(Json::parse(back.out)["outcome"], "aborted");
  agent.answers["POST /v1/moves/find"] = {200, dump({{"move", move("flipped", "")}})};
  EXPECT_EQ(ran(with(words, {"--yes", "--timeout", "1"}), agent).exit, 75) << "under way";
  agent.answers["POST /v1/moves"] = {
      403, dump({{"what", "personal columns stay"}, {"fix", "f"}, {"code", "DOM-E714"}, {"kind", "refused"}})};
  EXPECT_EQ(ran(with(words, {"--yes"}), agent).exit, 3);
  EXPECT_EQ(ran({"tenant", "move", "acme"}, agent).exit, 64) << "neither --to nor --abort";
}

TEST(QuorumStatus, SetsTheQuorumAgainstThisSitesDisk) {
  FakeAgent agent;
  const Ran sound = ran({"quorum", "status"}, agent);
  EXPECT_EQ(sound.exit, 0) << sound.err;
  EXPECT_NE(sound.out.find("eu         7 eu-west-1  7 eu-west-1       believed\n"), std::string::npos) << sound.out;
  agent.answers["GET /v1/status"].second = changed([](Json& s) { s["residencies"][1]["distrusted"] = "epoch 6 < 7"; });
  const Ran behind = ran({"quorum", "status"}, agent);
  EXPECT_EQ(behind.exit, 5);
  EXPECT_NE(behind.out.find("distrusted: epoch 6 < 7"), std::string::npos) << behind.out;
}

TEST(Operate, AnAgentThatIsNotThereMeansLater) {
  const TempDir nowhere;
  std::ostringstream out, err;
  Io io{out, err};
  const std::vector<std::string> arguments = {"status", "--agent", (nowhere.path() / "none.socket").string()};
  EXPECT_EQ(static_cast<int>(dispatch(verbs(), arguments, io)), 75);
  EXPECT_NE(err.str().find("does not answer"), std::string::npos) << err.str();
}

}  // namespace
}  // namespace domicile::cli
