// What bringing a diverged copy back costs: a million rows on both sides, of which a thousand differ in every way that
// they can. Beside it the whole copy of the same rows. Bytes are those of questions, sums and rows, as they would cross
// between the agents.
#include <fmt/format.h>

#include <algorithm>

#include "base/clock.hpp"
#include "engines/postgres/links/repair.hpp"
#include "engines/postgres/schema_sql.hpp"
#include "support/must.hpp"
#include "support/postgres_fixture.hpp"

using namespace domicile;
using namespace domicile::postgres::links;
using test::must;

namespace {

constexpr int kRows = 1'000'000, kDivergent = 1'000;

const char* const kSchema = R"sql(
CREATE SCHEMA app;
CREATE TABLE app.orders (id uuid NOT NULL, residency text NOT NULL, tenant_id text NOT NULL, customer_name text,
  customer_email text, amount bigint, created_at timestamptz NOT NULL, PRIMARY KEY (residency, id));
CREATE FUNCTION domicile.permit(residency text, purpose text) RETURNS void LANGUAGE sql AS '';
)sql";

// As two agents would ask each other: JSON questions, sums as hexadecimal digits, rows as COPY's text.
class Counted final : public CopySource {
 public:
  explicit Counted(CopySource& source) : source_(source) {}
  Result<CopySession> session() override { return source_.session(); }
  Result<void> read(const std::string& session, const MappedTable& table, const Parts& parts,
                    const RowSink& sink) override {
    ask(parts);
    return source_.read(session, table, parts, [&](std::string_view lines) {
      bytes += static_cast<std::int64_t>(lines.size());
      return sink(lines);
    });
  }
  Result<PartSums> sums(const std::string& session, const MappedTable& table, const Parts& parts, int bits) override {
    ask(parts);
    auto sums = source_.sums(session, table, parts, bits);
    if (sums) bytes += static_cast<std::int64_t>(text_of(sums->sums).size());
    return sums;
  }
  Result<void> close(const std::string& session) override { return source_.close(session); }
  std::int64_t bytes = 0;

 private:
  void ask(const Parts& parts) {
    bytes += 300;  // names of table and columns
    if (!parts.whole())
      for (const auto number : parts.numbers) bytes += static_cast<std::int64_t>(std::to_string(number).size()) + 1;
  }
  CopySource& source_;
};

LinkSpec link() {
  return {"us",
          "a",
          "b",
          "domicile_us_a_b",
          {{"app",
            "orders",
            "residency",
            {"residency", "tenant_id", "id", "amount", "created_at", "customer_name", "customer_email"}}}};
}

struct Cost {
  double ms = 0;
  std::int64_t bytes = 0, rows = 0;
};

Cost repair(const test::PostgresCluster& from, postgres::Connection& to) {
  ExportOptions options;
  options.replace_ready = true;
  auto exporter = must(Exporter::begin(from.conninfo(), link(), options));
  Counted source(exporter);
  const Micros begun = monotonic_now();
  const auto done = must(repair_rows(to, link(), source, {}));
  Cost cost{static_cast<double>(monotonic_now() - begun) / 1000, source.bytes, 0};
  for (const auto& table : done.tables) cost.rows += table.written + table.removed;
  return cost;
}

}  // namespace

int main() {
  test::PostgresCluster a_cluster({{"wal_level=logical", "shared_buffers=256MB", "max_wal_size=4GB"}});
  test::PostgresCluster b_cluster({{"wal_level=logical", "shared_buffers=256MB", "max_wal_size=4GB"}});
  auto a = a_cluster.connect(), b = b_cluster.connect();
  for (auto* each : {&a, &b}) {
    must(each->exec(postgres::link_tables_sql()));
    must(each->exec(kSchema));
    // Both sides' rows are the same: ids come from their numbers.
    must(each->exec(
        fmt::format("INSERT INTO app.orders SELECT md5('a' || i)::uuid, 'us', 'tenant-' || i % 100, 'customer ' || i, "
                    "'mail' || i || "
                    "'@example.com', i, '2026-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, {}) i",
                    kRows)));
    must(each->exec("VACUUM ANALYZE app.orders"));
  }
  must(
      a.exec("CREATE PUBLICATION domicile_us_a_b FOR TABLE app.orders WHERE (residency = 'us'), domicile.marker WHERE "
             "(residency = 'us') WITH (publish = 'insert, update, delete')"));
  // 250 each: new here, gone here, changed here, new there.
  must(b.exec(
      fmt::format("INSERT INTO app.orders SELECT md5('b' || i)::uuid, 'us', 'tenant-1', 'surplus', 'x', i, now() FROM "
                  "generate_series(1, {0}) i; DELETE FROM app.orders WHERE id IN (SELECT md5('a' || i * 7)::uuid FROM "
                  "generate_series(1, {0}) "
                  "i); UPDATE app.orders SET customer_name = 'changed' WHERE id IN (SELECT md5('a' || i * 7 + 3)::uuid "
                  "FROM generate_series(1, "
                  "{0}) i)",
                  kDivergent / 4)));
  must(a.exec(
      fmt::format("INSERT INTO app.orders SELECT md5('c' || i)::uuid, 'us', 'tenant-1', 'since', 'y', i, now() FROM "
                  "generate_series(1, {}) i",
                  kDivergent / 4)));
  const auto back = repair(a_cluster, b);
  fmt::print("return: {} rows brought in line in {:.0f} ms, {} bytes\n", back.rows, back.ms, back.bytes);
  const auto equal = repair(a_cluster, b);
  fmt::print("again, nothing differs: {:.0f} ms, {} bytes\n", equal.ms, equal.bytes);
  must(b.exec("TRUNCATE app.orders"));
  const auto whole = repair(a_cluster, b);
  fmt::print("whole copy: {:.0f} ms, {} bytes\n", whole.ms, whole.bytes);
  const double ratio = static_cast<double>(back.bytes) / static_cast<double>(whole.bytes);
  fmt::print(
      "{{\"return_ms\":{:.0f},\"full_copy_ms\":{:.0f},\"bytes_moved\":{},\"full_copy_bytes\":{},\"ratio\":{:.4f}}}\n",
      back.ms, whole.ms, back.bytes, whole.bytes, ratio);
  return ratio <= 0.02 && back.rows == kDivergent ? 0 : 4;
}
