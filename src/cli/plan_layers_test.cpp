#include "cli/plan_layers.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "core/residency/links.hpp"
#include "core/topology/parse.hpp"

namespace domicile::cli {
namespace {

topology::Topology two_and_a_voter() {
  return topology::load(R"(domicile: 1
regions:
  us-east-1:    {jurisdiction: US}
  eu-central-1: {jurisdiction: EU}
voters: {eu-north-1: {}}
residencies:
  directory: {home: us-east-1, standby: [eu-central-1], holds: {US: full, EU: full}}
  us: {home: us-east-1, standby: [eu-central-1], holds: {US: full, EU: full}}
data:
  app.orders: {personal: [customer_name], shared: [id]}
)",
                        "topology.yaml")
      .value();
}

Json told() {
  const auto policy = residency::policy_hash(two_and_a_voter());
  return {
      {"region", "us-east-1"},
      {"policy", policy},
      {"etcd",
       {{"user", "us-east-1"},
        {"own", {{"endpoint", "https://a:1"}, {"problem", ""}, {"healthy", true}, {"name", "us-east-1"}}},
        {"members", {"us-east-1", "eu-central-1", "eu-north-1"}},
        {"alarms", Json::array()},
        {"rights",
         {{"roles", {"us-east-1"}},
          {"permissions", {"READ domicile/*", "READWRITE domicile/authority/*", "READWRITE domicile/beat/us-east-1"}},
          {"administers", false}}}}},
      {"gateway",
       {{"policy", policy.substr(0, 63)},
        {"workers", 2},
        {"authority", {{"written", 41}, {"obeyed", 41}}},
        {"tenants", {{"written", 3}, {"obeyed", 3}}},
        {"config", {{"state", "same"}}}}}};
}

std::string all(const Layers& layers) { return dump(json_of(layers)); }

TEST(PlanLayers, NothingDiffersWhereAllIsAsItShouldBe) {
  const auto seen = layers_of(told(), two_and_a_voter(), "us-east-1");
  EXPECT_FALSE(seen.differs() || seen.unknown()) << all(seen);
  EXPECT_NE(shown(seen, false).find("READWRITE domicile/beat/us-east-1"), std::string::npos) << shown(seen, false);
  EXPECT_NE(shown(seen, false).find("authority.snap 41 obeyed"), std::string::npos) << shown(seen, false);
}

TEST(PlanLayers, EachDifferenceIsNamed) {
  const struct {
    const char* pointer;
    Json value;
    const char* says;
  } cases[] = {
      {"/etcd/own/name", "eu-north-1", "first endpoint is the member 'eu-north-1'"},
      {"/etcd/own/healthy", false, "sees no majority"},
      {"/etcd/members", {"us-east-1", "eu-central-1"}, "no member eu-north-1"},
      {"/etcd/members/1", "elsewhere", "'elsewhere' is no site"},
      {"/etcd/members/1", "", "never started"},
      {"/etcd/alarms", {"NOSPACE"}, "NOSPACE"},
      {"/etcd/user", "root", "logs in as 'root'"},
      {"/etcd/rights/roles", {"us-east-1", "root"}, "roles root, us-east-1"},
      {"/etcd/rights/administers", true, "administer"},
      {"/etcd/rights/permissions/0", "READWRITE domicile/*", "may too much: READWRITE domicile/*"},
      {"/etcd/rights/permissions/2", "READWRITE domicile/beat/eu-north-1", "lacks READWRITE domicile/beat/us-east-1"},
      {"/policy", "0123456789abcdef", "policy 0123456789ab"},
      {"/gateway/policy", "0123456789abcdef", "made of policy 0123456789ab"},
      {"/gateway/workers", 0, "no worker"},
      {"/gateway/authority/written", 0, "authority.snap is missing"},
      {"/gateway/authority/obeyed", 40, "41 is written, a worker obeys 40"},
      {"/gateway/tenants/obeyed", 2, "tenants.snap: 3 is written"},
      {"/gateway/config/state", "differs", "nginx.conf is not what"},
      {"/gateway/config/state", "missing", "nginx.conf is missing"},
  };
  for (const auto& c : cases) {
    auto changed = told();
    changed[Json::json_pointer(c.pointer)] = c.value;
    const auto seen = layers_of(changed, two_and_a_voter(), "us-east-1");
    EXPECT_TRUE(seen.differs()) << c.pointer;
    EXPECT_FALSE(seen.unknown()) << c.pointer << all(seen);
    EXPECT_NE(all(seen).find(c.says), std::string::npos) << c.pointer << all(seen);
  }
}

TEST(PlanLayers, WhatCouldNotBeSeenIsUnknownAndNeverFineOrADifference) {
  const struct {
    const char* pointer;
    Json value;
    const char* says;
  } cases[] = {
      {"/etcd/own", nullptr, "not looked"},
      {"/etcd/own/problem", "connection refused", "whether its member runs: connection refused"},
      {"/etcd/own/name", nullptr, "name"},
      {"/etcd/members", nullptr, "nobody could list"},
      {"/etcd/rights", {{"problem", "not readable by this login: denied"}}, "not readable by this login"},
      {"/etcd/rights", nullptr, "does not tell"},
      {"/policy", nullptr, "policy"},
      {"/gateway/problem", "edge.state is damaged", "edge.state is damaged"},
      {"/gateway/authority", nullptr, "authority.snap"},
      {"/gateway/config", {{"state", "unknown"}, {"problem", "no certificate"}}, "no certificate"},
      {"/region", "eu-north-1", "calls itself 'eu-north-1'"},
  };
  for (const auto& c : cases) {
    auto changed = told();
    changed[Json::json_pointer(c.pointer)] = c.value;
    const auto seen = layers_of(changed, two_and_a_voter(), "us-east-1");
    EXPECT_TRUE(seen.unknown()) << c.pointer;
    EXPECT_FALSE(seen.differs()) << c.pointer << all(seen);
    EXPECT_NE(all(seen).find(c.says), std::string::npos) << c.pointer << all(seen);
  }
}

TEST(PlanLayers, EverySiteIsThereAlsoOneThatSaidNothing) {
  const auto topology = two_and_a_voter();
  const auto layers = all_layers({{"us-east-1", told()}, {"eu-central-1", {{"unknown", "no answer"}}}}, topology);
  ASSERT_EQ(layers.size(), 3u);
  EXPECT_FALSE(layers.at("us-east-1").unknown());
  EXPECT_EQ(layers.at("eu-central-1").etcd.unknown, std::vector<std::string>{"no answer"});
  EXPECT_EQ(layers.at("eu-central-1").gateway.unknown, std::vector<std::string>{"no answer"});
  EXPECT_TRUE(layers.at("eu-north-1").unknown());
  for (const auto& [site, unasked] : all_layers(Json(), topology)) EXPECT_TRUE(unasked.unknown()) << site;
}

TEST(PlanLayers, AVoterReadsOnlyAndHasNoGateway) {
  auto voter = told();
  voter["region"] = voter["etcd"]["user"] = voter["etcd"]["own"]["name"] = "eu-north-1";
  voter["etcd"]["rights"] = {{"roles", {"eu-north-1"}}, {"permissions", {"READ domicile/*"}}};
  voter["gateway"] = nullptr;
  const auto seen = layers_of(voter, two_and_a_voter(), "eu-north-1");
  EXPECT_FALSE(seen.differs() || seen.unknown()) << all(seen);
  EXPECT_TRUE(seen.gateway.fine.empty());
  voter["etcd"]["rights"]["permissions"].push_back("READWRITE domicile/authority/*");
  EXPECT_TRUE(layers_of(voter, two_and_a_voter(), "eu-north-1").differs());
}

}  // namespace
}  // namespace domicile::cli
