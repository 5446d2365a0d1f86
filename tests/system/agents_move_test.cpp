// A tenant moves between residencies: under its clients' writes, through the death of whoever acts, taken back, and
// where something is in the way.
#include <gtest/gtest.h>

#include <thread>

#include "core/moves/move.hpp"
#include "support/agents_fixture.hpp"

namespace domicile::test {
namespace {

using moves::Phase;

// Of both tenants, at all regions' gateways; each request as from a client that opens a new connection when it is told
// 421.
class Clients {
 public:
  explicit Clients(Regions& regions) : regions_(regions) {
    for (const auto& region : Regions::all())
      for (const char* tenant : {"us", "eu"})
        threads_.emplace_back([this, region, tenant](const std::stop_token& stop) { run(stop, region, tenant); });
  }
  void stop() { threads_.clear(); }
  bool until_more(int count) {
    const auto enough = [&, now = counts()] {
      const auto then = counts();
      return then.first >= now.first + count && then.second >= now.second + count;
    };
    return eventually(enough);
  }
  std::set<std::int64_t> acknowledged(const std::string& tenant) {
    const std::lock_guard lock(mutex_);
    return acknowledged_[tenant];
  }
  std::map<std::string, int> errors() {
    const std::lock_guard lock(mutex_);
    return errors_;
  }

 private:
  std::pair<std::size_t, std::size_t> counts() {
    const std::lock_guard lock(mutex_);
    return {acknowledged_["us"].size(), acknowledged_["eu"].size()};
  }
  void run(const std::stop_token& stop, const std::string& region, const std::string& tenant) {
    while (!stop.stop_requested()) {
      const auto row = regions_.next_row();
      auto answer = regions_.gateway(region).post(tenant, row);
      for (int i = 0; i < 3 && answer.status == 421; ++i) answer = regions_.gateway(region).post(tenant, row);
      const std::lock_guard lock(mutex_);
      if (answer.status == 201)
        acknowledged_[tenant].insert(row);
      else
        ++errors_[fmt::format("{} of {} at {}: {} {}", answer.status, tenant, region, answer.headers, answer.body)];
      ::usleep(10'000);  // a rate
    }
  }

  Regions& regions_;
  std::mutex mutex_;
  std::map<std::string, std::set<std::int64_t>> acknowledged_;
  std::map<std::string, int> errors_;
  std::vector<std::jthread> threads_;  // last: they use everything above
};

// Agents die here and are back within seconds: the leases are to outlive that, also where a start takes long.
std::string long_leases() {
  std::string topology = kShortTimes;
  for (const std::string key : {"ttl", "patience"}) {
    const std::string before = key + ": 4s";
    topology.replace(topology.find(before), before.size(), key + ": 15s");
  }
  return topology;
}

class AgentsMove : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    regions_ =
        std::make_unique<Regions>(RegionsOptions{.topology = long_leases(), .gateways = true, .asks_directory = true});
  }
  static void TearDownTestSuite() { regions_.reset(); }

  // Each story begins with us-1 at home, wherever the last one left it.
  void SetUp() override {
    for (const char* residency : {"us", "eu", "directory"})
      ASSERT_TRUE(regions_->serves(residency, residency == std::string("eu") ? kEu : kUs)) << told();
    ASSERT_TRUE(regions_->settled()) << told();
    ASSERT_TRUE(eventually([] { return !last() || !moves::live(last()->phase); })) << told();
    if (lives_in("us-1") != "us") move("us-1", "us", true);
    for (const auto& region : Regions::all())
      ASSERT_TRUE(eventually([&] { return regions_->gateway(region).post("us", regions_->next_row()).status == 201; },
                             20 * kSecond))
          << region << told();
  }
  void TearDown() override { regions_->forget_stalls(); }

