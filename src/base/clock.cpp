#include "base/clock.hpp"

#include <fmt/format.h>
#include <time.h>

#include <fstream>

namespace domicile {
namespace {
Micros read_clock(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return static_cast<Micros>(t.tv_sec) * kSecond + t.tv_nsec / 1000;
}
}  // namespace

Micros monotonic_now() { return read_clock(CLOCK_MONOTONIC); }
Micros boottime_now() { return read_clock(CLOCK_BOOTTIME); }
Micros wall_now() { return read_clock(CLOCK_REALTIME); }

std::string host_boot_id() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(in, id);
  return id;
}

BootInstant boot_instant_now() { return {host_boot_id(), boottime_now()}; }

std::string iso8601(Micros wall) {
  const time_t seconds = wall / kSecond;
  tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (wall % kSecond) / 1000);
}

}  // namespace domicile
