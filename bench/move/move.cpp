// A tenant of 100,000 rows moves there and back in a lab of three regions, 45 ms apart, while it and another tenant are
// written to at a steady rate: how long its writes wait from the moment at which they fell due, the other's beside
// them, errors, and whether everything that was acknowledged lies at the new owner.
#include "core/moves/move.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "../own_lab.hpp"
#include "base/clock.hpp"
#include "base/json.hpp"
#include "core/topology/parse.hpp"
#include "drill/drills.hpp"
#include "engines/postgres/connection.hpp"
#include "engines/postgres/tenants.hpp"
#include "lab/lab.hpp"

using namespace domicile;

namespace {

constexpr int kRows = 100'000, kMoves = 6;
constexpr double kPerSecond = 100;  // of both tenants together
const std::string kMover = "mover", kOther = "drill-us-000";

struct Waits {
  double p50 = 0, p99 = 0, max = 0;
  int errors = 0;
  std::set<std::string> acknowledged;
};

// Of one client's writes that fell due between two instants (wall clock).
Waits waits_of(const std::vector<drill::Write>& writes, std::uint32_t client, Micros from, Micros to) {
  Waits waits;
  std::vector<double> ms;
  for (const auto& write : writes) {
    if (write.client != client) continue;
    if (write.outcome == drill::Outcome::acknowledged)
      waits.acknowledged.insert(write.id);
    else
      ++waits.errors;
    if (write.intended >= from && write.intended <= to)
      ms.push_back(static_cast<double>(write.done - write.intended) / 1000.0);
  }
  std::sort(ms.begin(), ms.end());
  if (ms.empty()) return waits;
  waits.p50 = ms[ms.size() / 2];
  waits.p99 = ms[ms.size() * 99 / 100];
  waits.max = ms.back();
  return waits;
}

Result<void> fill(const drill::Field& field) {
  auto connection = TRY(postgres::Connection::open(field.database("us-east-1")));
  const std::vector<tenants::Entry> entries{{kMover, "us", {std::string(lab::kMovingHost)}}};
  (void)TRY(postgres::import_tenants(connection, entries, {}, "bench"));
  CHECK_OK(connection.exec(fmt::format(
      "INSERT INTO app.orders (id, residency, tenant_id, customer_name, customer_email, amount) "
      "SELECT gen_random_uuid(), 'us', '{}', 'name ' || i, 'mail' || i || '@example', i FROM generate_series(1, {}) i",
      kMover, kRows)));
  return {};
}

Result<moves::Move> ended(const drill::Field& field, const std::string& id) {
  for (const Micros until = monotonic_now() + 600 * kSecond; monotonic_now() < until; ::usleep(50'000)) {
    const auto found = field.agent("us-east-1", "POST", "/v1/moves/find", {{"tenant", kMover}});
    if (!found) continue;
    const auto move = moves::move_of(TRY(member<Json>(*found, "move")));
    if (move && move->id == id && !moves::live(move->phase)) return *move;
  }
  return fail(Kind::unavailable, "the move did not end");
}

struct Moved {
  Waits mover, other;
  std::int64_t missing = 0;
};

Result<Moved> one_move(const drill::Field& field, const std::vector<drill::ClientSpec>& clients, int number) {
  const std::string to = number % 2 == 0 ? "eu" : "us", home = to == "eu" ? "eu-central-1" : "us-east-1";
  drill::LoadSpec spec;
  spec.clients = clients;
  spec.per_s = kPerSecond;
  spec.connections = 32;  // what waited shall not wait again for a connection of its client
  spec.ca = field.ca();
  auto load = TRY(drill::Load::start(spec));
  ::usleep(3'000'000);  // as it runs without a move
  const Micros began = wall_now();
  const auto ordered = TRY(field.agent(
      "us-east-1", "POST", "/v1/moves",
      {{"tenant", kMover}, {"to", to}, {"reason", "measured"}, {"without_personal", to == "us"}}, 15 * kSecond));
  const auto move = TRY(ended(field, TRY(member<std::string>(ordered, "id"))));
  const Micros over = wall_now();
  ::usleep(1'000'000);
  const auto writes = load->stop();
  if (move.phase != moves::Phase::done) return fail(Kind::failed, "the move was taken back: " + move.note);
  Moved result{waits_of(writes, 0, began, over), waits_of(writes, 1, began, over)};
  const auto there = TRY(field.markers(to, home));
  for (const auto& id : result.mover.acknowledged) result.missing += there.contains(id) ? 0 : 1;
  fmt::print(
      "move {} to {}: {:.1f} s; its writes wait {:.0f} / {:.0f} / {:.0f} ms (p50, p99, max), the other tenant's "
      "{:.0f} / {:.0f} / {:.0f}; {} errors, {} missing\n",
      number + 1, to, static_cast<double>(over - began) / 1e6, result.mover.p50, result.mover.p99, result.mover.max,
      result.other.p50, result.other.p99, result.other.max, result.mover.errors + result.other.errors, result.missing);
  for (const auto& event : field.events())
    if (event.switch_id == move.id) fmt::print("  {:<16} {:>6} ms\n", event.name, (event.at - began) / 1000);
  return result;
}

Result<int> measure() {
  const fs::path domicile = DOMICILE_BINARY, checkout = domicile.parent_path().parent_path();
  const int base = 12'000 + ::getpid() % 10'000;
  const bench::OwnLab lab(domicile, base);
  CHECK_OK(lab.up());
  const fs::path file = checkout / "examples/three-regions/topology.yaml";
  const auto topology = TRY(topology::load(TRY(read_file(file)), file.string()));
  const auto field = TRY(drill::Field::open(lab::default_directory(checkout, base), topology));
  CHECK_OK(fill(field));
  auto clients = TRY(field.clients("us", 1, "us-east-1"));
  auto mover = clients[0];
  mover.tenant = kMover;
  mover.host = lab::kMovingHost;
  clients.insert(clients.begin(), mover);
  std::vector<double> pauses, others;
  std::int64_t errors = 0, missing = 0;
  for (int i = 0; i < kMoves; ++i) {
    const auto result = TRY(one_move(field, clients, i));
    pauses.push_back(result.mover.max);
    others.push_back(result.other.max);
    errors += result.mover.errors + result.other.errors;
    missing += result.missing;
  }
  std::sort(pauses.begin(), pauses.end());
  std::sort(others.begin(), others.end());
  fmt::print(
      "{{\"rows\":{},\"moves\":{},\"pause_ms_median\":{:.0f},\"pause_ms_max\":{:.0f},\"other_tenant_ms_max\":{:.0f},"
      "\"client_errors\":{},\"writes_missing\":{}}}\n",
      kRows, kMoves, pauses[pauses.size() / 2], pauses.back(), others.back(), errors, missing);
  return pauses.back() <= 2000 && errors == 0 && missing == 0 ? 0 : 4;
}

}  // namespace

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a line a move, also into a file
  const auto code = measure();
  if (code) return *code;
  fmt::print(stderr, "{}\n", render(code.error()));
  return 1;
}