  static std::string told() {
    return dump(regions_->get(kEu, "/v1/moves")) + "\n" + dump(regions_->get(kEu, "/v1/events")) + regions_->told();
  }
  static std::optional<moves::Move> last(const std::string& tenant = "us-1") {
    const auto found = regions_->post(kUs, "/v1/moves/find", {{"tenant", tenant}});
    if (!found || !(*found)["move"].is_object()) return {};
    return moves::move_of((*found)["move"]).value();
  }
  static bool in_phase(Phase phase, Micros timeout = kPatient) {
    return eventually([&] { return last() && last()->phase == phase; }, timeout);
  }
  static std::string lives_in(const std::string& tenant) {
    return value(kUs, "SELECT residency FROM domicile.tenant WHERE tenant_id = '" + tenant + "'");
  }
  static std::string value(const std::string& region, const std::string& sql) {
    auto connection = regions_->database(region).connect();
    const auto rows = must(connection.exec(sql));
    return rows.size() == 0 ? "" : rows.text(0, 0);
  }
  static std::string rows(const std::string& region, const std::string& residency) {
    return value(region,
                 "SELECT count(*) FROM app.orders WHERE tenant_id = 'us-1' AND residency = '" + residency + "'");
  }
  static std::set<std::int64_t> ids(const std::string& region, const std::string& residency) {
    auto connection = regions_->database(region).connect();
    const auto found = must(
        connection.exec_params("SELECT id FROM app.orders WHERE tenant_id = 'us-1' AND residency = $1", {residency}));
    std::set<std::int64_t> out;
    for (int i = 0; i < found.size(); ++i) out.insert(found.integer_or(i, 0, 0));
    return out;
  }
  static Result<Json> order(const std::string& to, bool without_personal = false) {
    return regions_->post(
        kEu, "/v1/moves",
        {{"tenant", "us-1"}, {"to", to}, {"reason", "a story"}, {"without_personal", without_personal}});
  }
  static void move(const std::string& tenant, const std::string& to, bool without_personal) {
    std::vector<std::string> words{"tenant",   "move",    tenant,  "--to",    to,
                                   "--reason", "a story", "--yes", "--agent", regions_->socket(kWest).string()};
    if (without_personal) words.emplace_back("--without-personal");
    const auto moved = regions_->cli(words);
    ASSERT_EQ(moved.exit_code, 0) << moved.out << moved.err << told();
  }
  // All of what was acknowledged is there, once, and nowhere under the old name.
  void expect_moved(const std::set<std::int64_t>& acknowledged, const std::string& from, const std::string& to) {
    const auto home = to == "eu" ? kEu : kUs;
    const auto there = ids(home, to);
    std::vector<std::int64_t> missing;
    std::ranges::set_difference(acknowledged, there, std::back_inserter(missing));
    EXPECT_EQ(missing, std::vector<std::int64_t>{});
    for (const auto& region : Regions::all()) EXPECT_EQ(rows(region, from), "0") << region;
    EXPECT_EQ(lives_in("us-1"), to);
  }

  void move_there_and_back() {
    Clients clients(*regions_);
    ASSERT_TRUE(clients.until_more(20)) << told();
    move("us-1", "eu", false);
    ASSERT_TRUE(clients.until_more(20)) << told();
    expect_moved(clients.acknowledged("us"), "us", "eu");
    EXPECT_EQ(value(kUs, "SELECT count(*) FROM app.orders WHERE residency = 'eu' AND customer_name IS NOT NULL"), "0");
    EXPECT_NE(value(kEu, "SELECT count(*) FROM app.orders WHERE tenant_id = 'us-1' AND customer_name = 'name'"), "0");

    move("us-1", "us", true);
    ASSERT_TRUE(clients.until_more(20)) << told();
    clients.stop();
    EXPECT_EQ(clients.errors(), (std::map<std::string, int>{})) << told();
    expect_moved(clients.acknowledged("us"), "eu", "us");
    // What was personal under the law of eu never reached us; what was written since is us's own.
    EXPECT_NE(value(kUs, "SELECT count(*) FROM app.orders WHERE tenant_id = 'us-1' AND customer_name IS NULL"), "0");
  }

  static std::unique_ptr<Regions> regions_;
};
std::unique_ptr<Regions> AgentsMove::regions_;

TEST_F(AgentsMove, ThereAndBackUnderWritesLosesNothingAndTellsNobodyAnError) { move_there_and_back(); }

TEST_F(AgentsMove, PersonalDataLeavesAStricterLawByNobodysMistake) {
  move("us-1", "eu", false);
  const auto refused = order("us");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("403"), std::string::npos) << refused.error().what;
  const auto cli =
      regions_->cli({"tenant", "move", "us-1", "--to", "us", "--yes", "--agent", regions_->socket(kUs).string()});
  EXPECT_EQ(cli.exit_code, 3) << cli.out << cli.err;
  EXPECT_NE(cli.err.find("DOM-E714"), std::string::npos) << cli.err;
  EXPECT_EQ(lives_in("us-1"), "eu");
  move("us-1", "us", true);
  for (const auto& region : Regions::all())
    EXPECT_EQ(value(region,
                    "SELECT move ->> 'reason' || (CASE WHEN move ->> 'by' = '' THEN '' ELSE ' by somebody' END) "
                    "FROM domicile.tenant WHERE tenant_id = 'us-1'"),
              "a story by somebody")
        << region << ": who asks later why it left the stricter law finds it";
}

