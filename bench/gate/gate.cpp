// What the gate costs a link, against a direct subscription over mutual TLS. Rounds of direct, gate and direct again,
// whose order rotates: the second direct one makes the null (A/A). When that is off by half of what the ratio is, the
// result is unknown. Rows per second: the same log is replayed from copies of one slot into an empty table, the start
// of the subscription included. Nothing is synced to a disk on either side.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string_view>

#include "base/json.hpp"
#include "sites.hpp"

using namespace domicile;
using bench::must;
using bench::Route;
using bench::Sites;

namespace {

struct Size {
  // Rounds are a multiple of three: each order as often.
  std::size_t chunk_rounds = 15, chunks = 200, rows_of_chunk = 1000;
  std::size_t single_rounds = 9, singles = 100'000;
  std::size_t latency_rounds = 9;
  int commits = 3000;
  std::size_t large = 1'000'000;  // rows of one transaction
};
constexpr Size kQuick{3, 30, 1000, 3, 5'000, 3, 200, 50'000};

constexpr std::size_t kDirect = 0, kGate = 1, kAgain = 2;
using Sides = std::array<std::vector<double>, 3>;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

Route route_of(std::size_t side) { return side == kGate ? Route::gate : Route::direct; }

std::string told(const std::vector<double>& values, int digits) {
  const auto [low, high] = std::ranges::minmax(values);
  return fmt::format("{:.{}f} [{:.{}f}..{:.{}f}]", median(values), digits, low, digits, high, digits);
}

// ---- rows per second

struct Rates {
  Sides rate;                       // by round
  std::vector<double> ratio, null;  // of each round
};

// Transactions of `chunk` rows each, of the residencies in turn.
void write_rows(Sites& sites, std::size_t transactions, std::size_t chunk, const bench::Residencies& of = bench::kOne) {
  must(sites.source().exec(fmt::format(
      "DO $$ BEGIN FOR i IN 0..{} LOOP INSERT INTO app.orders SELECT ('{{{}}}'::text[])[1 + r % {}], 't' || r % 1000, "
      "i::bigint * {} + r, r, 'somebody@example.org' FROM generate_series(0, {}) r; COMMIT; END LOOP; END $$",
      transactions - 1, fmt::join(of, ","), of.size(), chunk, chunk - 1)));
}

// The baseline is the mean of the two direct ones: half the noise of one.
Rates measure(Sites& sites, std::string_view name, std::size_t rounds, std::size_t transactions, std::size_t chunk) {
  sites.mark();
  write_rows(sites, transactions, chunk);
  sites.seal();
  const std::size_t rows = transactions * chunk;
  const double rows_at_gate = static_cast<double>(rows * rounds);
  Rates out;
  (void)sites.replay_seconds(Route::direct, rows);  // warms caches and prepares segments
  const double cpu_before = sites.gate_cpu_seconds();
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < 3; ++i) {
      const std::size_t side = (i + round) % 3;
      out.rate[side].push_back(static_cast<double>(rows) / sites.replay_seconds(route_of(side), rows));
    }
    const double one = out.rate[kDirect].back(), again = out.rate[kAgain].back(), gate = out.rate[kGate].back();
    out.ratio.push_back(gate / ((one + again) / 2));
    out.null.push_back(again / one);
    fmt::print(stderr, "{}, round {}: direct {:.0f} {:.0f} rows/s, gate {:.0f} ({:.3f})\n", name, round + 1, one, again,
               gate, out.ratio.back());
  }
  fmt::print("{}: {} transactions of {} row(s), {} rounds, median [min..max]\n", name, transactions, chunk, rounds);
  fmt::print("  direct {}, again {}, gate {} rows/s\n", told(out.rate[kDirect], 0), told(out.rate[kAgain], 0),
             told(out.rate[kGate], 0));
  fmt::print("  gate/direct {}, null {}; the gate's processor time {:.2f} us a row\n", told(out.ratio, 3),
             told(out.null, 3), (sites.gate_cpu_seconds() - cpu_before) * 1e6 / rows_at_gate);
  return out;
}

// ---- latency

struct Added {
  double p50 = 0, p99 = 0, null_p50 = 0, null_p99 = 0;  // ms
};

// Milliseconds of each synchronous commit of one client, ascending.
std::vector<double> commits_ms(Sites& sites, int count) {
  auto client = sites.source_session();
  must(client.exec("SET synchronous_commit = on"));
  std::vector<double> out;
  for (int i = -count / 10; i < count; ++i) {  // the first ones warm it up
    const Micros began = monotonic_now();
    must(client.exec_params("INSERT INTO app.orders VALUES ('us', 't', $1, 7)", {std::to_string(i)},
                            began + 30 * kSecond));
    if (i < 0) continue;
    out.push_back(static_cast<double>(monotonic_now() - began) / 1e3);
    if (i % 100 == 0 && !sites.has_row(i)) throw std::runtime_error("a commit did not wait for the target");
  }
  std::sort(out.begin(), out.end());
  return out;
}

