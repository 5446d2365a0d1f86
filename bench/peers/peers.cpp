// The same losses of a region for Domicile, Patroni and repmgr: the same clients, faults, latencies and machine.
// Patroni and repmgr once with their defaults and once tuned to the lab's detection time. docs/peers.md says what was
// set.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <map>

#include "arms.hpp"
#include "base/json.hpp"
#include "drill/measure.hpp"

using namespace domicile;
using namespace domicile::bench::peers;

namespace {

const std::vector<std::string> kArms{"domicile", "patroni", "patroni_tuned", "repmgr", "repmgr_tuned"};
const std::vector<std::string> kKinds{"kill", "pause", "cut"};

struct Options {
  int runs = 1, base = 12'000 + ::getpid() % 10'000;
  double per_s = 500;
  std::vector<std::string> arms = kArms, kinds = kKinds;
};

struct Sum {
  std::vector<std::optional<Micros>> rto, first;
  Micros rpo = 0, overlap = 0;
  std::size_t runs = 0, missing = 0, kept = 0, lost = 0, on_disk = 0, both_sides = 0, unknown = 0;
  std::vector<std::string> failures;
};
using Sums = std::map<std::pair<std::string, std::string>, Sum>;  // by arm and kind

constexpr const char* kUsage =
    "usage: bench/run peers [--runs N] [--only ARM] [--kind KIND] [--rate PER_S] [--base PORT]\n"
    "  --runs   losses of each kind and arm (1)\n"
    "  --only   domicile, patroni, patroni_tuned, repmgr or repmgr_tuned\n"
    "  --kind   kill, pause or cut\n"
    "  --rate   writes per second of all 20 clients (500)\n"
    "  --base   what is added to the lab's ports on this host\n"
    "Patroni and repmgr come from bench/packages.txt: scripts/setup --bench\n";

std::optional<int> number_of(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1) return {};
  return number;
}

