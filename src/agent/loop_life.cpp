#include "agent/loop_life.hpp"

#include <algorithm>

namespace domicile::agent {

std::map<std::string, std::int64_t> LoopLives::passes() const {
  std::map<std::string, std::int64_t> out;
  for (const auto& loop : loops_) {
    const auto [entry, first] = out.try_emplace(loop.name, loop.life->passes());
    if (!first) entry->second = std::min(entry->second, loop.life->passes());
  }
  return out;
}

std::vector<std::string> LoopLives::hung(Micros now) const {
  std::vector<std::string> out;
  for (const auto& loop : loops_)
    if (now - loop.life->alive_at() >= loop.silence && std::ranges::find(out, loop.name) == out.end())
      out.push_back(loop.name);
  return out;
}

}  // namespace domicile::agent
