// The census of a real PostgreSQL's data directory: a canary is found wherever PostgreSQL can put it, in whatever
// shape.
#include "census/census.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/postgres_fixture.hpp"

namespace domicile::census {
namespace {

using postgres::Connection;
using testing::HasSubstr;

class DataDirectoryCensus : public testing::Test {
 protected:
  // Autovacuum would move things while the test looks for them.
  DataDirectoryCensus()
      : cluster_({{"autovacuum=off", "fsync=off", "wal_level=logical", "work_mem=64kB", "max_wal_size=4GB",
                   "logical_decoding_work_mem=64kB", "checkpoint_timeout=1h"}}),
        session_(connect()) {}

  Connection connect() {
    Connection session = cluster_.connect();
    EXPECT_TRUE(session.exec("SET search_path = public"));
    return session;
  }
  Canary plant(const std::string& id) {
    canaries_.push_back(make_canary(id).value());
    return canaries_.back();
  }
  void sql(const std::string& text) {
    const auto done = session_.exec(text);
    ASSERT_TRUE(done) << text.substr(0, 200) << ": " << render(done.error());
  }
  void insert(const std::string& table, const std::string& value) {
    const auto done = session_.exec_params("INSERT INTO " + table + " (v) VALUES ($1)", {value});
    ASSERT_TRUE(done) << render(done.error());
  }
  std::string value(const std::string& query) { return session_.exec(query).value().text(0, 0); }
  std::string file_of(const std::string& relation) { return value("SELECT pg_relation_filepath('" + relation + "')"); }
  std::string toast_of(const std::string& table) {
    return value("SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE oid = '" + table + "'::regclass");
  }
  void look() {
    report_ = census({{"data", cluster_.data()}}, canaries_);
    EXPECT_TRUE(report_.unsearched.empty()) << to_json(report_)["unsearched"].dump(1);
    for (const auto& canary : canaries_)
      EXPECT_EQ(to_json(report_).dump().find(canary.value), std::string::npos) << "a report that tells a value";
  }
  // The chains in which the canary was found in files whose path contains `file`.
  std::vector<std::string> chains(const Canary& canary, const std::string& file) const {
    std::vector<std::string> out;
    for (const auto& hit : report_.hits)
      if (hit.canary == canary.id && hit.file.find(file) != std::string::npos) out.push_back(hit.chain);
    return out;
  }

