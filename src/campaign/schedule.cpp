#include "campaign/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

namespace domicile::campaign {
namespace {

constexpr std::array<std::string_view, 15> kNames = {
    "kill-site", "pause-site",  "isolate", "isolate-all", "kill-program", "pause-program", "agent-restart", "etcd-loss",
    "cut",       "cut-one-way", "flap",    "slow",        "full-disk",    "clock-step",    "planned-switch"};
constexpr std::array<const char*, 5> kPrograms = {"postgres", "agent", "gate", "gateway", "demo"};
constexpr Micros kCalm = 10 * kSecond;  // after a region has returned

// How often each kind is drawn.
constexpr std::array<int, 15> kWeights = {4, 3, 3, 1, 4, 2, 2, 2, 2, 2, 1, 1, 2, 2, 4};

bool takes_region(FaultKind kind) {
  switch (kind) {
    case FaultKind::kill_site:
    case FaultKind::pause_site:
    case FaultKind::isolate:
    case FaultKind::isolate_all:
    case FaultKind::etcd_loss:
    case FaultKind::full_disk:
      return true;
    default:
      return false;
  }
}

// No std::uniform_int_distribution: each library draws differently from the same seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(most - least + 1));
  }
  Micros milliseconds(std::int64_t least, std::int64_t most) { return between(least, most) * kMillisecond; }
  template <class List>
  auto one_of(const List& list) {
    return list[static_cast<std::size_t>(between(0, static_cast<std::int64_t>(list.size()) - 1))];
  }
  FaultKind kind() {
    int total = 0;
    for (const int weight : kWeights) total += weight;
    auto left = between(1, total);
    std::size_t i = 0;
    while ((left -= kWeights[i]) > 0) ++i;
    return static_cast<FaultKind>(i);
  }

 private:
  std::mt19937_64 random_;
};

Fault draw(Dice& dice, FaultKind kind, const Ground& ground) {
  Fault fault;
  fault.kind = kind;
  fault.site = dice.one_of(kind == FaultKind::etcd_loss ? ground.sites : ground.regions);
  fault.length = dice.milliseconds(1000, 5000);
  switch (kind) {
    case FaultKind::kill_site:
    case FaultKind::pause_site:
    case FaultKind::isolate:
    case FaultKind::isolate_all:
      fault.length = dice.milliseconds(3000, 14000);  // shorter than a lease and longer
      break;
    case FaultKind::kill_program:
    case FaultKind::pause_program:
      fault.other = dice.one_of(kPrograms);
      fault.length = dice.milliseconds(1000, 8000);
      break;
    case FaultKind::agent_restart:
      fault.other = "agent", fault.length = 1;
      break;
    case FaultKind::etcd_loss:
      fault.other = "etcd", fault.length = dice.milliseconds(2000, 10000);
      break;
    case FaultKind::cut:
    case FaultKind::cut_one_way:
    case FaultKind::flap:
    case FaultKind::slow:
      do fault.other = dice.one_of(ground.sites);
      while (fault.other == fault.site);
      fault.length = dice.milliseconds(2000, 9000);
      if (kind == FaultKind::flap) fault.figure = dice.between(300, 2000);
      if (kind == FaultKind::slow) fault.figure = dice.between(2, 50) * 1000;
      break;
    case FaultKind::clock_step:
      fault.figure = dice.milliseconds(500, 120'000) * (dice.between(0, 1) == 0 ? -1 : 1);
      fault.length = dice.milliseconds(2000, 8000);
      break;
    case FaultKind::planned_switch:
      fault.site = dice.one_of(ground.residencies), fault.length = 0;
      break;
    case FaultKind::full_disk:
      break;
  }
  return fault;
}

}  // namespace

std::string_view name_of(FaultKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

std::string text_of(const Fault& fault) {
  std::string text = fmt::format("{} {}", name_of(fault.kind), fault.site);
  if (!fault.other.empty()) text += " " + fault.other;
  if (fault.kind == FaultKind::flap) text += fmt::format(" every {} ms", fault.figure);
  if (fault.kind == FaultKind::slow) text += fmt::format(" to {} bytes/s", fault.figure);
  if (fault.kind == FaultKind::clock_step)
    text += fmt::format(" by {:.1f} s", static_cast<double>(fault.figure) / kSecond);
  return text;
}

std::vector<Fault> draw_schedule(std::uint64_t seed, Micros length, const Ground& ground) {
  Dice dice(seed);
  std::vector<Fault> faults;
  Micros whole = 0;  // from then on every region is there again
  for (Micros now = 2 * kSecond; now < length; now += dice.milliseconds(1500, 5000)) {
    Fault fault;
    do fault = draw(dice, dice.kind(), ground);
    while (takes_region(fault.kind) && now < whole);
    fault.at = now;
    fault.length = std::min(fault.length, length - now);
    if (takes_region(fault.kind)) whole = now + fault.length + kCalm;
    faults.push_back(std::move(fault));
  }
  return faults;
}

std::string table(const std::vector<Fault>& faults) {
  std::string out;
  for (const Fault& fault : faults) {
    const auto seconds = [](Micros span) { return static_cast<double>(span) / kSecond; };
    out += fmt::format("{:7.1f} s  ", seconds(fault.at));
    out +=
        fault.length < kMillisecond ? fmt::format("{:>10}", "") : fmt::format("for {:4.1f} s", seconds(fault.length));
    out += "  " + text_of(fault) + "\n";
  }
  return out;
}

}  // namespace domicile::campaign
