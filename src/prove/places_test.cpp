#include "prove/places.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "base/temp_dir.hpp"
#include "core/topology/parse.hpp"

namespace domicile::prove {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

topology::Topology three_and_a_voter() {
  return *topology::load(
      "domicile: 1\n"
      "regions: {us-east-1: {jurisdiction: US}, eu-central-1: {jurisdiction: EU}, eu-west-1: {jurisdiction: EU}}\n"
      "voters: {eu-north-1: {}}\n"
      "residencies:\n"
      "  directory: {home: us-east-1, standby: [eu-central-1, eu-west-1], holds: {US: full, EU: full}}\n"
      "  us: {home: us-east-1, standby: [eu-central-1], holds: {US: full, EU: full}}\n"
      "  eu: {home: eu-central-1, standby: [eu-west-1], holds: {EU: full, US: reduced}}\n"
      "data:\n  app.orders: {personal: [customer_name], shared: [id]}\n",
      "topology.yaml");
}

// A lab's folder with one file in each place of which it is known that something lies there.
struct Lab {
  TempDir folder;
  Layout layout{folder.path(),
                folder.path() / "recorded",
                {{"us-east-1", "127.10.0.1"}, {"eu-central-1", "127.20.0.1"}, {"eu-west-1", "127.30.0.1"}}};

  void make(const fs::path& file) const {
    EXPECT_TRUE(make_directories((folder.path() / file).parent_path()));
    EXPECT_TRUE(write_file(folder.path() / file, "x"));
  }
  // Files that no place of `sites` covers, relative to the folder.
  std::vector<std::string> uncovered(const std::vector<std::string>& sites) const {
    const auto places = places_on_disk(layout, sites);
    std::vector<std::string> missed;
    for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
      if (!entry.is_regular_file()) continue;
      const std::string file = entry.path().string();
      if (std::ranges::none_of(places, [&](const Place& place) {
            return file == place.path.string() || file.starts_with(place.path.string() + "/");
          }))
        missed.push_back(fs::relative(entry.path(), folder.path()).string());
    }
    std::ranges::sort(missed);
    return missed;
  }
};

TEST(ForbiddenSites, AreThoseThatMayNotHoldItInFull) {
  const auto topology = three_and_a_voter();
  EXPECT_THAT(forbidden_sites(topology, "eu"), ElementsAre("eu-north-1", "us-east-1"));
  EXPECT_THAT(forbidden_sites(topology, "us"), ElementsAre("eu-north-1"));
  EXPECT_EQ(forbidden_sites(topology, "unknown").size(), 4U) << "nobody may hold what nobody has allowed";
}

// Routes of docs/reference/api.md, which another test holds against the code.
TEST(Questions, AskAnAgentForEverythingThatItTells) {
  // About one link or one switch: names of tables and columns, and whether it could begin. Refusals are on the disk.
  const std::set<std::string> about_one_thing{"/v1/links/RESIDENCY", "/v1/schemas/RESIDENCY", "/v1/switch/check",
                                              "/v1/denials/ID"};
  const auto asked = questions_to_agent(three_and_a_voter());
  const std::string page = *read_file(fs::path(DOMICILE_ROOT) / "docs/reference/api.md");
  const std::regex route("`GET (/[A-Za-z0-9/_-]+)`");
  std::size_t routes = 0;
  for (std::sregex_iterator at(page.begin(), page.end(), route), end; at != end; ++at, ++routes) {
    std::string path = (*at)[1];
    if (about_one_thing.contains(path)) continue;
    if (path == "/v1/epochs/RESIDENCY") path = "/v1/epochs";
    if (const auto named = path.find("RESIDENCY"); named != path.npos) path.replace(named, path.npos, "eu");
    EXPECT_TRUE(std::ranges::any_of(asked, [&](const std::string& question) {
      return question.substr(0, question.find('?')) == path;
    })) << path;
  }
  EXPECT_GT(routes, 10U);
}

TEST(Places, CoverWhateverASiteHasOnItsDisk) {
  const Lab lab;
  for (const char* file :
       {"sites/us-east-1/postgres/base/1/2", "sites/us-east-1/postgres/pg_wal/0", "sites/us-east-1/etcd/member/snap/db",
        "sites/us-east-1/agent/epochs.json", "sites/us-east-1/gate/denials", "sites/us-east-1/gateway/run/body/1",
        "sites/us-east-1/logs/postgres.log", "sites/us-east-1/agent.yaml", "sites/us-east-1/added-later/deep/file",
        "certs/us-east-1/site.key", "certs/ca.pem", "certs/clients/view.pem", "topology.yaml", "lab.log",
        "added-later.json"})
    lab.make(file);
  EXPECT_THAT(lab.uncovered({"us-east-1"}), IsEmpty());
}

TEST(Places, LeaveOutWhatOthersHoldAndThePrograms) {
  const Lab lab;
  for (const char* file : {"sites/eu-central-1/postgres/base/1/2", "certs/eu-central-1/site.key", "bin/domicile",
                           "recorded/eu-central-1-eu-west-1/gate.1", "recorded/tls/eu-central-1/out/gate.1.1.x"})
    lab.make(file);
  EXPECT_EQ(lab.uncovered({"us-east-1"}).size(), 5U);
}

TEST(Places, CoverWhatCrossedFromOrToASite) {
  const Lab lab;
  for (const char* file : {"recorded/eu-central-1-us-east-1/gate.1", "recorded/us-east-1-eu-central-1/gate.1",
                           "recorded/host-us-east-1/gateway.2", "recorded/us-east-1-host/gateway.2"})
    lab.make(file);
  EXPECT_THAT(lab.uncovered({"us-east-1"}), IsEmpty());
}

TEST(Places, CoverWhatIsSaidInsideTlsButAnAttackersOwnWords) {
  const Lab lab;
  const std::string tls = "recorded/tls/us-east-1/";
  for (const char* heard : {"out", "in.client.127.10.0.1", "in.client.127.20.0.1", "in.client.unknown",
                            "in.server.127.20.0.1", "in.server.127.30.0.1", "in.server.unknown"})
    lab.make(tls + heard + "/postgres.7.1.x");
  EXPECT_THAT(lab.uncovered({"us-east-1"}), IsEmpty());
  for (const char* own : {"in.server.127.0.0.1", "in.server.127.1.0.1", "in.server.127.10.0.1"})
    lab.make(tls + own + "/postgres.7.2.x");
  EXPECT_THAT(lab.uncovered({"us-east-1"}),
              ElementsAre(tls + "in.server.127.0.0.1/postgres.7.2.x", tls + "in.server.127.1.0.1/postgres.7.2.x",
                          tls + "in.server.127.10.0.1/postgres.7.2.x"))
      << "typed by clients in the site, and by those in front of it";
}

TEST(Places, FollowATablespaceOutOfTheDataDirectory) {
  const Lab lab;
  const TempDir elsewhere;
  lab.make("sites/us-east-1/postgres/PG_VERSION");
  ASSERT_TRUE(make_directories(lab.folder.path() / "sites/us-east-1/postgres/pg_tblspc"));
  fs::create_symlink(elsewhere.path(), lab.folder.path() / "sites/us-east-1/postgres/pg_tblspc/16400");
  const auto places = places_on_disk(lab.layout, {"us-east-1"});
  const auto found = std::ranges::find(places, elsewhere.path(), &Place::path);
  ASSERT_NE(found, places.end());
  EXPECT_EQ(found->name, "us-east-1: tablespace 16400");
}

}  // namespace
}  // namespace domicile::prove
