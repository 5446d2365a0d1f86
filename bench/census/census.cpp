// How fast the census is: bench/run census [PATH…] searches the given places, or 64 MB of each of four kinds that it
// writes itself, for 100 canaries that are not there. Bar: 3 GB in less than two minutes, so 25 MB/s.
#include "census/census.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>
#include <random>

#include "base/temp_dir.hpp"

using namespace domicile;
using namespace domicile::census;

namespace {

constexpr std::size_t kSize = 64ULL << 20;
constexpr double kBar = 25;  // MB/s

std::string random_bytes() {
  std::mt19937_64 random(1);
  std::string out(kSize, '\0');
  for (std::size_t at = 0; at < kSize; at += 8) {
    const auto eight = random();
    std::memcpy(out.data() + at, &eight, 8);
  }
  return out;
}

// As nginx and PostgreSQL write it: words, numbers, ids, an escape now and then.
std::string log_lines() {
  std::mt19937_64 random(2);
  std::string out;
  while (out.size() < kSize)
    out += fmt::format(
        "2026-11-27T10:00:00.{:03}Z INFO [{}] request /v1/orders/{:016x}?q=a%20b tenant=acme status=200 bytes={} "
        "{{\"msg\":\"a \\\"quoted\\\" word\",\"trace\":\"{:016x}{:016x}\"}}\n",
        random() % 1000, random() % 30000, random(), random() % 5000, random(), random());
  return out;
}

// Small numbers, as headers and integer columns are.
std::string small_numbers() {
  std::mt19937_64 random(3);
  std::string out(kSize, '\0');
  for (std::size_t at = 0; at < kSize; at += 4) {
    const auto number = static_cast<std::uint32_t>(random() % 300);
    std::memcpy(out.data() + at, &number, 4);
  }
  return out;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double measure(const std::string& name, const fs::path& path, const std::vector<Canary>& canaries, Json& out) {
  const double cpu = cpu_seconds();
  const auto report = census::census({{name, path}}, canaries);
  const double speed = static_cast<double>(report.searched_bytes) / 1e6 / report.seconds;
  // Of one processor: what does not depend on what else the machine does.
  const double of_one = static_cast<double>(report.searched_bytes) / 1e6 / (cpu_seconds() - cpu);
  out[name] = {{"mb_per_s", speed},
               {"mb_per_cpu_s", of_one},
               {"bytes", report.searched_bytes},
               {"decoded_bytes", report.decoded_bytes},
               {"seconds", report.seconds},
               {"unsearched", to_json(report)["unsearched"]},
               {"hits", report.hits.size()}};
  std::fprintf(stderr, "%s: %.0f MB/s, %.0f MB/s of one processor\n", name.c_str(), speed, of_one);
  return speed;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Canary> canaries;
  for (int i = 0; i < 100; ++i) canaries.push_back(make_canary(std::to_string(i)).value());
  Json out;
  double slowest = 1e9;
  for (int i = 1; i < argc; ++i) slowest = std::min(slowest, measure(argv[i], argv[i], canaries, out));
  if (argc == 1) {
    const TempDir dir;
    const std::vector<std::pair<std::string, std::string (*)()>> kinds = {
        {"random", random_bytes}, {"log", log_lines}, {"numbers", small_numbers}, {"zeros", [] {
                                                                                     return std::string(kSize, '\0');
                                                                                   }}};
    for (const auto& kind : kinds) {
      // In four files: one thread takes one file.
      const std::string bytes = kind.second();
      fs::create_directories(dir.path() / kind.first);
      for (std::size_t part = 0; part < 4; ++part)
        if (!write_file(dir.path() / kind.first / std::to_string(part), bytes.substr(part * kSize / 4, kSize / 4)))
          return 1;
      slowest = std::min(slowest, measure(kind.first, dir.path() / kind.first, canaries, out));
      fs::remove_all(dir.path() / kind.first);
    }
  }
  out["held"] = slowest >= kBar;
  std::puts(out.dump().c_str());
  return slowest >= kBar ? 0 : 1;
}
