// What a side of a tenant's move sees: all of its rows, and then what has changed since; and that large answers are
// written some thousands of rows at a time.
#include <gtest/gtest.h>

#include <random>

#include "engines/postgres/moves/moves.hpp"
#include "support/must.hpp"
#include "support/postgres_fixture.hpp"

namespace domicile::test {
namespace {

using postgres::MoveTable;
using postgres::TenantRows;

class MoveRows : public testing::Test {
 protected:
  MoveRows() : writer_(cluster_.connect()) {
    must(
        writer_.exec("CREATE SCHEMA app; CREATE SCHEMA domicile; CREATE TABLE app.orders (residency text NOT NULL, id "
                     "bigint NOT NULL, tenant text NOT NULL, note text, PRIMARY KEY (residency, id)); "
                     "CREATE FUNCTION domicile.permit(residency text, purpose text) RETURNS void LANGUAGE sql AS ''"));
  }
  TenantRows rows() {
    const std::vector<std::string> columns{"id", "tenant", "note"};
    MoveTable table{"app", "orders", "tenant", "residency", {"residency", "id", "tenant", "note"}, columns, {}};
    return must(TenantRows::open(cluster_.connect(), {table}, "", ""));
  }
  void write(const std::string& sql) { must(writer_.exec(sql)); }

  PostgresCluster cluster_{{{"shared_buffers=16MB", "fsync=off"}}};
  postgres::Connection writer_;
};

TEST_F(MoveRows, ALaterLookFindsWhatChangedAndIsWhatAWholeOneIs) {
  auto side = rows();
  write(
      "INSERT INTO app.orders SELECT 'us', i, CASE WHEN i % 5 = 0 THEN 'other' ELSE 't' END, 'n' || i "
      "FROM generate_series(1, 20000) i");
  auto seen = must(side.look("us", "t", nullptr));
  EXPECT_EQ(moves::rows_of(seen.rows), 16'000);
  std::mt19937 random(7);
  const auto id = [&] { return std::to_string(1 + random() % 20'500); };
  // Some of these commit long after a look that could not see them.
  auto late = cluster_.connect();
  for (int round = 0; round < 40; ++round) {
    if (round % 4 == 0) must(late.exec("BEGIN; UPDATE app.orders SET note = 'late' WHERE id = " + id()));
    if (round % 4 == 3) must(late.exec(random() % 2 == 0 ? "COMMIT" : "ROLLBACK"));
    const std::string statements[] = {
        "UPDATE app.orders SET note = note || '+' WHERE tenant = 't' AND id % 4000 = " + id() + " % 4000",
        "DELETE FROM app.orders WHERE id = " + id(),
        "INSERT INTO app.orders VALUES ('us', " + id() + ", 't', 'new') ON CONFLICT DO NOTHING",
        // The number of its part's rows stays as it was.
        "BEGIN; DELETE FROM app.orders WHERE id = 4711; INSERT INTO app.orders VALUES ('us', 4711, 't', '" + id() +
            "'); COMMIT",
        "BEGIN; SAVEPOINT a; UPDATE app.orders SET note = 'inner' WHERE id = " + id() + "; RELEASE a; COMMIT",
        "UPDATE app.orders SET tenant = 'other' WHERE id = " + id(),
        "UPDATE app.orders SET residency = 'eu' WHERE id = " + id(),
        "UPDATE app.orders SET tenant = 't' WHERE tenant = 'other' AND id = " + id(), "SELECT"};
    must(writer_.exec("SET lock_timeout = '10ms'"));
    for (int i = 0; i < 3; ++i)  // one that waits for the late one is left out
      if (!writer_.exec(statements[random() % std::size(statements)])) must(writer_.exec("ROLLBACK"));
    if (round == 20) write("VACUUM FREEZE app.orders");
    const auto before = seen;
    seen = must(side.look("us", "t", &before));
    ASSERT_EQ(seen.rows, must(side.summary("us", "t"))) << round;
    EXPECT_EQ(moves::merged(before.rows, moves::changes(before.rows, seen.rows)), seen.rows);
  }
}

TEST_F(MoveRows, AnAnswerIsWrittenSomeThousandsOfRowsAtATimeAndAllOfIt) {
  write(
      "CREATE TABLE app.writers (transaction xid8 DEFAULT pg_current_xact_id(), id bigint);"
      "CREATE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.writers (id) VALUES "
      "(NEW.id); RETURN NULL; END $$;"
      "CREATE TRIGGER notes AFTER INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION app.note()");
  auto side = rows();
  const moves::Move move{"t", "m-1", "us", "eu"};
  constexpr int kRows = 23'000;
  const auto staged =
      side.stage(move, side.tables()[0], {{1, 2}, kRows, true}, [](const postgres::RowSink& sink) -> Result<void> {
        for (int i = 0; i < kRows; ++i)
          CHECK_OK(sink(fmt::format("us\t{}\tt\t{}\n", i, std::string(static_cast<std::size_t>(i % 400), 'x'))));
        return {};
      });
  EXPECT_EQ(must(staged), kRows);
  const auto there = must(writer_.exec("SELECT count(*), count(DISTINCT id) FROM app.orders WHERE residency = 'eu'"));
  EXPECT_EQ(there.integer_or(0, 0, 0), kRows);
  EXPECT_EQ(there.integer_or(0, 1, 0), kRows);
  const auto most =
      must(writer_.exec("SELECT max(n), count(*) FROM (SELECT count(*) AS n FROM app.writers GROUP BY "
                        "transaction) each"));
  EXPECT_LE(most.integer_or(0, 0, 0), 10'000);
  EXPECT_GE(most.integer_or(0, 1, 0), 4);
}

}  // namespace
}  // namespace domicile::test
