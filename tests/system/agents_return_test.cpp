// A lost region that comes back. What it must do to be of use again is a later piece of work: until then it touches
// nothing of what it holds of the epoch that ended without it, since that is where its surplus is salvaged from.
#include <gtest/gtest.h>

#include "support/agents_fixture.hpp"

namespace domicile::test {
namespace {

// Only eu-central-1 may take what is at home in us-east-1, eu-west-1 receives it.
const char* const kOneStandby = R"(domicile: 1
lease: {ttl: 4s, beat: 500ms, margin: 300ms, patience: 4s}
regions:
  us-east-1:    {jurisdiction: US}
  eu-central-1: {jurisdiction: EU}
  eu-west-1:    {jurisdiction: EU}
residencies:
  directory: {home: us-east-1, standby: [eu-central-1], holds: {US: full, EU: full}, calm: 0s}
  us: {home: us-east-1,    standby: [eu-central-1], holds: {US: full, EU: full}, calm: 0s}
  eu: {home: eu-central-1, standby: [eu-west-1], holds: {EU: full, US: reduced}, calm: 0s}
data:
  app.orders:
    personal: [customer_name]
    shared: [id]
)";

// Everything by which this database still holds the ended epochs of `us` and `directory`: slots with their positions,
// publications with all that they let out, subscriptions.
std::string held_of_ended_epochs(Regions& regions, const std::string& region) {
  const std::string ours = "~ '^domicile_(salvage_)?(us|directory)(_|$)'";
  auto connection = regions.database(region).connect();
  std::string out;
  for (const std::string& query :
       {"SELECT concat_ws(' ', 'slot', slot_name, confirmed_flush_lsn, restart_lsn, active) FROM pg_replication_slots "
        "WHERE slot_name " +
            ours,
        "SELECT concat_ws(' ', 'publication', pubname, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, "
        "pubviaroot) FROM pg_publication WHERE pubname " +
            ours,
        "SELECT concat_ws(' ', 'publishes', pubname, schemaname, tablename, attnames, rowfilter) FROM "
        "pg_publication_tables WHERE pubname " +
            ours,
        "SELECT concat_ws(' ', 'subscription', subname, subenabled, subslotname, subpublications) FROM "
        "pg_subscription WHERE subname " +
            ours}) {
    const auto lines = must(connection.exec(query + " ORDER BY 1"));
    for (int i = 0; i < lines.size(); ++i) out += lines.text(i, 0) + "\n";
  }
  return out;
}

TEST(AgentsReturn, TenPassesOfEveryLoopLaterTheOldHomeHasTouchedNothingOfItsEndedEpochs) {
  Regions regions({.topology = kOneStandby, .drift_period = "500ms"});
  for (int i = 0; i < 5; ++i) ASSERT_EQ(regions.write(kUs, "us"), "");
  for (const auto& receiver : {kEu, kWest})
    ASSERT_TRUE(eventually([&] { return regions.missing(receiver, "us").empty(); })) << regions.told();
  regions.kill_region(kUs);
  for (const char* residency : {"us", "directory"})
    ASSERT_TRUE(regions.serves(residency, kEu, 2, 60 * kSecond)) << regions.told();
  ASSERT_EQ(regions.write(kEu, "us"), "");

  regions.database(kUs).start();
  // Not what today's topology would make of them: whoever only compares them with it would «mend» what is evidence.
  auto connection = regions.database(kUs).connect();
  for (const char* publication : {"domicile_us_us_east_1_eu_central_1", "domicile_salvage_us"})
    must(connection.exec(fmt::format("ALTER PUBLICATION {} DROP TABLE domicile.marker", publication)));
  const auto before = held_of_ended_epochs(regions, kUs);
  for (const char* part :
       {"slot domicile_us_us_east_1_eu_central_1 ", "slot domicile_us_us_east_1_eu_west_1 ",
        "publishes domicile_salvage_us app orders ", "publishes domicile_salvage_directory domicile "})
    EXPECT_NE(before.find(part), std::string::npos) << part << "\n" << before;
  EXPECT_EQ(regions.write(kUs, "us"), "DM001") << "before its agent runs";
  regions.etcd().start(kUs);
  regions.start_agent(kUs);
  ASSERT_TRUE(regions.passes_on(kUs, 10)) << regions.told();

  EXPECT_EQ(held_of_ended_epochs(regions, kUs), before);
  for (const char* residency : {"us", "directory"}) {
    EXPECT_EQ(regions.guard(kUs, residency).state, "closed") << residency;
    EXPECT_EQ(regions.copy_state(kUs, residency), "resync") << residency << regions.told();
    // The third region goes on where it stood exactly as the new owner did; else it may be behind or ahead.
    EXPECT_NE(regions.copy_state(kWest, residency), "stopped") << residency << regions.told();
  }
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kEu}) << regions.told();
  EXPECT_EQ(regions.record("us").epoch, 2);
  EXPECT_EQ(regions.missing(kEu, "us"), std::vector<std::int64_t>{});
}

}  // namespace
}  // namespace domicile::test
