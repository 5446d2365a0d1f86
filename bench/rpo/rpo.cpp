// What rpo 0 costs, in a lab whose regions lie 45 ms apart: writes of a residency whose commits wait for its standby
// against the same writes of one with rpo 10s, in turn through one session. The limit is one round trip and the commit
// at the standby. And what the residency beside it pays for being beside it: in a database of its own, with commits of
// the other one waiting and not waiting in turn.
//   bench/run rpo [--base N]
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "../own_lab.hpp"
#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/temp_dir.hpp"
#include "core/topology/parse.hpp"
#include "drill/field.hpp"
#include "engines/postgres/connection.hpp"
#include "engines/postgres/guard/guard_sql.hpp"
#include "lab/lab.hpp"
#include "support/must.hpp"
#include "support/postgres_fixture.hpp"

using namespace domicile;

namespace {

constexpr double kRoundTripMs = 90, kAddedMs = 5;  // the bar of what waits beyond the round trip, at the median
constexpr int kWrites = 400, kBesideRounds = 40, kBesideWrites = 150;

constexpr const char* kTopology = R"(domicile: 1
lease: {ttl: 5s, beat: 1s, margin: 500ms, patience: 10s}
regions:
  us-east-1:    {jurisdiction: US}
  eu-central-1: {jurisdiction: EU}
  eu-west-1:    {jurisdiction: EU}
residencies:
  directory: {home: us-east-1, standby: [eu-central-1, eu-west-1], holds: {US: full, EU: full}}
  us:   {home: us-east-1,    standby: [eu-central-1], holds: {US: full, EU: full}, rpo: 10s}
  zero: {home: us-east-1,    standby: [eu-central-1], holds: {US: full, EU: full}, rpo: 0}
  eu:   {home: eu-central-1, standby: [eu-west-1],    holds: {EU: full, US: reduced}}
data:
  app.orders:
    personal: [customer_name, customer_email]
    shared: [id, amount, created_at]
  app.order_items:
    personal: [note]
    shared: [id, order_id, sku, quantity]
)";

