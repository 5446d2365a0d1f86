#include "core/residency/links.hpp"

#include <gtest/gtest.h>

#include "base/file.hpp"
#include "core/topology/parse.hpp"

namespace domicile::residency {
namespace {

topology::Topology three(const std::string& from = "", const std::string& to = "") {
  auto text = *read_file(std::string(DOMICILE_EXAMPLES) + "/three-regions/topology.yaml");
  if (!from.empty()) text.replace(text.find(from), from.size(), to);
  return *topology::load(text, "topology.yaml");
}

TEST(Links, RunFromEveryPotentialOwnerToEveryLawfulReceiver) {
  std::string told;
  for (const Link& link : links_of(three()))
    if (link.residency == "eu") told += name_of(link) + " " + std::string(topology::name_of(link.form)) + "\n";
  EXPECT_EQ(told,
            "domicile_eu_eu_central_1_eu_west_1 full\n"
            "domicile_eu_eu_central_1_us_east_1 reduced\n"
            "domicile_eu_eu_west_1_eu_central_1 full\n"
            "domicile_eu_eu_west_1_us_east_1 reduced\n");
  EXPECT_EQ(links_of(three()).size(), 6u + 4u + 4u);
}

TEST(Links, OnlyThoseOfTheOwnerAreActive) {
  const auto links = active_links(three(), {{"eu", "eu-west-1"}, {"us", "us-east-1"}});
  ASSERT_EQ(links.size(), 4u) << "directory has no owner";
  for (const Link& link : links) EXPECT_EQ(link.from, link.residency == "eu" ? "eu-west-1" : "us-east-1");
}

TEST(Links, NothingFlowsWhereTheFormIsNone) {
  for (const Link& link : links_of(three("US: reduced", "US: none")))
    EXPECT_FALSE(link.residency == "eu" && link.to == "us-east-1") << name_of(link);
}

TEST(Columns, ReducedLeavesEveryPersonalColumnOut) {
  const auto topology = three();
  const auto& orders = *topology::table_of(topology, "app.orders");
  EXPECT_EQ(columns_for(orders, Form::reduced),
            (std::vector<std::string>{"residency", "tenant_id", "id", "amount", "created_at"}));
  EXPECT_EQ(columns_for(orders, Form::full).size(), 7u);
  EXPECT_TRUE(columns_for(orders, Form::none).empty());
}

TEST(PolicyHash, ChangesWithTheLawAndWithNothingElse) {
  const std::string hash = policy_hash(three());
  EXPECT_EQ(hash.size(), 64u);
  EXPECT_EQ(hash, policy_hash(three("domicile: 1", "# a comment\ndomicile: 1")));
  EXPECT_EQ(hash, policy_hash(three("ttl: 5s", "ttl: 6s")));
  EXPECT_EQ(hash, policy_hash(three("{EU: full, US: reduced}", "{US: reduced, EU: full}")));
  EXPECT_NE(hash, policy_hash(three("US: reduced", "US: none")));
  EXPECT_NE(hash, policy_hash(three("[customer_name, customer_email]", "[customer_name]")));
}

}  // namespace
}  // namespace domicile::residency
