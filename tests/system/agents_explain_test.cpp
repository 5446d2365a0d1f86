// `domicile explain` against real agents, gates, gateways and databases: what is as it should be is marked so, and what
// is not, or cannot be seen, is marked too.
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "support/agents_fixture.hpp"

namespace domicile::test {
namespace {

TEST(AgentsExplain, FlowsAndPlacesAreDrawnAsTheyAreAndDifferencesAreMarked) {
  Regions regions({.gateways = true, .drift_period = "1s"});
  Outcome last;
  const auto says = [&](std::vector<std::string> words, const std::string& part, const std::string& never) {
    return eventually(
        [&] {
          last = regions.cli(words);
          return last.exit_code == 0 && last.out.find(part) != std::string::npos &&
                 (never.empty() || last.out.find(never) == std::string::npos);
        },
        60 * kSecond, 300 * kMillisecond);
  };
  const auto told = [&] { return fmt::format("{} {}{}", last.exit_code, last.out, last.err); };
  const std::vector<std::string> flow{"explain", "flow", "--table", "app.orders", "--from",
                                      kEu,       "--to", kUs,       "--agent",    regions.socket(kWest).string()};
  ASSERT_EQ(regions.write(kEu, "eu"), "");
  ASSERT_TRUE(says(flow, " rows, ", "\n    ?") && says(flow, "= gate         streams", "\n    ~")) << told();
  for (const char* part :
       {"residency eu: reduced, by link domicile_eu_eu_central_1_us_east_1", "\n    - customer_name", "\n    + id ",
        "= publication  id, residency, tenant_id", "= copy         following eu-central-1",
        "residency us: full, by link domicile_us_eu_central_1_us_east_1", "us is owned by us-east-1 now"})
    EXPECT_NE(last.out.find(part), std::string::npos) << part << told();

  std::vector<std::string> tenant{"explain",
                                  "tenant",
                                  "eu-1",
                                  "--topology",
                                  "topology.yaml",
                                  "--gateway",
                                  regions.gateway(kEu).directory().string(),
                                  "--agent",
                                  regions.socket(kEu).string()};
  ASSERT_TRUE(says(tenant, "─ = following eu-central-1, ", "─ ~") && last.out.find("─ ?") == std::string::npos)
      << told();
  for (const char* part :
       {"us-east-1 (US): reduced\n", "─ = owner, serving, epoch ", "; not here: customer_name\n",
        "─ = salvage publication domicile_salvage_eu", "by link domicile_eu_eu_central_1_eu_west_1: streams"})
    EXPECT_NE(last.out.find(part), std::string::npos) << part << told();

  must(regions.database(kEu).connect().exec(
      "INSERT INTO domicile.salvage_run (residency, epoch, next_owner, base, upto, transactions, rows) VALUES "
      "('eu', 1, 'eu-west-1', '0/0', '0/0', 1, 2); "
      "INSERT INTO domicile.salvage (residency, epoch, table_name, key, net, row, first_lsn, last_lsn, committed_us, "
      "changes, theirs_changed, theirs_us, state) VALUES "
      "('eu', 1, 'app.orders', '{\"id\": \"1\"}', 'inserted', '{\"tenant_id\": \"eu-1\"}', '0/0', '0/0', 0, 1, false, "
      "0, "
      "'discarded'), "
      "('eu', 1, 'app.orders', '{\"id\": \"2\"}', 'removed', '{}', '0/0', '0/0', 0, 1, false, 0, 'discarded')"));
  EXPECT_TRUE(says(tenant, "─ = 1 row of eu kept in domicile.salvage\n", "")) << told();
  EXPECT_NE(last.out.find("─ ? 1 row in domicile.salvage, removed, "), std::string::npos) << told();

  must(regions.database(kEu).connect().exec("CREATE PUBLICATION mine FOR TABLE app.orders"));
  EXPECT_TRUE(says(flow, "~ publication  mine has the table and is of no link", "")) << told();
  must(regions.database(kEu).connect().exec("DROP PUBLICATION mine"));

  regions.kill_agent(kUs);
  EXPECT_TRUE(says(tenant, "─ ? not seen: ", "")) << told();
  auto picture = tenant;
  picture.insert(picture.end(), {"-o", "mermaid"});
  EXPECT_TRUE(says(picture, "\"]:::unknown\n", "")) << told();
}

}  // namespace
}  // namespace domicile::test