double at(std::vector<double>& sorted, double share) {
  std::sort(sorted.begin(), sorted.end());
  return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

Result<double> write_ms(postgres::Connection& session, const std::string& residency) {
  const Micros began = monotonic_now();
  CHECK_OK(session.exec_params(
      "INSERT INTO app.orders (id, residency, tenant_id, customer_name, customer_email, amount) VALUES "
      "(gen_random_uuid(), $1, $2, 'a name', 'a@b.example', 1)",
      {residency, residency + "-1"}, began + 30 * kSecond));
  return static_cast<double>(monotonic_now() - began) / 1e3;
}

struct Waits {
  std::vector<double> zero, ten;
};

Result<Waits> over_the_wan(int base) {
  const fs::path domicile = DOMICILE_BINARY, checkout = domicile.parent_path().parent_path();
  const TempDir dir;
  const fs::path file = dir.path() / "topology.yaml";
  CHECK_OK(write_file(file, kTopology));
  for (const char* name : {"schema.sql", "grants.sql"})
    CHECK_OK(write_file(dir.path() / name, TRY(read_file(checkout / "examples/three-regions" / name))));
  const bench::OwnLab lab(domicile, base, file);
  CHECK_OK(lab.up());
  const auto field =
      TRY(drill::Field::open(lab::default_directory(checkout, base), TRY(topology::load(kTopology, "rpo"))));
  std::string covered;
  for (const Micros until = monotonic_now() + 60 * kSecond; covered.empty() && monotonic_now() < until;
       ::usleep(100'000)) {
    const auto status = field.agent_status("us-east-1");
    for (const auto& one : status ? (*status)["residencies"] : Json::array())
      if (one["residency"] == "zero") covered = one.value("covered", "");
  }
  if (covered != "eu-central-1") return fail(Kind::failed, "no commit waits for eu-central-1");
  auto session = TRY(postgres::Connection::open(field.database("us-east-1")));
  Waits waits;
  for (int i = -kWrites / 10; i < kWrites; ++i) {  // the first ones warm it up
    const double zero = TRY(write_ms(session, "zero")), ten = TRY(write_ms(session, "us"));
    if (i < 0) continue;
    waits.zero.push_back(zero);
    waits.ten.push_back(ten);
  }
  const auto there = TRY(field.markers("zero", "eu-central-1"));
  if (there.size() < waits.zero.size()) return fail(Kind::failed, "a commit did not wait for the standby");
  return waits;
}

struct Beside {
  double ratio = 0, null = 0;  // of medians: with the other one's commits waiting to without; and without twice
};

// Nobody is there to confirm, so nothing that waits would ever end: all that ends has not waited.
Beside beside() {
  test::PostgresCluster cluster({.settings = {"autovacuum=off", "checkpoint_timeout=1h", "shared_buffers=128MB",
                                              "synchronous_commit=local", "fsync=off"},
                                 .libraries = {DOMICILE_GUARD_LIBRARY}});
  auto db = cluster.connect();
  using test::must;
  must(db.exec(install_sql(GuardForm::c, (cluster.folder() / "domicile_guard.so").string())));
  must(
      db.exec("CREATE TABLE public.orders (residency text NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, tenant_id "
              "text NOT NULL, amount int, PRIMARY KEY (residency, id))"));
  for (const char* residency : {"directory", "ten", "zero"})
    must(db.exec(fmt::format(
        "SELECT domicile.lease_set('{}', 1, c.now_us + 3600000000, c.clock_id) FROM domicile.clock() c", residency)));
  must(db.exec("INSERT INTO domicile.tenant (tenant_id, residency) VALUES ('t', 'ten')"));
  must(db.exec(install_table_sql("public.orders", "tenant_id", "residency")));
  const auto arm = [&](bool waits) {
    must(db.exec(fmt::format("SELECT domicile.lease_waits('zero', {})", waits)));
    must(db.exec(fmt::format("ALTER SYSTEM SET synchronous_standby_names = '{}'", waits ? "FIRST 1 (nobody)" : "")));
    must(db.exec("SELECT pg_reload_conf()"));
    must(db.exec("SELECT pg_sleep(0.02)"));
  };
  std::vector<double> sides[3];
  for (int round = 0; round < kBesideRounds; ++round)
    for (int i = 0; i < 3; ++i) {
      const int side = (i + round) % 3;  // 0: waits, 1 and 2: does not
      arm(side == 0);
      std::vector<double> us;
      for (int write = 0; write < kBesideWrites; ++write) {
        const Micros began = monotonic_now();
        must(db.exec_params("INSERT INTO public.orders (residency, tenant_id, amount) VALUES ('ten', 't', $1)",
                            {std::to_string(write)}, began + 10 * kSecond));
        us.push_back(static_cast<double>(monotonic_now() - began));
      }
      sides[side].push_back(at(us, 0.5));
    }
  const double with = at(sides[0], 0.5), without = at(sides[1], 0.5), again = at(sides[2], 0.5);
  return {2 * with / (without + again), again / without};
}

double rounded(double value) { return std::round(value * 1000) / 1000; }

}  // namespace

int main(int argc, char** argv) try {
  int base = 12'000 + ::getpid() % 10'000;
  if (argc == 3 && std::string_view(argv[1]) == "--base") base = std::atoi(argv[2]);
  if (argc != 1 && argc != 3) {
    fmt::print(stderr, "usage: bench/run rpo [--base N]\n");
    return 64;
  }
  const Beside side = beside();
  fmt::print("a residency beside it, C form: {:.3f} of its time without (null {:.3f})\n", side.ratio, side.null);
  std::fflush(stdout);
  auto waits = over_the_wan(base);
  if (!waits) {
    fmt::print(stderr, "{}\n", render(waits.error()));
    return 1;
  }
  const double zero50 = at(waits->zero, 0.5), zero99 = at(waits->zero, 0.99), ten50 = at(waits->ten, 0.5),
               ten99 = at(waits->ten, 0.99);
  fmt::print("rpo 10s: p50 {:.2f} ms, p99 {:.2f}; rpo 0: p50 {:.2f}, p99 {:.2f}, over a round trip of {:.0f} ms\n",
             ten50, ten99, zero50, zero99, kRoundTripMs);
  const double beyond50 = zero50 - ten50 - kRoundTripMs, beyond99 = zero99 - ten99 - kRoundTripMs;
  fmt::print("beyond the round trip: p50 {:.2f} ms, p99 {:.2f}; the limit is the commit at the standby, about 1 ms\n",
             beyond50, beyond99);
  const bool held = beyond50 <= kAddedMs && side.ratio <= 1.03;
  fmt::print("{}\n", dump(Json{{"rpo0_ms_p50", rounded(zero50)},
                               {"rpo0_ms_p99", rounded(zero99)},
                               {"rpo10s_ms_p50", rounded(ten50)},
                               {"rpo10s_ms_p99", rounded(ten99)},
                               {"round_trip_ms", kRoundTripMs},
                               {"beyond_ms_p50", rounded(beyond50)},
                               {"beyond_ms_p99", rounded(beyond99)},
                               {"beside", rounded(side.ratio)},
                               {"beside_null", rounded(side.null)},
                               {"held", held}}));
  return held ? 0 : 4;
} catch (const std::exception& error) {
  fmt::print(stderr, "bench rpo: {}\n", error.what());
  return 1;
}
