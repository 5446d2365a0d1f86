// Clocks as values: pure code takes them as arguments, only the agent and the tools read them.
#pragma once
#include <compare>
#include <cstdint>
#include <string>

namespace domicile {

using Micros = std::int64_t;  // a duration or an instant, microseconds
inline constexpr Micros kMillisecond = 1'000;
inline constexpr Micros kSecond = 1'000'000;

// CLOCK_BOOTTIME of one boot of one host. Instants of different boots cannot be compared, and so no lease outlives a
// boot.
struct BootInstant {
  std::string boot_id;  // /proc/sys/kernel/random/boot_id of the host whose clock it is
  Micros at = 0;        // microseconds since that boot, suspend included
  bool operator==(const BootInstant&) const = default;
};

Micros monotonic_now();      // CLOCK_MONOTONIC: for durations inside this process
Micros boottime_now();       // CLOCK_BOOTTIME
Micros wall_now();           // CLOCK_REALTIME, since 1970; only for people and markers
std::string host_boot_id();  // empty where /proc does not tell
BootInstant boot_instant_now();

std::string iso8601(Micros wall);  // 2026-01-31T12:00:00.123Z

}  // namespace domicile
