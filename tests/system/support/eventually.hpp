// Waiting in tests: for a condition, with a deadline, never for a time.
#pragma once
#include <unistd.h>

#include <functional>

#include "base/clock.hpp"

namespace domicile::test {

// True as soon as `condition` is; false when it is not within `timeout`.
// How long a test waits for what must come, on however slow a machine. What has to come in time says its own time.
inline constexpr Micros kPatient = 60 * kSecond;

inline bool eventually(const std::function<bool()>& condition, Micros timeout = kPatient,
                       Micros pause = 5 * kMillisecond) {
  for (const Micros until = monotonic_now() + timeout; monotonic_now() < until;
       ::usleep(static_cast<useconds_t>(pause)))
    if (condition()) return true;
  return condition();
}

}  // namespace domicile::test
