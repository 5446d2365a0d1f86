// A region that is cut off with its clients inside: everything in it lives, and nobody in it can tell. On a lab,
// because only there does everything between regions pass a line that can be cut.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/http_client.hpp"
#include "base/json.hpp"
#include "base/temp_dir.hpp"
#include "core/topology/parse.hpp"
#include "engines/postgres/connection.hpp"
#include "lab/control.hpp"
#include "lab/platform.hpp"
#include "support/eventually.hpp"
#include "support/https_client.hpp"

namespace domicile::test {
namespace {

// Asked before any thread exists.
const lab::Isolation kIsolation = lab::prepare_isolation();
const std::string kUs = "us-east-1", kEu = "eu-central-1", kWest = "eu-west-1";
const fs::path kBuild = DOMICILE_BUILD, kExample = fs::path(DOMICILE_SOURCE) / "examples/three-regions";

class AgentsCut : public testing::Test {
 protected:
  void SetUp() override {
    if (kIsolation == lab::Isolation::flat) GTEST_SKIP() << "no network namespaces here";
    fs::permissions(folder_.path(), fs::perms(0755));  // the engines' user must get in
    const auto topology = topology::load(*read_file(kExample / "topology.yaml"), "topology.yaml");
    ASSERT_TRUE(topology) << render(topology.error());
    lab::LabSpec spec;
    spec.directory = folder_.path();
    spec.base = 2000 + ::getpid() % 10000;
    spec.sites = lab::sites_of(*topology);
    for (const char* file : {"domicile", "domicile-demo", "lib/domicile_guard.so", "modules/ngx_domicile_http.so",
                             "modules/ngx_domicile_stream.so"})
      spec.binaries.push_back(kBuild / file);
    const fs::path library = spec.directory / "bin" / "domicile_guard.so";
    spec.postgres_settings["shared_preload_libraries"] = library.string();
    auto made = lab::Lab::up(spec, kIsolation);
    ASSERT_TRUE(made) << render(made.error());
    lab_ = std::move(*made);
    const auto installed = lab::install_platform(*lab_, {kExample / "topology.yaml", kExample / "schema.sql",
                                                         kExample / "grants.sql", spec.directory / "bin", library});
    ASSERT_TRUE(installed) << render(installed.error());
  }

  // An order of a tenant of `us`, by a client inside the region that knows only the gateway there.
  edge::Answer post(const std::string& region, const std::string& id) {
    const Json order{{"id", id}, {"tenant", "us-1"}, {"customer_name", "A. Person"}, {"amount", 1}};
    const std::string ca = (folder_.path() / "certs" / "ca.pem").string();
    edge::Answer answer;
    const auto done = lab_->at(region, [&] {
      edge::Client client;
      answer = client.ask(lab_->port(region, lab::gateway), ca,
                          {.host = lab::demo_host("us", 1),
                           .path = "/orders",
                           .method = "POST",
                           .body = dump(order),
                           .address = lab_->address(region, region)});
    });
    EXPECT_TRUE(done);
    return answer;
  }
  std::string next_id() { return fmt::format("00000000-0000-4000-8000-{:012}", ++last_id_); }

  // "" when it was acknowledged.
  std::string write_by_sql(const std::string& region, const std::string& id) {
    auto connection = postgres::Connection::open(lab_->database_of(region, "postgres") + " options='-c role=app'");
    if (!connection) return "no connection";
    const auto done = connection->exec_params(
        "INSERT INTO app.orders (id, residency, tenant_id) VALUES ($1::uuid, 'us', 'us-1')", {id});
    return done ? "" : postgres::sqlstate_of(done.error());
  }
  std::set<std::string> ids(const std::string& region) {
    std::set<std::string> out;
    auto connection = postgres::Connection::open(lab_->database_of(region, "postgres"));
    if (!connection) return out;
    const auto rows = connection->exec_params("SELECT id::text FROM app.orders WHERE residency = 'us'", {});
    for (int i = 0; rows && i < rows->size(); ++i) out.insert(rows->text(i, 0));
    return out;
  }
  std::set<std::string> salvaged(const std::string& region) {
    std::set<std::string> out;
    auto connection = postgres::Connection::open(lab_->database_of(region, "postgres"));
    if (!connection) return out;
    const auto rows = connection->exec_params(
        "SELECT key ->> 'id' FROM domicile.salvage WHERE residency = 'us' AND table_name = 'app.orders'", {});
    for (int i = 0; rows && i < rows->size(); ++i) out.insert(rows->text(i, 0));
    return out;
  }
  static std::vector<std::string> both(const std::set<std::string>& a, const std::set<std::string>& b) {
    std::vector<std::string> out;
    std::ranges::set_intersection(a, b, std::back_inserter(out));
    return out;
  }

