// Is there an order of a register's operations in which each takes effect at one instant between its beginning and its
// end, and every answer is true? The search of Wing and Gong, with the memory of Lowe: no configuration (which have
// taken effect, and the value then) is tried twice. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.hpp"

namespace domicile::history {

// What a register holds; empty: nobody has written it.
using Held = std::optional<std::int64_t>;

struct Step {
  enum class Act { read, write, cas } act = Act::read;
  Held read;                // read: the answer
  std::int64_t value = 0;   // write, cas: the new value
  std::int64_t expect = 0;  // cas: the old one
  Micros begin = 0, end = 0;
  bool certain = true;  // it happened; else it may have, at any time after its beginning, or never
};

enum class Linear {
  yes,
  no,
  undecided,  // the search became too long
};

// `initial`: what it holds before; without a value nobody knows, and the first operation that tells settles it.
struct Start {
  bool known = false;
  Held held;
};
Linear linearizable(const std::vector<Step>& steps, const Start& initial, std::size_t patience = 2'000'000);

}  // namespace domicile::history