TEST_F(AgentsMove, WhileItIsSealedTheDatabaseRefusesItsWritesAndNobodyElses) {
  regions_->stop_at(kEu, "move.sealed.done");
  ASSERT_TRUE(order("eu"));
  ASSERT_TRUE(regions_->reached(kEu, "move.sealed.done")) << told();
  for (const auto& region : Regions::all()) EXPECT_NE(regions_->write(region, "us"), "") << region;
  EXPECT_EQ(regions_->write(kUs, "us"), "DM006");
  EXPECT_EQ(regions_->write(kEu, "eu"), "");
  auto mislabelled = regions_->database(kEu).connect("app").exec(
      fmt::format("INSERT INTO app.orders (id, residency, tenant_id) VALUES ({}, 'eu', 'us-1')", regions_->next_row()));
  ASSERT_FALSE(mislabelled);
  EXPECT_EQ(postgres::sqlstate_of(mislabelled.error()), "DM002") << "the copy is written by the agent's permit alone";
  regions_->let_go(kEu, "move.sealed.done");
  ASSERT_TRUE(in_phase(Phase::done)) << told();
  EXPECT_EQ(regions_->write(kEu, "us"), "") << "by the directory, it is of eu now";
}

TEST_F(AgentsMove, ATransactionThatWroteBeforeTheSealIsWaitedForAndComesAlong) {
  auto early = regions_->database(kUs).connect("app");
  const auto row = regions_->next_row();
  ASSERT_TRUE(early.exec("BEGIN; " + Regions::insert_sql("us", row)));
  regions_->stop_at(kEu, "move.sealed");
  ASSERT_TRUE(order("eu"));
  ASSERT_TRUE(regions_->reached(kEu, "move.sealed")) << told();
  regions_->let_go(kEu, "move.sealed");
  ASSERT_TRUE(eventually([&] {
    const auto moves = regions_->get(kEu, "/v1/moves");
    return moves.is_array() && !moves.empty() && moves[0].value("waits", "").find("still open") != std::string::npos;
  })) << told();
  ASSERT_TRUE(early.exec("COMMIT"));
  ASSERT_TRUE(in_phase(Phase::done)) << told();
  expect_moved({row}, "us", "eu");
}

TEST_F(AgentsMove, AKeyThatAnotherTenantUsesTakesTheMoveBack) {
  const auto row = regions_->next_row();
  ASSERT_EQ(regions_->write(kUs, "us", row), "");
  must(regions_->database(kEu).connect("app").exec(Regions::insert_sql("eu", row)));
  ASSERT_TRUE(order("eu"));
  ASSERT_TRUE(in_phase(Phase::aborted)) << told();
  EXPECT_NE(last()->note.find("key that another tenant"), std::string::npos) << last()->note;
  EXPECT_EQ(rows(kEu, "eu"), "0");
  EXPECT_EQ(regions_->write(kUs, "us"), "");
  must(regions_->database(kEu).connect("app").exec(
      fmt::format("DELETE FROM app.orders WHERE residency = 'eu' AND id = {}", row)));
}

