#include "core/history/linear.hpp"

#include <algorithm>
#include <limits>
#include <set>

namespace domicile::history {
namespace {

struct Value {
  bool known = false;
  Held held;
  auto operator<=>(const Value&) const = default;
};

struct Configuration {
  std::vector<bool> done;
  Value value;
  auto operator<=>(const Configuration&) const = default;
};

// The value after the step; empty: it cannot have happened now.
std::optional<Value> after(const Value& value, const Step& step) {
  switch (step.act) {
    case Step::Act::read:
      if (value.known && value.held != step.read) return {};
      return Value{true, step.read};
    case Step::Act::write:
      return Value{true, step.value};
    case Step::Act::cas:
      if (value.known && value.held != step.expect) return {};
      return Value{true, step.value};
  }
  return {};
}

}  // namespace

Linear linearizable(const std::vector<Step>& all, const Start& initial, std::size_t patience) {
  std::vector<Step> steps = all;
  std::ranges::stable_sort(steps, {}, &Step::begin);
  std::set<Configuration> seen;
  std::vector<Configuration> stack{{std::vector<bool>(steps.size()), {initial.known, initial.held}}};
  while (!stack.empty()) {
    Configuration now = std::move(stack.back());
    stack.pop_back();
    if (!seen.insert(now).second) continue;
    if (seen.size() > patience) return Linear::undecided;
    // Nothing may take effect after something else, that has not yet, ended.
    Micros first_end = std::numeric_limits<Micros>::max();
    bool over = true;
    for (std::size_t i = 0; i < steps.size(); ++i)
      if (!now.done[i] && steps[i].certain) over = false, first_end = std::min(first_end, steps[i].end);
    if (over) return Linear::yes;
    for (std::size_t i = steps.size(); i-- > 0;) {  // the earliest is tried first: it comes off the stack first
      if (now.done[i] || steps[i].begin > first_end) continue;
      const auto value = after(now.value, steps[i]);
      if (!value) continue;
      Configuration next{now.done, *value};
      next.done[i] = true;
      stack.push_back(std::move(next));
    }
  }
  return Linear::no;
}

}  // namespace domicile::history
