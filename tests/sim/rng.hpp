// Numbers by chance that a seed repeats: splitmix64.
#pragma once
#include <cstdint>

#include "base/clock.hpp"

namespace domicile::sim {

struct Rng {
  std::uint64_t state;
  std::uint64_t next() {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  Micros between(Micros low, Micros high) {
    return low + static_cast<Micros>(next() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool one_in(int n) { return next() % static_cast<std::uint64_t>(n) == 0; }
};

}  // namespace domicile::sim