TEST_F(AgentsMove, WhatWasWrittenPastTheGuardAfterTheComparisonIsNotDeleted) {
  const auto row = regions_->next_row();
  ASSERT_EQ(regions_->write(kUs, "us", row), "");
  // As a superuser can: without the triggers, and without what puts them back.
  const auto write_past = [row](const std::string& name) {
    must(regions_->database(kUs).connect().exec(
        "BEGIN; ALTER EVENT TRIGGER domicile_guard_follow DISABLE; ALTER TABLE app.orders DISABLE TRIGGER ALL; "
        "UPDATE app.orders SET customer_name = '" +
        name + "' WHERE residency = 'us' AND id = " + std::to_string(row) +
        "; "
        "SELECT domicile.guard_repair(); ALTER EVENT TRIGGER domicile_guard_follow ENABLE ALWAYS; COMMIT"));
  };
  regions_->stop_at(kEu, "move.flipped.done");
  ASSERT_TRUE(order("eu"));
  ASSERT_TRUE(regions_->reached(kEu, "move.flipped.done")) << told();
  write_past("another");
  const auto rows_then = rows(kUs, "us");
  regions_->let_go(kEu, "move.flipped.done");
  ASSERT_TRUE(eventually([&] {
    const auto moves = regions_->get(kEu, "/v1/moves");
    return moves.is_array() && !moves.empty() &&
           moves[0].value("waits", "").find("nothing is deleted") != std::string::npos;
  })) << told();
  EXPECT_EQ(rows(kUs, "us"), rows_then);
  EXPECT_EQ(regions_->write(kEu, "us"), "") << "its clients are served meanwhile";
  write_past("name");
  ASSERT_TRUE(in_phase(Phase::done)) << told();
  EXPECT_EQ(rows(kUs, "us"), "0");
}

TEST_F(AgentsMove, NobodyIsHeldForARegionThatDoesNotAnswer) {
  ASSERT_EQ(regions_->write(kUs, "us"), "");
  regions_->stop_agent(kWest);
  ASSERT_TRUE(order("eu"));
  EXPECT_TRUE(eventually([&] {
    const auto moves = regions_->get(kEu, "/v1/moves");
    return moves.is_array() && !moves.empty() && moves[0].value("waits", "").find(kWest) != std::string::npos;
  })) << told();
  EXPECT_EQ(last()->phase, Phase::copying);
  EXPECT_EQ(regions_->gateway(kUs).post("us", regions_->next_row()).status, 201) << "it is served as ever";
  regions_->start_agent(kWest);
  ASSERT_TRUE(in_phase(Phase::done)) << told();
}

TEST_F(AgentsMove, APersonTakesItBackUntilTheFlip) {
  Clients clients(*regions_);
  ASSERT_TRUE(clients.until_more(10)) << told();
  for (const char* point : {"move.copying.done", "move.holding.done", "move.sealed.done"}) {
    SCOPED_TRACE(point);
    regions_->stop_at(kEu, point);
    ASSERT_TRUE(order("eu"));
    ASSERT_TRUE(regions_->reached(kEu, point)) << told();
    const auto aborted =
        regions_->cli({"tenant", "move", "us-1", "--abort", "--no-wait", "--agent", regions_->socket(kEu).string()});
    EXPECT_EQ(aborted.exit_code, 0) << aborted.out << aborted.err;
    regions_->let_go(kEu, point);
    ASSERT_TRUE(in_phase(Phase::aborted)) << told();
    ASSERT_TRUE(clients.until_more(10)) << told();
    for (const auto& region : Regions::all()) EXPECT_EQ(rows(region, "eu"), "0") << region;
    EXPECT_EQ(lives_in("us-1"), "us");
  }
  regions_->stop_at(kEu, "move.flipped.done");
  ASSERT_TRUE(order("eu"));
  ASSERT_TRUE(regions_->reached(kEu, "move.flipped.done")) << told();
  const auto late = regions_->cli({"tenant", "move", "us-1", "--abort", "--agent", regions_->socket(kEu).string()});
  EXPECT_NE(late.exit_code, 0) << late.out << late.err;
  regions_->let_go(kEu, "move.flipped.done");
  ASSERT_TRUE(in_phase(Phase::done)) << told();
  clients.stop();
  EXPECT_EQ(clients.errors(), (std::map<std::string, int>{})) << told();
  expect_moved(clients.acknowledged("us"), "us", "eu");
}

// Where no extension may be installed.
class AgentsMovePortable : public AgentsMove {
 protected:
  static void SetUpTestSuite() {
    regions_ = std::make_unique<Regions>(
        RegionsOptions{.topology = long_leases(), .gateways = true, .asks_directory = true, .guard = "portable"});
  }
};

TEST_F(AgentsMovePortable, ThereAndBackUnderWritesLosesNothingAndTellsNobodyAnError) { move_there_and_back(); }

