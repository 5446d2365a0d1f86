#include "agent/first_rows.hpp"

#include <gtest/gtest.h>

#include "core/topology/parse.hpp"

namespace domicile::agent {
namespace {

constexpr const char* kTopology = R"(domicile: 1
regions:
  us-1: {jurisdiction: US}
  us-2: {jurisdiction: US}
  eu-1: {jurisdiction: EU}
residencies:
  directory: {home: us-1, standby: [eu-1], holds: {US: full, EU: full}}
  us: {home: us-1, standby: [us-2], holds: {US: full, EU: reduced}}
data:
  app.orders: {personal: [name], shared: [id]}
)";

std::string question(const char* table) {
  return dump({{"session", "s"}, {"schema", "app"}, {"name", table}, {"columns", {"residency", "tenant_id", "id"}}});
}

// A table's name is logged when its rows stop: it has to be a name of ours and no peer's word.
TEST(FirstRowsExports, OfATableThatTheLinkDoesNotHaveNothingBegins) {
  postgres::StoreSettings settings;
  settings.region = "us-1";
  settings.topology = std::make_shared<topology::Topology>(topology::load(kTopology, "topology.yaml").value());
  FirstRowsExports exports(settings, GateClient("/nowhere"), Log(2, Log::Format::text, Level::error, ""));
  const auto foreign = exports.rows("us", "eu-1", question("erika@example.com"));
  EXPECT_EQ(foreign.status, 403);
  EXPECT_FALSE(foreign.stream);
  EXPECT_EQ(foreign.body.find("erika"), std::string::npos);
  const auto own = exports.rows("us", "eu-1", question("orders"));
  EXPECT_EQ(own.status, 200);
  EXPECT_TRUE(own.stream);
}

}  // namespace
}  // namespace domicile::agent
