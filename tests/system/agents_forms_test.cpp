// What a migration changes while everything runs: nobody mapped it, so it leaves by no link, and the status says so.
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "support/agents_fixture.hpp"

namespace domicile::test {
namespace {

// The bar: a minute, from the moment at which the column is there.
constexpr Micros kRed = 60 * kSecond;

std::string published(Regions& regions, const std::string& region) {
  auto database = regions.database(region).connect();
  const auto rows = database.exec(
      "SELECT pubname, tablename, attnames::text FROM pg_catalog.pg_publication_tables WHERE schemaname = 'app' "
      "ORDER BY 1, 2");
  std::string out;
  for (int r = 0; rows && r < rows->size(); ++r)
    out += rows->text(r, 0) + " " + rows->text(r, 1) + " " + rows->text(r, 2) + "\n";
  return out;
}

TEST(AgentsForms, AColumnThatNobodyMappedTurnsTheStatusRedAndLeavesByNoLink) {
  Regions regions;
  Outcome last;
  const auto status = [&] {
    last = regions.cli({"status", "--agent", regions.socket(kEu).string()});
    return last.exit_code;
  };
  ASSERT_TRUE(eventually([&] { return status() == 0; }, kRed, 500 * kMillisecond)) << last.out << last.err;
  const auto before = published(regions, kEu);
  ASSERT_NE(before.find("domicile_eu_eu_central_1_us_east_1 orders"), std::string::npos) << before;
  ASSERT_NE(before.find("domicile_salvage_eu orders"), std::string::npos) << before;

  auto database = regions.database(kEu).connect();
  must(database.exec("ALTER TABLE app.orders ADD COLUMN birth_name text"));
  EXPECT_TRUE(eventually(
      [&] {
        return status() != 0 && (last.out + last.err).find("app.orders: column 'birth_name'") != std::string::npos;
      },
      kRed, 500 * kMillisecond))
      << last.exit_code << last.out << last.err;

  // The tables there have no such column: a link that carried it would stop at this row.
  must(
      database.exec("INSERT INTO app.orders (residency, id, tenant_id, customer_name, birth_name) VALUES ('eu', "
                    "1000001, 'eu-1', 'n', 'Muster')"));
  for (const auto& region : {kUs, kWest})
    EXPECT_TRUE(eventually([&] { return regions.rows(region, "eu").contains(1000001); })) << region;
  EXPECT_EQ(published(regions, kEu), before);
  EXPECT_EQ(regions.copy_state(kWest, "eu"), "following");

  // And so does a table that nobody mapped.
  must(
      database.exec("ALTER TABLE app.orders DROP COLUMN birth_name;"
                    "CREATE TABLE app.notes (id int, tenant_id text NOT NULL, note text)"));
  EXPECT_TRUE(eventually(
      [&] {
        return status() != 0 &&
               (last.out + last.err).find("app.notes: table: it has the column tenant_id") != std::string::npos;
      },
      kRed, 500 * kMillisecond))
      << last.exit_code << last.out << last.err;
  must(database.exec("DROP TABLE app.notes"));
  EXPECT_TRUE(eventually([&] { return status() == 0; }, kRed, 500 * kMillisecond)) << last.out << last.err;
}

}  // namespace
}  // namespace domicile::test
