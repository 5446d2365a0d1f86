#include "drill/headroom.hpp"

#include <sstream>
#include <thread>

#include "base/clock.hpp"
#include "base/file.hpp"

namespace domicile::drill {

namespace {

// What a switch needs for a moment on top: every client's new connections, and the writes that have waited.
constexpr double kRoom = 0.2;
constexpr Micros kPrompt = 12 * kSecond;  // for clients to be served promptly, connections included
constexpr Micros kLength = 2 * kSecond;   // of one look at the processors
constexpr int kLooks = 4;                 // connections are made at first, and copies catch up with a faster rate

Result<double> idle_under(const LoadSpec& load) {
  const auto running = TRY(Load::start(load));
  double idle = 0;
  for (int look = 0; look < kLooks && idle < kRoom; ++look) {
    const auto before = TRY(processor_time(TRY(read_file("/proc/stat"))));
    std::this_thread::sleep_for(std::chrono::microseconds(kLength));
    idle = idle_share(before, TRY(processor_time(TRY(read_file("/proc/stat")))));
  }
  return idle;
}

}  // namespace

Result<ProcessorTime> processor_time(std::string_view stat) {
  std::istringstream line{std::string(stat.substr(0, stat.find('\n')))};
  std::string name;
  line >> name;
  ProcessorTime time;
  // user, nice, system, idle, iowait, irq, softirq, steal; what guests took is in user already.
  std::uint64_t ticks = 0;
  int column = 0;
  for (; column < 8 && line >> ticks; ++column) {
    time.all += ticks;
    if (column == 3 || column == 4) time.idle += ticks;
  }
  if (name != "cpu" || column < 8) return fail(Kind::invalid_input, "/proc/stat does not begin with the processors");
  return time;
}

double idle_share(const ProcessorTime& before, const ProcessorTime& after) {
  if (after.all <= before.all || after.idle < before.idle) return 0;
  return static_cast<double>(after.idle - before.idle) / static_cast<double>(after.all - before.all);
}

Result<double> rate_with_room(const Field& field, const DrillSpec& spec, const Talk& talk) {
  LoadSpec load = TRY(load_for(field, spec));
  for (const int part : {1, 2}) {
    load.per_s = spec.per_s / part;
    std::string found = "not served promptly";
    if (warm_up(load, kPrompt)) {
      const double idle = TRY(idle_under(load));
      found = fmt::format("{:.0f} % of the processors idle", 100 * idle);
      if (idle >= kRoom) {
        talk(fmt::format("{:g} writes a second leave {}", load.per_s, found));
        return load.per_s;
      }
    }
    talk(fmt::format("{:g} writes a second are too many for this machine ({}): {:g} are tried", load.per_s, found,
                     load.per_s / 2));
  }
  return spec.per_s / 4;
}

}  // namespace domicile::drill