  // Null when the agent does not answer on its own host's socket.
  Json status(const std::string& region) {
    HttpClient client({}, lab::agent_socket(*lab_, region).string());
    const auto response = client.send({"GET", "http://agent/v1/status", {}, "", 2 * kSecond});
    return response ? parse_json(response->body, "the status").value_or(Json()) : Json();
  }
  Json us_at(const std::string& region) {
    const Json all = status(region);
    if (all.is_object())
      for (const auto& each : all["residencies"])
        if (each["residency"] == "us") return each;
    return Json::object();
  }
  bool passes_on(const std::string& region, std::int64_t count) {
    Json begun;
    return eventually(
        [&] {
          const Json all = status(region);
          if (!all.is_object()) return false;
          if (begun.empty()) begun = all["passes"];
          for (const auto& [loop, then] : begun.items())
            if (all["passes"].value(loop, std::int64_t{0}) < then.get<std::int64_t>() + count) return false;
          return true;
        },
        90 * kSecond, 100 * kMillisecond);
  }

  TempDir folder_;
  std::unique_ptr<lab::Lab> lab_;
  int last_id_ = 0;
};

TEST_F(AgentsCut, ClientsInsideAreServedUntilTheLeaseEndsAndNothingOfThatEverComesToTheSurvivor) {
  const auto before = next_id();
  ASSERT_EQ(post(kUs, before).status, 201);
  ASSERT_TRUE(eventually([&] { return ids(kEu).contains(before); }));
  for (const auto& other : {kEu, kWest}) {
    lab_->wan().cut(kUs, other);
    lab_->wan().cut(other, kUs);
  }

  // Inside nothing has changed until the lease ends.
  std::set<std::string> surplus, late;
  const bool refused = eventually(
      [&] {
        const auto id = next_id();
        const auto answer = post(kUs, id);
        if (answer.status == 201) surplus.insert(id);
        return answer.status == 503 && edge::has(answer, "X-Domicile-Reason: lease_over");
      },
      30 * kSecond, 20 * kMillisecond);
  ASSERT_TRUE(refused) << us_at(kUs);
  EXPECT_FALSE(surplus.empty());
  EXPECT_TRUE(eventually([&] { return write_by_sql(kUs, next_id()) == "DM001"; }));

  // The survivor serves, and all the time those inside are refused, although agent, database and gateway there live.
  const auto refuses = [&] {
    for (const bool by_sql : {false, true}) {
      const auto id = *late.insert(next_id()).first;
      if (by_sql)
        EXPECT_EQ(write_by_sql(kUs, id), "DM001");
      else
        EXPECT_EQ(post(kUs, id).status, 503);
    }
  };
  std::string after;
  const bool taken = eventually(
      [&] {
        refuses();
        const auto id = next_id();
        if (post(kEu, id).status != 201) return false;
        after = id;
        return true;
      },
      40 * kSecond, 50 * kMillisecond);
  ASSERT_TRUE(taken) << us_at(kEu);
  EXPECT_EQ(us_at(kEu).value("owner", ""), kEu);
  EXPECT_EQ(us_at(kEu).value("epoch", 0), 2);
  EXPECT_EQ(us_at(kUs).value("owner", ""), kUs) << "inside nobody can know, and so nobody may write";
  late.clear();
  refuses();

  // What waited in the line arrives now.
  lab_->wan().heal_all();
  ASSERT_TRUE(eventually([&] { return us_at(kUs).value("owner", "") == kEu; })) << us_at(kUs);
  ASSERT_TRUE(passes_on(kUs, 2)) << status(kUs);
  // Through its gateway those inside reach the new owner now; around it nothing is written here.
  EXPECT_EQ(write_by_sql(kUs, *late.insert(next_id()).first), "DM001");
  // What was acknowledged inside is kept there, each row by its name, before the copy is made equal to the survivor's.
  ASSERT_TRUE(eventually([&] { return us_at(kUs)["copy"].value("state", "") == "following"; })) << status(kUs);
  const auto survivor = ids(kEu), old_owner = ids(kUs), kept = salvaged(kUs);
  EXPECT_TRUE(survivor.contains(before));
  EXPECT_TRUE(survivor.contains(after));
  EXPECT_EQ(both(survivor, surplus), std::vector<std::string>{}) << "histories were merged";
  EXPECT_EQ(both(survivor, late), std::vector<std::string>{});
  EXPECT_EQ(both(old_owner, late), std::vector<std::string>{});
  EXPECT_EQ(both(old_owner, surplus), std::vector<std::string>{}) << "it is as the survivor's now";
  EXPECT_EQ(both(kept, surplus).size(), surplus.size()) << "acknowledged = readable + salvaged";
  EXPECT_EQ(both(kept, late), std::vector<std::string>{}) << "what was refused is no salvage";
  EXPECT_EQ(us_at(kEu).value("epoch", 0), 2);
}

}  // namespace
}  // namespace domicile::test
