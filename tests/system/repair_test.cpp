// A copy that is behind, ahead or both is made equal to its source by what differs, and streams on from there.
#include "engines/postgres/links/repair.hpp"

#include <gtest/gtest.h>

#include "engines/postgres/links/subscription.hpp"
#include "engines/postgres/schema_sql.hpp"
#include "support/must.hpp"
#include "support/postgres_fixture.hpp"

namespace domicile::test {
namespace {

using namespace postgres::links;

const char* const kSchema = R"sql(
CREATE SCHEMA app;
CREATE TABLE app.orders (residency text NOT NULL, id bigint NOT NULL, tenant text NOT NULL, email text UNIQUE, at timestamptz,
  PRIMARY KEY (residency, id));
CREATE TABLE app.lines (residency text NOT NULL, id bigint NOT NULL, orders bigint NOT NULL, price float8,
  PRIMARY KEY (residency, id), FOREIGN KEY (residency, orders) REFERENCES app.orders);
CREATE FUNCTION domicile.permit(residency text, purpose text) RETURNS void LANGUAGE sql AS '';
)sql";

// Counts what crosses.
class Counting final : public CopySource {
 public:
  explicit Counting(CopySource& source) : source_(source) {}
  Result<CopySession> session() override { return source_.session(); }
  Result<void> read(const std::string& session, const MappedTable& table, const Parts& parts,
                    const RowSink& sink) override {
    return source_.read(session, table, parts, [&](std::string_view lines) {
      rows += std::count(lines.begin(), lines.end(), '\n');
      return sink(lines);
    });
  }
  Result<PartSums> sums(const std::string& session, const MappedTable& table, const Parts& parts, int bits) override {
    return source_.sums(session, table, parts, bits);
  }
  Result<void> close(const std::string& session) override { return source_.close(session); }
  std::int64_t rows = 0;

