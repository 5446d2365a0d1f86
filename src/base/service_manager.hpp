// What a daemon tells systemd: ready, alive, stopping. Without systemd nothing happens.
#pragma once
#include <optional>
#include <string_view>

#include "base/clock.hpp"

namespace domicile {

// "READY=1", "WATCHDOG=1", "STOPPING=1", "STATUS=…". Never waits; false: nobody listens.
bool notify_service_manager(std::string_view state);
// How often WATCHDOG=1 must be said at the latest; say it twice as often. Empty: nobody waits for it.
std::optional<Micros> watchdog_interval();

}  // namespace domicile
