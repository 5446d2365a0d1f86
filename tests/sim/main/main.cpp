// build/sim: many seeds of the simulation, on all processors. Prints what was visited, how fast it went, and for a seed
// that broke an invariant its story. Last line: {"seeds", "violations", "coverage_min", "sim_to_real"}.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "../sim.hpp"
#include "base/clock.hpp"

namespace {

using domicile::sim::Outcome;
using domicile::sim::run;

constexpr std::uint64_t kEnough = 100'000;  // seeds that have to visit everything,
constexpr int kLeast = 100;                 // as often as this

struct Options {
  std::uint64_t seeds = 1'000, start = 1;
  std::optional<std::uint64_t> replay;
  domicile::sim::Faults without;
};

struct Sum {
  domicile::sim::Visits visits;
  std::vector<std::pair<std::uint64_t, std::string>> violations;
  double simulated_s = 0;
  long writes = 0, openings = 0, repaired = 0, restores = 0, adoptions = 0, disks = 0, lost = 0;

  void add(std::uint64_t seed, const Outcome& o) {
    for (const auto& [where, times] : o.visits) visits[where] += times;
    if (!o.violation.empty()) violations.emplace_back(seed, o.violation);
    simulated_s += static_cast<double>(o.simulated_us) / 1e6;
    writes += o.writes, openings += o.openings, repaired += o.salvaged, restores += o.restores,
        adoptions += o.adoptions, disks += o.disks, lost += o.lost;
  }
  void add(const Sum& more) {
    for (const auto& [where, times] : more.visits) visits[where] += times;
    violations.insert(violations.end(), more.violations.begin(), more.violations.end());
    simulated_s += more.simulated_s;
    writes += more.writes, openings += more.openings, repaired += more.repaired, restores += more.restores,
        adoptions += more.adoptions, disks += more.disks, lost += more.lost;
  }
};

constexpr const char* kUsage =
    "usage: sim [--seeds N] [--start S] | sim --replay SEED [--without N,N...]\n"
    "  --seeds N      how many (1000)\n"
    "  --start S      the first one (1)\n"
    "  --replay SEED  tells the story of one, the same on every machine\n"
    "  --without N,N  without these of its faults\n"
    "exit code: 0 every invariant held, 4 one was broken, or 100,000 seeds struck a step too seldom, 64 usage\n";

std::optional<domicile::sim::Faults> faults_of(const char* text) {
  domicile::sim::Faults out;
  for (char* end = nullptr;; text = end + 1) {
    const auto number = std::strtol(text, &end, 10);
    if (end == text || number <= 0 || (*end != ',' && *end != 0)) return {};
    out.insert(static_cast<int>(number));
    if (*end == 0) return out;
  }
}

std::optional<Options> options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 >= argc) return {};
    if (name == "--without") {
      const auto numbers = faults_of(argv[i + 1]);
      if (!numbers) return {};
      options.without = *numbers;
      continue;
    }
    char* end = nullptr;
    const auto value = std::strtoull(argv[i + 1], &end, 10);
    if (*end != 0 || value == 0) return {};
    if (name == "--seeds")
      options.seeds = value;
    else if (name == "--start")
      options.start = value;
    else if (name == "--replay")
      options.replay = value;
    else
      return {};
  }
  return options;
}

// Every n-th seed; each seed is a world of its own.
Sum some(const Options& options, unsigned first, unsigned step) {
  Sum sum;
  for (auto seed = options.start + first; seed < options.start + options.seeds; seed += step) sum.add(seed, run(seed));
  return sum;
}

void tell(std::uint64_t seed, const domicile::sim::Faults& without) {
  for (const auto& line : run(seed, {}, true, without).story) fmt::print("{}\n", line);
}

void tell_shrunk(std::uint64_t seed) {
  const auto without = domicile::sim::needless(seed);
  const auto all = static_cast<std::size_t>(run(seed).faults);
  fmt::print("seed {} with {} of its {} faults:\n", seed, all - std::min(all, without.size()), all);
  tell(seed, without);
  fmt::print("again: sim --replay {}{}{}\n", seed, without.empty() ? "" : " --without ", fmt::join(without, ","));
}

// A row a step, a column a fault.
void tell_table(const domicile::sim::Visits& visits) {
  fmt::print("{:<20}", "step");
  for (const auto& fault : domicile::sim::kStrikes) fmt::print("{:>10}", fault);
  fmt::print("\n");
  for (const auto& step : domicile::sim::steps()) {
    fmt::print("{:<20}", step);
    for (const auto& fault : domicile::sim::kStrikes) {
      const auto found = visits.find(step + " x " + fault);
      fmt::print("{:>10}", found == visits.end() ? 0 : found->second);
    }
    fmt::print("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = options_of(argc, argv);
  if (!options) {
    const bool help = argc == 2 && std::string_view(argv[1]) == "--help";
    fmt::print(help ? stdout : stderr, "{}", kUsage);
    return help ? 0 : 64;
  }
  if (options->replay) {
    tell(*options->replay, options->without);
    return run(*options->replay, {}, false, options->without).violation.empty() ? 0 : 4;
  }
  const auto begun = domicile::monotonic_now();
  const unsigned workers = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::future<Sum>> running;
  for (unsigned i = 0; i < workers; ++i)
    running.push_back(std::async(std::launch::async, [&, i] { return some(*options, i, workers); }));
  Sum sum;
  for (auto& each : running) sum.add(each.get());
  const double took = static_cast<double>(domicile::monotonic_now() - begun) / 1e6;
  tell_table(sum.visits);
  const int least = domicile::sim::least_visited(sum.visits);
  for (const auto& [seed, violation] : sum.violations) fmt::print("seed {}: {}\n", seed, violation);
  if (!sum.violations.empty()) tell_shrunk(sum.violations.front().first);
  fmt::print(
      "{} writes, {} openings, {} repaired copies, {} restores of the quorum, {} adoptions, {} disks lost or put back "
      "and "
      "{} writes with them; {:.0f} seeds/s on {} processors\n",
      sum.writes, sum.openings, sum.repaired, sum.restores, sum.adoptions, sum.disks, sum.lost,
      static_cast<double>(options->seeds) / took, workers);
  fmt::print("{{\"seeds\":{},\"violations\":{},\"coverage_min\":{},\"sim_to_real\":{:.0f}}}\n", options->seeds,
             sum.violations.size(), least, sum.simulated_s / took);
  const bool covered = options->seeds < kEnough || least >= kLeast;
  if (!covered) fmt::print(stderr, "a step was struck less than {} times by one of the faults\n", kLeast);
  return sum.violations.empty() && covered ? 0 : 4;
}
