// Which steps of which protocols there are to be struck.
#include <algorithm>
#include <limits>

#include "core/authority/switch_steps.hpp"
#include "sim.hpp"

namespace domicile::sim {

std::vector<std::string> steps() {
  std::vector<std::string> out{"idle",      "swap", "reopen", "compare_positions", "comeback_keep", "comeback_repair",
                               "first_rows"};
  std::set<std::string> done;
  while (const auto step = authority::next_drain_step(done)) done.emplace(authority::name_of(*step));
  while (const auto step = authority::next_open_step(done, false)) done.emplace(authority::name_of(*step));
  out.insert(out.end(), done.begin(), done.end());
  return out;
}

int least_visited(const Visits& visits) {
  int least = std::numeric_limits<int>::max();
  for (const auto& step : steps())
    for (const auto& fault : kStrikes) {
      const auto found = visits.find(step + " x " + fault);
      least = std::min(least, found == visits.end() ? 0 : found->second);
    }
  return least;
}

}  // namespace domicile::sim