// Kills take longer than all other stories together.
class AgentsMoveKilled : public AgentsMove {
 protected:
  struct Death {
    std::string point;
    bool source = false;  // of the agent that owns the tenant's old residency; else of the move's actor
  };
  // One move for each, there and back in turn.
  void kill_at_each(const std::vector<Death>& deaths) {
    Clients clients(*regions_);
    ASSERT_TRUE(clients.until_more(10)) << told();
    std::string from = "us";
    for (const auto& [point, source] : deaths) {
      const std::string to = from == "us" ? "eu" : "us", dies = (to == "eu") == source ? kUs : kEu;
      SCOPED_TRACE(point + " at " + dies);
      regions_->kill_at(dies, point);
      ASSERT_TRUE(order(to, to == "us"));
      ASSERT_TRUE(regions_->reached(dies, point)) << told();
      ASSERT_TRUE(eventually([&] { return !regions_->agent_runs(dies); }));
      regions_->let_go(dies, point);
      regions_->start_agent(dies);
      ASSERT_TRUE(in_phase(Phase::done)) << told();
      ASSERT_TRUE(clients.until_more(10)) << told();
      expect_moved(clients.acknowledged("us"), from, to);
      from = to;
    }
    clients.stop();
    EXPECT_EQ(clients.errors(), (std::map<std::string, int>{})) << told();
  }
  static std::vector<Death> both_ends(const std::vector<std::string>& phases) {
    std::vector<Death> out;
    for (const auto& phase : phases)
      for (const char* moment : {"", ".done"}) out.push_back({fmt::format("move.{}{}", phase, moment)});
    return out;
  }
};

class AgentsMoveKilledBeforeTheFlip : public AgentsMoveKilled {};
class AgentsMoveKilledAfterIt : public AgentsMoveKilled {};
class AgentsMoveKilledInBetween : public AgentsMoveKilled {};

TEST_F(AgentsMoveKilledBeforeTheFlip, AnActorIsFollowedByAnotherAndNoClientNotices) {
  kill_at_each(both_ends({"copying", "holding", "sealed"}));
}

TEST_F(AgentsMoveKilledAfterIt, AnActorIsFollowedByAnotherAndNoClientNotices) {
  kill_at_each(both_ends({"flipped", "releasing", "deleting"}));
}

TEST_F(AgentsMoveKilledInBetween, OfACopyOrAtTheSourceItGoesOnAndNoClientNotices) {
  kill_at_each({{"move.copying.some"}, {"move.copying.some"}, {"move.rows", true}, {"move.removed", true}});
}

TEST_F(AgentsMoveKilledInBetween, WhatWasTakenBackIsTakenBackByTheNextActor) {
  Clients clients(*regions_);
  ASSERT_TRUE(clients.until_more(10)) << told();
  for (const std::string point : {"move.aborting", "move.aborting.done"}) {
    SCOPED_TRACE(point);
    regions_->stop_at(kEu, "move.sealed.done");
    regions_->kill_at(kEu, point);
    ASSERT_TRUE(order("eu"));
    ASSERT_TRUE(regions_->reached(kEu, "move.sealed.done")) << told();
    const auto aborted =
        regions_->cli({"tenant", "move", "us-1", "--abort", "--no-wait", "--agent", regions_->socket(kEu).string()});
    EXPECT_EQ(aborted.exit_code, 0) << aborted.out << aborted.err;
    regions_->let_go(kEu, "move.sealed.done");
    ASSERT_TRUE(regions_->reached(kEu, point)) << told();
    ASSERT_TRUE(eventually([] { return !regions_->agent_runs(kEu); }));
    regions_->let_go(kEu, point);
    regions_->start_agent(kEu);
    ASSERT_TRUE(in_phase(Phase::aborted)) << told();
    ASSERT_TRUE(clients.until_more(10)) << told();
    for (const auto& region : Regions::all()) EXPECT_EQ(rows(region, "eu"), "0") << region;
    EXPECT_EQ(lives_in("us-1"), "us");
  }
  clients.stop();
  EXPECT_EQ(clients.errors(), (std::map<std::string, int>{})) << told();
  std::vector<std::int64_t> missing;
  std::ranges::set_difference(clients.acknowledged("us"), ids(kUs, "us"), std::back_inserter(missing));
  EXPECT_EQ(missing, std::vector<std::int64_t>{});
}

}  // namespace
}  // namespace domicile::test
