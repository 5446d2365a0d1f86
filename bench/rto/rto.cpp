// Losses of a region by kill, pause and cut, each in a lab of its own with clients writing, as `drill region-loss` does
// it: when service is back, how much was acknowledged and did not arrive, and that all of it is found again.
//   bench/run rto [--runs N]    N losses of each kind (20)
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "base/json.hpp"
#include "base/process.hpp"
#include "drill/measure.hpp"

using namespace domicile;

namespace {

struct Sum {
  std::vector<Micros> rto;
  double rpo_kill_ms = 0, rpo_cut_ms = 0;
  std::int64_t runs = 0, lost = 0, salvaged = 0;
  bool held = true;
};

Result<Json> one_loss(const std::string& kind, int base) {
  // Exit code 4: a bar was not held, which the report says.
  const auto ran =
      TRY(run({{DOMICILE_BINARY, "drill", "region-loss", "--kind", kind, "--base", std::to_string(base), "--json"}},
              600 * kSecond));
  const auto report = parse_json(ran.out, "the drill's report");
  if (!report) return fail(Kind::failed, "the drill gave no report: " + ran.err);
  return TRY(member<Json>(*report, "drills")).at(0);
}

double number(const Json& drill, const char* key, double otherwise) {
  return drill[key].is_number() ? drill[key].get<double>() : otherwise;
}

void add(Sum& sum, const std::string& kind, const Json& drill) {
  ++sum.runs;
  const double rto = number(drill, "rto_ms_p50", 600'000), rpo = number(drill, "rpo_ms_max", 600'000);
  sum.rto.push_back(static_cast<Micros>(rto * 1000));
  auto& worst = kind == "cut" ? sum.rpo_cut_ms : sum.rpo_kill_ms;
  worst = std::max(worst, rpo);
  // Nobody who could be asked is no proof that nothing was lost.
  const bool known = drill["writes_lost"].is_array();
  if (known) sum.lost += static_cast<std::int64_t>(drill["writes_lost"].size());
  sum.salvaged += static_cast<std::int64_t>(number(drill, "writes_salvaged", 0));
  sum.held = sum.held && known;
  fmt::print("{:<6} RTO {:>6.0f} ms, RPO {:>6.0f} ms, {} salvaged, {} lost, back after {:.0f} ms{}\n", kind, rto, rpo,
             number(drill, "writes_salvaged", 0), known ? fmt::to_string(drill["writes_lost"].size()) : "?",
             number(drill, "return_ms_p50", -1), known ? "" : ": " + dump(drill["broken"]));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  int runs = 20;
  if (argc == 3 && std::string_view(argv[1]) == "--runs") runs = std::atoi(argv[2]);
  if (runs < 1 || (argc != 1 && argc != 3)) {
    fmt::print(stderr, "usage: bench/run rto [--runs N]\n");
    return 64;
  }
  Sum sum;
  for (int i = 0; i < runs; ++i)
    for (const char* kind : {"kill", "pause", "cut"}) {
      const auto drill = one_loss(kind, 12'000 + ::getpid() % 10'000);
      if (!drill) {
        fmt::print(stderr, "{}\n", render(drill.error()));
        return 1;
      }
      add(sum, kind, *drill);
    }
  const double p50 = static_cast<double>(*drill::percentile(sum.rto, 0.5)) / 1000;
  const double p99 = static_cast<double>(*drill::percentile(sum.rto, 0.99)) / 1000;
  fmt::print(
      "{{\"runs\":{},\"rto_ms_p50\":{:.0f},\"rto_ms_p99\":{:.0f},\"rpo_kill_ms_max\":{:.0f},\"rpo_cut_ms_max\":{:.0f},"
      "\"lost\":{},\"salvaged\":{}}}\n",
      sum.runs, p50, p99, sum.rpo_kill_ms, sum.rpo_cut_ms, sum.lost, sum.salvaged);
  return sum.held && sum.lost == 0 && p50 <= 7000 && p99 <= 10'000 && sum.rpo_kill_ms <= 250 && sum.rpo_cut_ms <= 5000
             ? 0
             : 4;
}
