// The faults that a failing seed does not take.
#include "sim.hpp"

namespace domicile::sim {

Faults needless(std::uint64_t seed, const Policy& policy) {
  const int faults = run(seed, policy).faults;
  Faults out;
  for (bool found = true; found;) {
    found = false;
    for (int number = 1; number <= faults; ++number) {
      if (out.contains(number)) continue;
      out.insert(number);
      if (run(seed, policy, false, out).violation.empty())
        out.erase(number);
      else
        found = true;
    }
  }
  return out;
}

}  // namespace domicile::sim