  test::PostgresCluster cluster_;
  Connection session_;
  std::vector<Canary> canaries_;
  Report report_;
};

std::string words(std::size_t size) {
  std::string out;
  while (out.size() < size) out += "the same words again and again, ";
  return out;
}

// Compresses to about half: too much for a tuple, so that it is compressed and then cut into chunks.
std::string half_random(std::size_t size) {
  std::string out;
  for (unsigned i = 1; out.size() < size; ++i) out += std::to_string(i * 2654435761U) + "..........";
  return out;
}

TEST_F(DataDirectoryCensus, FindsACanaryInEveryShapeOfATable) {
  sql("CREATE TABLE short (v text); CREATE INDEX short_v ON short (v);"
      "CREATE TABLE pglz (v text COMPRESSION pglz); CREATE TABLE lz4 (v text COMPRESSION lz4);"
      "CREATE TABLE chunks (v text); ALTER TABLE chunks ALTER v SET STORAGE EXTERNAL;"
      "CREATE TABLE pglz_chunks (v text COMPRESSION pglz); CREATE TABLE lz4_chunks (v text COMPRESSION lz4)");
  const auto row = plant("short"), pglz = plant("pglz"), lz4 = plant("lz4"), chunks = plant("chunks"),
             pglz_chunks = plant("pglz_chunks"), lz4_chunks = plant("lz4_chunks");
  insert("short", row.email());
  insert("pglz", words(4000) + pglz.value + words(4000));
  insert("lz4", words(4000) + lz4.value + words(4000));
  insert("chunks", std::string(1996 - 13, '.') + chunks.value + std::string(9000, '.'));  // cut by two chunks
  insert("pglz_chunks", half_random(100'000) + pglz_chunks.value);
  insert("lz4_chunks", half_random(100'000) + lz4_chunks.value);
  sql("CHECKPOINT");
  look();
  EXPECT_THAT(chains(row, file_of("short")), testing::Contains("raw"));
  EXPECT_THAT(chains(row, file_of("short_v")), testing::Contains("raw"));
  EXPECT_THAT(chains(pglz, file_of("pglz")), testing::Contains("value-pglz > raw"));
  EXPECT_THAT(chains(lz4, file_of("lz4")), testing::Contains("value-lz4 > raw"));
  EXPECT_THAT(chains(chunks, toast_of("chunks")), testing::Contains("toast > raw"));
  EXPECT_THAT(chains(pglz_chunks, toast_of("pglz_chunks")), testing::Contains("toast-pglz > raw"));
  EXPECT_THAT(chains(lz4_chunks, toast_of("lz4_chunks")), testing::Contains("toast-lz4 > raw"));
  EXPECT_THAT(chains(chunks, "pg_wal"), testing::Contains("wal > toast > raw"));
  EXPECT_THAT(chains(pglz, "pg_wal"), testing::Contains("wal > value-pglz > raw"));
  EXPECT_THAT(chains(lz4, "pg_wal"), testing::Contains("wal > value-lz4 > raw"));
  EXPECT_THAT(chains(pglz_chunks, "pg_wal"), testing::Contains("wal > toast-pglz > raw"));
}

TEST_F(DataDirectoryCensus, FindsACanaryInCompressedPageImagesOfWal) {
  for (const std::string method : {"pglz", "lz4", "zstd"}) {
    const auto canary = plant(method);
    sql("CREATE TABLE page_" + method + " (v text)");
    insert("page_" + method, canary.value);
    // The page's first change after a checkpoint brings its image into WAL.
    sql("ALTER SYSTEM SET wal_compression = " + method);
    sql("SELECT pg_reload_conf()");
    sql("CHECKPOINT");
    session_ = connect();
    for (int i = 0; i < 30; ++i) insert("page_" + method, words(80));
  }
  look();
  for (const auto& canary : canaries_)
    EXPECT_THAT(chains(canary, "pg_wal"), testing::Contains("wal > page-" + canary.id + " > raw"));
}

TEST_F(DataDirectoryCensus, FindsACanaryInStatistics) {
  const auto canary = plant("statistics");
  sql("CREATE TABLE people (v text)");
  for (int i = 0; i < 50; ++i) insert("people", canary.value);
  sql("ANALYZE people; CHECKPOINT");
  look();
  EXPECT_THAT(chains(canary, file_of("pg_statistic")), testing::Not(testing::IsEmpty()));
}

TEST_F(DataDirectoryCensus, FindsACanaryInTemporaryFilesWhileTheyAreThere) {
  const auto canary = plant("sort");
  sql("CREATE TABLE many (v text)");
  sql("INSERT INTO many SELECT md5(i::text) || '" + canary.value + "' FROM generate_series(1, 20000) i");
  sql("BEGIN; DECLARE c CURSOR FOR SELECT v FROM many ORDER BY v; FETCH 1 FROM c");
  look();
  EXPECT_THAT(chains(canary, "pgsql_tmp"), testing::Contains("raw"));
  sql("COMMIT");
}

TEST_F(DataDirectoryCensus, FindsInWalWhatWasDeletedAndVacuumed) {
  const auto canary = plant("deleted");
  sql("CREATE TABLE gone (v text)");
  insert("gone", canary.value);
  sql("DELETE FROM gone");
  sql("VACUUM gone");
  sql("CHECKPOINT");
  look();
  EXPECT_TRUE(chains(canary, file_of("gone")).empty());
  EXPECT_THAT(chains(canary, "pg_wal"), testing::Contains("wal > raw"));
}

TEST_F(DataDirectoryCensus, IsCleanWhereNoCanaryWasPlanted) {
  sql("CREATE TABLE other (v text)");
  insert("other", half_random(50'000));
  sql("CHECKPOINT");
  plant("absent");
  look();
  EXPECT_TRUE(report_.clean());
  EXPECT_GT(report_.searched_bytes, 30u << 20);
}

}  // namespace
}  // namespace domicile::census