Added measure_latency(Sites& sites, std::size_t rounds, int commits) {
  Sides p50, p99;
  for (std::size_t round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < 3; ++i) {
      const std::size_t side = (i + round) % 3;
      must(sites.source().exec("TRUNCATE app.orders"));
      sites.follow(route_of(side));
      const auto ms = commits_ms(sites, commits);
      sites.stop_following();
      p50[side].push_back(ms[ms.size() / 2]);
      p99[side].push_back(ms[(ms.size() * 99 + 99) / 100 - 1]);
      fmt::print(stderr, "latency, round {}, {}: p50 {:.3f}, p99 {:.3f} ms\n", round + 1,
                 side == kGate ? "gate" : "direct", p50[side].back(), p99[side].back());
    }
  const auto added = [](const Sides& of) { return median(of[kGate]) - (median(of[kDirect]) + median(of[kAgain])) / 2; };
  const auto null = [](const Sides& of) { return median(of[kAgain]) - median(of[kDirect]); };
  const Added out{added(p50), added(p99), null(p50), null(p99)};
  fmt::print("synchronous commit: 1 client, {} rounds of {} commits, ms, median [min..max] of the rounds\n", rounds,
             commits);
  for (const auto& [name, of] : {std::pair{"p50", &p50}, std::pair{"p99", &p99}})
    fmt::print("  {}: direct {}, again {}, gate {}\n", name, told((*of)[kDirect], 3), told((*of)[kAgain], 3),
               told((*of)[kGate], 3));
  fmt::print("  added: p50 {:.3f}, p99 {:.3f}; null: p50 {:.3f}, p99 {:.3f}\n", out.p50, out.p99, out.null_p50,
             out.null_p99);
  return out;
}

// ---- memory

struct Memory {
  double idle = 0, one_link = 0, all_links = 0;  // MB; peaks
  double per_link() const { return all_links / static_cast<double>(bench::kAll.size()); }
};

// One large transaction passes, half of it by each of the links: a region sends at least the directory's and its own.
Memory measure_memory(Sites& sites, std::size_t large, double idle) {
  Memory out{idle, sites.gate_peak_mb(), 0};
  sites.mark();
  write_rows(sites, 1, large, bench::kAll);
  sites.seal();
  const double took = sites.replay_seconds(Route::gate, large, bench::kAll);
  out.all_links = sites.gate_peak_mb();
  fmt::print(
      "memory: peak (VmHWM) of the whole gate process {:.1f} MB over {} links streaming at once makes {:.1f} MB a "
      "link.\n"
      "  {:.1f} MB (programs and libraries) before any streamed, {:.1f} MB after one link with all of the above. The "
      "links\n  shared one transaction of {} rows ({:.0f} rows/s)\n",
      out.all_links, bench::kAll.size(), out.per_link(), out.idle, out.one_link, large,
      static_cast<double>(large) / took);
  return out;
}

double rounded(double value) { return std::round(value * 1000) / 1000; }

int run(const Size& size) {
  Sites sites;
  const double idle_mb = sites.gate_now_mb();
  const auto chunks = measure(sites, "chunks", size.chunk_rounds, size.chunks, size.rows_of_chunk);
  const auto single = measure(sites, "single rows", size.single_rounds, size.singles, 1);
  const auto added = measure_latency(sites, size.latency_rounds, size.commits);
  const auto memory = measure_memory(sites, size.large, idle_mb);

  // Two direct links differ by `null`. A ratio farther than that from its bar of 1 is beyond what noise explains.
  const auto clear = [](double ratio, double null) { return std::abs(ratio - 1) > 2 * std::abs(null - 1); };
  const bool known = clear(median(chunks.ratio), median(chunks.null)) &&
                     clear(median(single.ratio), median(single.null)) && std::abs(added.null_p50) <= 0.2 &&
                     std::abs(added.null_p99) <= 0.5;
  const double ratio_chunks = median(chunks.ratio), ratio_single = median(single.ratio);
  const bool held =
      ratio_chunks >= 1.0 && ratio_single >= 1.0 && added.p50 <= 1 && added.p99 <= 1 && memory.per_link() <= 16;
  fmt::print(
      "known only where the ratio is twice as far from 1 as the null, and with nulls of 0.2 ms (p50) and 0.5 ms "
      "(p99)\n");
  fmt::print("{}\n", dump(Json{{"ratio_chunks", rounded(ratio_chunks)},
                               {"ratio_single", rounded(ratio_single)},
                               {"p50_added_ms", rounded(added.p50)},
                               {"p99_added_ms", rounded(added.p99)},
                               {"mb_per_link", rounded(memory.per_link())},
                               {"mb_idle", rounded(memory.idle)},
                               {"mb_one_link", rounded(memory.one_link)},
                               {"aa_chunks", rounded(median(chunks.null))},
                               {"aa_single", rounded(median(single.null))},
                               {"aa_p50_ms", rounded(added.null_p50)},
                               {"aa_p99_ms", rounded(added.null_p99)},
                               {"direct_chunks", std::round(median(chunks.rate[kDirect]))},
                               {"gate_chunks", std::round(median(chunks.rate[kGate]))},
                               {"direct_single", std::round(median(single.rate[kDirect]))},
                               {"gate_single", std::round(median(single.rate[kGate]))},
                               {"held", known && held},
                               {"result", known ? held ? "held" : "missed" : "unknown"}}));
  return known && held ? 0 : 1;
}

}  // namespace

int main(int count, char** words) try {
  const std::string_view word = count > 1 ? words[1] : "";
  if (count > 2 || (!word.empty() && word != "--quick")) {
    fmt::print(
        "bench/run gate [--quick]\n  --quick: few rows and rounds, to see that it runs; its figures say little\n");
    return word == "--help" ? 0 : 64;
  }
  return run(word.empty() ? Size{} : kQuick);
} catch (const std::exception& error) {
  fmt::print(stderr, "bench gate: {}\n", error.what());
  return 1;
}
