// What a lost owner committed and nobody else got, read back from its own slot.
#include <gtest/gtest.h>

#include "engines/postgres/salvage/surplus.hpp"
#include "engines/postgres/schema_sql.hpp"
#include "support/must.hpp"
#include "support/postgres_fixture.hpp"

namespace domicile::test {
namespace {

using salvage::Did;
using salvage::Net;

const char* const kSchema = R"sql(
CREATE SCHEMA app;
CREATE TABLE app.orders (residency text NOT NULL, id bigint NOT NULL, tenant text NOT NULL, email text, note text,
  PRIMARY KEY (residency, id));
ALTER TABLE app.orders ALTER note SET STORAGE EXTERNAL;
CREATE PUBLICATION domicile_salvage_us FOR TABLE app.orders WHERE (residency = 'us'),
  domicile.marker WHERE (residency = 'us') WITH (publish = 'insert, update, delete');
INSERT INTO app.orders SELECT 'us', i, 't', 'mail' || i, 'old' FROM pg_catalog.generate_series(1, 5) i;
)sql";

class Surplus : public testing::Test {
 protected:
  Surplus() : cluster_({{"wal_level=logical", "shared_buffers=16MB"}}), db_(cluster_.connect()) {
    must(db_.exec(postgres::link_tables_sql()));
    must(db_.exec(kSchema));
    must(db_.exec("SELECT pg_catalog.pg_create_logical_replication_slot('domicile_us_a_b', 'pgoutput')"));
  }
  std::uint64_t here() {
    return *authority::lsn_of(must(db_.exec("SELECT pg_catalog.pg_current_wal_insert_lsn()")).text(0, 0));
  }
  Result<postgres::Surplus> surplus(std::uint64_t after = 0) {
    return postgres::surplus_of(db_, {"us", "a", "b", "domicile_us_a_b", {}}, after);
  }
  static salvage::Key key(const std::string& id) { return {"app.orders", {{"residency", "us"}, {"id", id}}}; }

  PostgresCluster cluster_;
  postgres::Connection db_;
};

TEST_F(Surplus, IsEveryCommittedRowBehindThePlaceThatWasApplied) {
  must(db_.exec("INSERT INTO app.orders VALUES ('us', 10, 't', 'had', NULL)"));
  const auto applied = here();
  must(db_.exec("INSERT INTO app.orders VALUES ('us', 11, 't', 'new', NULL)"));
  must(db_.exec(
      "BEGIN; UPDATE app.orders SET email = 'changed' WHERE id = 1; DELETE FROM app.orders WHERE id = 2; COMMIT"));
  must(db_.exec("BEGIN; INSERT INTO app.orders VALUES ('us', 12, 't', 'taken back', NULL); ROLLBACK"));
  must(db_.exec("INSERT INTO app.orders VALUES ('eu', 11, 't', 'of another residency', NULL)"));
  must(db_.exec("INSERT INTO domicile.marker (residency, clock_us, epoch, lsn) VALUES ('us', 1, 1, '0/1')"));
  const auto found = must(surplus(applied));
  EXPECT_EQ(found.transactions, 2U);
  ASSERT_EQ(found.changes.size(), 3U);
  EXPECT_EQ(found.changes[0].did, Did::insert);
  EXPECT_EQ(found.changes[0].key, key("11"));
  EXPECT_EQ(found.changes[0].row.at("email"), "new");
  EXPECT_EQ(found.changes[0].row.at("note"), std::nullopt);
  EXPECT_EQ(found.changes[1].did, Did::update);
  EXPECT_EQ(found.changes[1].row.at("email"), "changed");
  EXPECT_EQ(found.changes[2].did, Did::remove);
  EXPECT_EQ(found.changes[2].key, key("2"));
  EXPECT_GT(found.upto, applied);
  EXPECT_NEAR(static_cast<double>(found.changes[0].committed_at), static_cast<double>(wall_now()), 60e6);
  EXPECT_EQ(must(surplus()).changes.size(), 4U) << "also what was applied, when nobody says what was";
  EXPECT_EQ(must(surplus(applied)).changes, found.changes) << "reading takes nothing away";
}

TEST_F(Surplus, ALongValueThatWasLeftAloneIsNotInItAndAKeyThatChangedIs) {
  must(db_.exec("UPDATE app.orders SET note = pg_catalog.repeat('x', 5000) WHERE id = 1"));
  const auto applied = here();
  must(db_.exec("UPDATE app.orders SET email = 'short' WHERE id = 1"));
  must(db_.exec("UPDATE app.orders SET id = 30 WHERE id = 3"));
  const auto found = must(surplus(applied));
  ASSERT_EQ(found.changes.size(), 2U);
  EXPECT_FALSE(found.changes[0].row.contains("note"));
  EXPECT_EQ(found.changes[0].row.at("email"), "short");
  EXPECT_EQ(found.changes[1].key, key("30"));
  EXPECT_EQ(found.changes[1].was, key("3"));
  const auto entries = salvage::condense(found.changes);
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[1].net, Net::removed);
  EXPECT_EQ(entries[2].net, Net::inserted);
}

TEST_F(Surplus, OfManyRowsInOneTransactionIsAllOfThem) {
  const auto applied = here();
  must(db_.exec("INSERT INTO app.orders SELECT 'us', i, 't', 'm' || i FROM pg_catalog.generate_series(100, 7099) i"));
  EXPECT_EQ(must(surplus(applied)).changes.size(), 7000U);
}

TEST_F(Surplus, SaysWhenNobodyCanTell) {
  must(db_.exec("SELECT pg_catalog.pg_drop_replication_slot('domicile_us_a_b')"));
  const auto found = surplus();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, Kind::unavailable);
  EXPECT_NE(found.error().what.find("domicile_us_a_b is gone"), std::string::npos);
}

}  // namespace
}  // namespace domicile::test