bool among(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

std::optional<Options> options_of(const std::vector<std::string>& words) {
  Options options;
  if (words.size() % 2 != 0) return {};
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const std::string &name = words[i], &value = words[i + 1];
    const auto number = number_of(value);
    if (name == "--only" && among(kArms, value))
      options.arms = {value};
    else if (name == "--kind" && among(kKinds, value))
      options.kinds = {value};
    else if (name == "--runs" && number)
      options.runs = *number;
    else if (name == "--base" && number && *number < 57'000)
      options.base = *number;
    else if (name == "--rate" && number)
      options.per_s = *number;
    else
      return {};
  }
  return options;
}

// What an arm needs and this machine lacks, each by a file of its package.
std::string missing_packages(const std::vector<std::string>& arms) {
  std::string missing;
  const auto need = [&](const char* package, const char* file) {
    if (!fs::exists(file)) missing += fmt::format(" {}", package);
  };
  if (among(arms, "patroni") || among(arms, "patroni_tuned"))
    need("patroni", "/usr/bin/patroni"), need("haproxy", "/usr/sbin/haproxy"), need("etcd-server", "/usr/bin/etcd"),
        need("python3-etcd", "/usr/lib/python3/dist-packages/etcd/client.py");
  if (among(arms, "repmgr") || among(arms, "repmgr_tuned"))
    need("repmgr", "/usr/bin/repmgr"), need("postgresql-15-repmgr", "/usr/lib/postgresql/15/bin/repmgrd");
  return missing;
}

Result<std::unique_ptr<Arm>> bring_up(const std::string& arm, const ArmSpec& spec) {
  if (arm == "domicile") return domicile_arm(spec);
  const bool tuned = arm.ends_with("_tuned");
  return arm.starts_with("patroni") ? patroni(spec, tuned) : repmgr(spec, tuned);
}

double ms(Micros length) { return static_cast<double>(length) / 1000; }
std::string words(const std::optional<Micros>& length) { return length ? fmt::format("{:.0f}", ms(*length)) : "never"; }

void add(Sum& sum, const bench::peers::Outcome& outcome) {
  const Findings& found = outcome.findings;
  ++sum.runs;
  sum.rto.push_back(found.rto);
  sum.first.push_back(found.first);
  sum.rpo = std::max(sum.rpo, found.rpo);
  sum.overlap = std::max(sum.overlap, found.overlap);
  sum.missing += found.missing.size();
  sum.kept += found.kept;
  sum.lost += found.lost.size();
  sum.on_disk += outcome.on_disk;
  sum.both_sides += found.both_sides;
  sum.unknown += found.counts.unknown;
}

// One that never came back is longer than any that did.
std::optional<Micros> p50(const std::vector<std::optional<Micros>>& rto) {
  constexpr Micros kNever = 24 * 3600 * kSecond;
  std::vector<Micros> all;
  for (const auto& each : rto) all.push_back(each.value_or(kNever));
  const auto middle = drill::percentile(all, 0.5);
  return middle == kNever ? std::nullopt : middle;
}

void print_table(const Options& options, const Sums& sums) {
  fmt::print("\n{:<14} {:<6} {:>4} {:>8} {:>8} {:>8} {:>8} {:>6} {:>6} {:>8} {:>11} {:>8}\n", "arm", "fault", "runs",
             "first ms", "RTO ms", "RPO ms", "missing", "kept", "lost", "on disk", "both sides", "unknown");
  for (const auto& arm : options.arms)
    for (const auto& kind : options.kinds) {
      const Sum& sum = sums.at({arm, kind});
      if (sum.runs > 0)
        fmt::print("{:<14} {:<6} {:>4} {:>8} {:>8} {:>8.0f} {:>8} {:>6} {:>6} {:>8} {:>11} {:>8}\n", arm, kind,
                   sum.runs, words(p50(sum.first)), words(p50(sum.rto)), ms(sum.rpo), sum.missing, sum.kept, sum.lost,
                   sum.on_disk, sum.both_sides, sum.unknown);
      for (const auto& failure : sum.failures) fmt::print("{:<14} {:<6} FAILED: {}\n", arm, kind, failure);
    }
}

Json json_of(const Options& options, const Sums& sums) {
  Json all = Json::object();
  for (const auto& arm : options.arms) {
    Sum total;
    for (const auto& kind : options.kinds) {
      const Sum& sum = sums.at({arm, kind});
      total.runs += sum.runs;
      total.rto.insert(total.rto.end(), sum.rto.begin(), sum.rto.end());
      total.first.insert(total.first.end(), sum.first.begin(), sum.first.end());
      total.rpo = std::max(total.rpo, sum.rpo);
      total.missing += sum.missing, total.kept += sum.kept, total.lost += sum.lost;
      total.both_sides += sum.both_sides;
      for (const auto& failure : sum.failures) total.failures.push_back(fmt::format("{}: {}", kind, failure));
    }
    const auto rounded = [](const std::optional<Micros>& length) {
      return length ? Json(std::round(ms(*length))) : Json();
    };
    // Where a run failed, what it lost is not known: the sums of the others would pass for the whole.
    const auto whole = [&](std::size_t number) { return total.failures.empty() ? Json(number) : Json(); };
    all[arm] = {{"runs", total.runs},
                {"first_ms_p50", rounded(p50(total.first))},
                {"rto_ms_p50", rounded(p50(total.rto))},
                {"rpo_ms_max", total.runs > 0 ? Json(std::round(ms(total.rpo))) : Json()},
                {"missing", whole(total.missing)},
                {"kept", whole(total.kept)},
                {"lost", whole(total.lost)},
                {"both_sides_accepted", whole(total.both_sides)}};
    if (!total.failures.empty()) all[arm]["failed"] = total.failures;
  }
  return all;
}

struct Ground {
  lab::Isolation isolation;
  const Interrupts& interrupts;
  fs::path program = DOMICILE_BINARY;
};

Result<bench::peers::Outcome> one_loss(const Options& options, const Ground& ground, const std::string& arm,
                                       const std::string& kind, const Talk& talk) {
  const fs::path logs = ground.program.parent_path() / "peers-logs" / fmt::format("{}-{}", arm, kind);
  talk("comes up");
  const auto up = TRY(bring_up(arm, {options.base, ground.isolation, ground.interrupts, ground.program, logs}));
  Script script;
  script.kind = kind, script.per_s = options.per_s;
  return lose_region(*up, script, ground.interrupts, talk);
}

std::string told(const bench::peers::Outcome& outcome) {
  const Findings& found = outcome.findings;
  return fmt::format(
      "first acknowledged {} ms, RTO {} ms, RPO {:.0f} ms; {} missing, {} kept, {} lost, {} of them still on its disk; "
      "{} accepted on both sides over {:.1f} s; {} unknown, {} refused, {} acknowledged",
      words(found.first), words(found.rto), ms(found.rpo), found.missing.size(), found.kept, found.lost.size(),
      outcome.on_disk, found.both_sides, ms(found.overlap) / 1000, found.counts.unknown, found.counts.refused,
      found.counts.acknowledged);
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = options_of({argv + 1, argv + argc});
  if (!options) {
    fmt::print(stderr, "{}", kUsage);
    return 64;
  }
  if (const std::string missing = missing_packages(options->arms); !missing.empty()) {
    fmt::print(stderr, "missing packages:{}\nfix: scripts/setup --bench\n", missing);
    return 69;
  }
  const auto isolation = lab::prepare_isolation();  // before any thread
  const Interrupts interrupts;
  const Ground ground{isolation, interrupts};
  Sums sums;
  bool whole = true;
  for (const auto& arm : options->arms)
    for (const auto& kind : options->kinds)
      for (int i = 0; i < options->runs; ++i) {
        Sum& sum = sums[{arm, kind}];
        const Talk talk = [&, begun = monotonic_now()](const std::string& what) {
          fmt::print(stderr, "{:<14} {:<6} {:6.1f} s  {}\n", arm, kind, ms(monotonic_now() - begun) / 1000, what);
        };
        const auto outcome = one_loss(*options, ground, arm, kind, talk);
        if (outcome) {
          add(sum, *outcome);
          talk(told(*outcome));
          continue;
        }
        whole = false;
        sum.failures.push_back(one_line(outcome.error()));
        talk("FAILED: " + sum.failures.back());
        if (interrupts.came()) return 130;
      }
  print_table(*options, sums);
  fmt::print("{}\n", dump(json_of(*options, sums)));
  return whole ? 0 : 1;
}
