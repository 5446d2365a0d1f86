// A proof as a privacy officer makes it, on a whole lab that records; and that it is no proof once a layer is open.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/process.hpp"
#include "base/temp_dir.hpp"
#include "engines/postgres/connection.hpp"

namespace domicile {
namespace {

class Prove : public testing::Test {
 protected:
  Outcome domicile(std::vector<std::string> words) {
    words.insert(words.begin(), DOMICILE_BINARY);
    words.insert(words.end(), {"--base", base_});
    const auto ran = run({words}, 1500 * kSecond);
    if (!ran) ADD_FAILURE() << render(ran.error());
    return ran ? *ran : Outcome{};
  }
  struct Proof {
    int exit_code = -1;
    Json json;
    std::string talk;
  };
  Proof prove(std::vector<std::string> words) {
    words.insert(words.begin(), {"prove", "residency", "--json"});
    const auto ran = domicile(words);
    const auto json = parse_json(ran.out, "the proof");
    EXPECT_TRUE(json) << ran.out << ran.err;
    EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 1) << "one line";
    return {ran.exit_code, json.value_or(Json::object()), ran.err};
  }
  static std::string open_ones(const Json& proof) {
    std::string out;
    for (const Json& each : proof.value("attempts", Json::array()))
      if (each["verdict"] != "refused" && each["verdict"] != "lawful") out += dump(each) + "\n";
    const Json census = proof.value("census", Json());
    if (census.is_object())
      for (const char* part : {"hits", "unsearched"}) out += fmt::format("{}: {}\n", part, dump(census[part]));
    return out + dump(proof.value("trouble", Json()));
  }
  // The attempt is not refused, and its canary is found where it may not lie.
  void expect_open(const std::string& layer, const std::string& attempt) {
    const Proof open = prove({"--layer", layer});
    EXPECT_EQ(open.exit_code, 4) << open.talk;
    EXPECT_EQ(open.json["held"], false);
    EXPECT_GT(open.json["not_held"], 0);
    EXPECT_EQ(open.json["scope"]["layer"], layer);
    EXPECT_GT(open.json["bytes_crossed"], 0);
    std::set<std::string> passed, found;
    for (const Json& each : open.json["attempts"])
      if (each["verdict"] == "passed") passed.insert(each["id"].get<std::string>());
    for (const Json& hit : open.json["census"]["hits"]) found.insert(hit["canary"].get<std::string>());
    EXPECT_TRUE(passed.contains(attempt)) << open_ones(open.json);
    EXPECT_TRUE(found.contains(attempt)) << open_ones(open.json);
  }
  // It came to no end: its one line says so, and why.
  void expect_untold(const std::vector<std::string>& words) {
    const Proof untold = prove(words);
    EXPECT_EQ(untold.exit_code, 4) << untold.talk;
    EXPECT_EQ(untold.json["held"], false);
    EXPECT_EQ(untold.json["refused"], 0);
    EXPECT_FALSE(untold.json["trouble"].empty());
  }
  void TearDown() override {
    (void)domicile({"lab", "down"});
    std::error_code code;
    if (directory_.empty()) return;
    fs::remove_all(directory_ / "recorded", code);
    fs::remove(directory_, code);
  }
  // One statement as the superuser of a region, over its own socket.
  void at(const std::string& region, const std::string& sql) {
    auto connection = postgres::Connection::open(fmt::format("host='{}' port={} dbname=app user=postgres",
                                                             (directory_ / "sites" / region / "run").string(), port_));
    ASSERT_TRUE(connection) << render(connection.error());
    const auto done = connection->exec(sql);
    ASSERT_TRUE(done) << render(done.error());
  }

  const std::string base_ = std::to_string(2000 + ::getpid() % 10000);
  fs::path directory_;
  int port_ = 5432;
};

TEST_F(Prove, TheSliceHoldsAndIsBrokenOnceALayerIsOpen) {
  const auto up = domicile({"lab", "up", "--record"});
  ASSERT_EQ(up.exit_code, 0) << up.err;
  const auto status = parse_json(domicile({"lab", "status", "--json"}).out, "the lab's status");
  ASSERT_TRUE(status);
  directory_ = (*status)["directory"].get<std::string>();
  if ((*status)["isolation"] == "flat") port_ += std::atoi(base_.c_str());

  const Proof held = prove({"--quick"});
  EXPECT_EQ(held.exit_code, 0) << open_ones(held.json) << held.talk;
  EXPECT_EQ(held.json["held"], true);
  EXPECT_GE(held.json["attempted"], 24);
  EXPECT_GE(held.json["refused"], 24);
  EXPECT_GT(held.json["lawful"], 0);
  EXPECT_EQ(held.json["not_held"], 0);
  EXPECT_EQ(held.json["scope"]["whole"], false) << "a slice, and without the self-test";
  EXPECT_EQ(held.json["bytes_crossed"], 0);
  EXPECT_GT(held.json["searched_bytes"], 50'000'000) << "a database and its log at the least";

  // PostgreSQL of the forbidden side writes statements that fail to its log again: nothing puts that back.
  at("us-east-1", "ALTER SYSTEM SET log_min_error_statement = 'error'");
  at("us-east-1", "SELECT pg_reload_conf()");
  expect_open("logs", "logs.statement");
  // Nor this: a superuser has switched off what puts triggers back at once.
  at("us-east-1", "ALTER EVENT TRIGGER domicile_guard_follow DISABLE");
  expect_open("database", "database.triggers_off");

  // Without the site whose database keeps the tenants nothing can be planted.
  ASSERT_EQ(domicile({"lab", "kill", "us-east-1"}).exit_code, 0);
  expect_untold({"--quick"});

  if (std::getenv("DOMICILE_LONG") == nullptr) return;
  // All of it, in a lab of its own.
  ASSERT_EQ(domicile({"lab", "down"}).exit_code, 0);
  const Proof all = prove({"--self-test"});
  EXPECT_EQ(all.exit_code, 0) << open_ones(all.json) << dump(all.json["self_test"]) << all.talk;
  EXPECT_EQ(all.json["held"], true);
  EXPECT_EQ(all.json["left_out"], Json::array());
  EXPECT_EQ(all.json["scope"]["whole"], true) << dump(all.json["scope"]);
  EXPECT_EQ(all.json["self_test_found"], all.json["self_test_planted"]);
  EXPECT_EQ(domicile({"lab", "status"}).exit_code, 75) << "no lab runs any more";
}

TEST_F(Prove, TellsItsLineWhereNoLabComesUp) {
  const TempDir folder;
  std::string topology = "domicile: 1\nregions:\n  a: {jurisdiction: EU}\n  b: {jurisdiction: EU}\n";
  for (int i = 0; i < 11; ++i) topology += fmt::format("  r{}: {{jurisdiction: US}}\n", i);
  topology +=
      "residencies:\n  directory: {home: r0, standby: [a, b], holds: {US: full, EU: full}}\n"
      "  eu: {home: a, standby: [b], holds: {EU: full}}\n"
      "data: {app.orders: {personal: [customer_name], shared: [id]}}\n";
  ASSERT_TRUE(write_file(folder.path() / "topology.yaml", topology));
  expect_untold({"--topology", (folder.path() / "topology.yaml").string()});
}

}  // namespace
}  // namespace domicile