 private:
  CopySource& source_;
};

class RepairRows : public testing::Test {
 protected:
  RepairRows()
      : a_cluster_({{"wal_level=logical", "shared_buffers=16MB"}}),
        b_cluster_({{"wal_level=logical", "shared_buffers=16MB"}}),
        a_(a_cluster_.connect()),
        b_(b_cluster_.connect()) {
    for (auto* each : {&a_, &b_}) {
      must(each->exec(postgres::link_tables_sql()));
      must(each->exec(kSchema));
      // The same rows, and one of another residency that nobody touches.
      must(each->exec(R"sql(
        INSERT INTO app.orders SELECT 'us', i, 't', 'mail' || i, 'epoch'::timestamptz + i * interval '1 s' FROM generate_series(1, 20000) i;
        INSERT INTO app.lines SELECT 'us', i, i, i / 3.0 FROM generate_series(1, 20000) i;
        INSERT INTO app.orders VALUES ('eu', 1, 'e', 'eu mail'))sql"));
    }
    must(a_.exec(R"sql(
      INSERT INTO domicile.marker (residency, clock_us, epoch, lsn) VALUES ('us', 5, 2, '0/5');
      CREATE PUBLICATION domicile_us_a_b FOR TABLE app.orders WHERE (residency = 'us'), app.lines WHERE (residency = 'us'),
        domicile.marker WHERE (residency = 'us') WITH (publish = 'insert, update, delete'))sql"));
  }
  static LinkSpec link() {
    return {"us",
            "a",
            "b",
            "domicile_us_a_b",
            {{"app", "lines", "residency", {"residency", "id", "orders", "price"}},
             {"app", "orders", "residency", {"residency", "id", "tenant", "email", "at"}}}};
  }
  Result<Repaired> repair(std::int64_t* rows = nullptr) {
    ExportOptions options;
    options.replace_ready = true;
    auto exporter = must(Exporter::begin(a_cluster_.conninfo(), link(), options));
    Counting counting(exporter);
    auto done = repair_rows(b_, link(), counting, {});
    if (rows != nullptr) *rows = counting.rows;
    return done;
  }
  static std::string sum(postgres::Connection& connection) {
    std::string out;
    for (const char* table : {"orders", "lines"})
      out += must(connection.exec(
                      fmt::format("SELECT md5(string_agg(t::text, '|' ORDER BY residency, id)) FROM app.{} t", table)))
                 .text(0, 0);
    return out;
  }

  PostgresCluster a_cluster_, b_cluster_;
  postgres::Connection a_, b_;
};

TEST_F(RepairRows, OfACopyThatIsBothBehindAndAheadMovesWhatDiffersAndStreamsOn) {
  must(a_.exec(
      "INSERT INTO app.orders VALUES ('us', 30001, 't', 'new at a'); UPDATE app.orders SET email = 'changed at a' "
      "WHERE id = 7 AND residency = 'us'; DELETE FROM app.lines WHERE id = 9; DELETE FROM app.orders WHERE id = 9"));
  must(b_.exec(
      "INSERT INTO app.orders VALUES ('us', 40001, 't', 'only at b'); INSERT INTO app.lines VALUES ('us', 40001, "
      "40001, 1); UPDATE app.orders SET tenant = 'x' WHERE id = 8; DELETE FROM app.lines WHERE id = 10"));
  std::int64_t rows = 0;
  const auto done = must(repair(&rows));
  EXPECT_EQ(sum(a_), sum(b_));
  EXPECT_FALSE(done.whole);
  EXPECT_LT(rows, 100) << "of 40,000";
  ASSERT_EQ(done.tables.size(), 3U);
  for (const auto& table : done.tables) {
    EXPECT_EQ(table.digest.size(), 64U);
    if (table.table == "app.orders") {
      EXPECT_EQ(table.rows, 20'000);
      EXPECT_EQ(table.written, 3) << "one new, two changed back";
      EXPECT_EQ(table.removed, 2);
    }
  }
  must(a_.exec("INSERT INTO app.orders VALUES ('us', 30002, 't', 'afterwards')"));
  must(b_.exec("SET ROLE NONE"));
  ASSERT_TRUE(ensure_subscription(b_, link(), a_cluster_.conninfo()));
  ASSERT_TRUE(enable_subscription(b_, link()));
  EXPECT_TRUE(eventually([&] { return sum(a_) == sum(b_); }));
  ASSERT_TRUE(drop_subscription(b_, link()));
}

TEST_F(RepairRows, OfAnEqualCopyMovesNoRow) {
  std::int64_t rows = 0;
  must(b_.exec("INSERT INTO domicile.marker (residency, clock_us, epoch, lsn) VALUES ('us', 5, 2, '0/5')"));
  const auto done = must(repair(&rows));
  EXPECT_EQ(rows, 0);
  for (const auto& table : done.tables) EXPECT_EQ(table.fetched + table.written + table.removed, 0) << table.table;
}

TEST_F(RepairRows, WorksWhereAUniqueValueHasGoneFromOneRowToAnother) {
  must(
      a_.exec("DELETE FROM app.lines WHERE id = 3; DELETE FROM app.orders WHERE id = 3; "
              "INSERT INTO app.orders VALUES ('us', 50000, 't', 'mail3')"));
  must(repair());
  EXPECT_EQ(sum(a_), sum(b_));
}

TEST_F(RepairRows, WorksWhereARowThatGoesIsReferencedUntilAnotherHasChanged) {
  must(a_.exec("UPDATE app.lines SET orders = 5 WHERE id = 3; DELETE FROM app.orders WHERE id = 3"));
  must(repair());
  EXPECT_EQ(sum(a_), sum(b_));
}

TEST_F(RepairRows, OfAnEmptyCopyBringsEverything) {
  must(b_.exec("DELETE FROM app.lines; DELETE FROM app.orders WHERE residency = 'us'"));
  std::int64_t rows = 0;
  must(repair(&rows));
  EXPECT_EQ(sum(a_), sum(b_));
  EXPECT_GT(rows, 40'000);
}

TEST_F(RepairRows, TouchesNothingWhenTheSourceIsGone) {
  must(b_.exec("UPDATE app.orders SET tenant = 'x' WHERE id = 8"));
  auto exporter = must(Exporter::begin(a_cluster_.conninfo(), link()));
  const auto before = sum(b_);
  a_cluster_.kill();
  EXPECT_FALSE(repair_rows(b_, link(), exporter, {}));
  EXPECT_EQ(sum(b_), before);
}

TEST(PartsText, IsReadBackAndNothingElse) {
  const std::vector<std::uint64_t> sums{0, 1, ~std::uint64_t{0}};
  EXPECT_EQ(must(sums_of(text_of(sums))), sums);
  for (const char* bad : {"0", "000000000000000g", "-000000000000001", "0x00000000000001"})
    EXPECT_FALSE(sums_of(bad)) << bad;
}

TEST(PartsSplit, KeepsTheirNumbersAsTheLowBits) {
  EXPECT_EQ(split({2, {1, 3}}, 1), (Parts{3, {1, 5, 3, 7}}));
  EXPECT_EQ(split({}, 2), (Parts{2, {0, 1, 2, 3}}));
  EXPECT_EQ(differing({3, {1, 5, 3}}, {{9, 9, 9}, 1}, {{9, 0, 9}, 1}), (Parts{3, {5}}));
}

}  // namespace
}  // namespace domicile::test
