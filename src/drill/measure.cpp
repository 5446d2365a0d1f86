#include "drill/measure.hpp"

#include <algorithm>
#include <cmath>

namespace domicile::drill {
namespace {

bool promptly(const Write& write) {
  return write.outcome == Outcome::acknowledged && write.done - write.intended <= kPromptly;
}

// Writes by intended time, with running counts, so that every window is answered by two binary searches.
struct Timeline {
  std::vector<Micros> due;
  std::vector<std::size_t> prompt_before;  // one more than `due`

  explicit Timeline(std::span<const Write> writes) {
    std::vector<std::pair<Micros, bool>> sorted;
    for (const Write& write : writes) sorted.emplace_back(write.intended, promptly(write));
    std::sort(sorted.begin(), sorted.end());
    prompt_before.push_back(0);
    for (const auto& [at, prompt] : sorted) {
      due.push_back(at);
      prompt_before.push_back(prompt_before.back() + (prompt ? 1 : 0));
    }
  }
  std::size_t index(Micros at) const {
    return static_cast<std::size_t>(std::lower_bound(due.begin(), due.end(), at) - due.begin());
  }
  // A second without any offered write proves nothing.
  bool served(Micros begin) const {
    const std::size_t from = index(begin), to = index(begin + kWindow);
    if (from == to) return false;
    return static_cast<double>(prompt_before[to] - prompt_before[from]) >= kServed * static_cast<double>(to - from);
  }
  // Only a write that fell due later shows that the load went on through the whole of it.
  bool steadily(Micros begin) const {
    if (due.empty() || due.back() < begin + kSteadily) return false;
    for (Micros at = begin; at < begin + kSteadily; at += kWindow)
      if (!served(at)) return false;
    return true;
  }
};

}  // namespace

std::optional<Micros> rto(std::span<const Write> writes, Micros fault) {
  const Timeline timeline(writes);
  if (timeline.steadily(fault)) return 0;
  for (std::size_t i = timeline.index(fault); i < timeline.due.size(); ++i)
    if (timeline.steadily(timeline.due[i])) return timeline.due[i] - fault;
  return {};
}

Loss loss(std::span<const Write> writes, const std::set<std::string>& readable, Micros fault) {
  Loss result;
  std::vector<std::pair<Micros, std::string>> missing;
  for (const Write& write : writes) {
    if (write.outcome != Outcome::acknowledged) continue;
    if (readable.contains(write.id))
      ++result.readable;
    else
      missing.emplace_back(write.done, write.id);
  }
  std::sort(missing.begin(), missing.end());
  if (!missing.empty()) result.rpo = std::max(fault, missing.back().first) - missing.front().first;
  for (auto& [at, id] : missing) result.missing.push_back(std::move(id));
  return result;
}

std::vector<Micros> waits(std::span<const Write> writes, Micros hold, Micros release) {
  std::vector<Micros> result;
  for (const Write& write : writes)
    if (write.intended >= hold && write.intended <= release && write.outcome != Outcome::unknown)
      result.push_back(write.done - write.intended);
  return result;
}

std::optional<Micros> percentile(std::vector<Micros> values, double share) {
  if (values.empty()) return {};
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size()) - 1e-9));
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(std::clamp<std::size_t>(rank, 1, values.size()) - 1);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

Counts count(std::span<const Write> writes) {
  Counts counts{.offered = writes.size()};
  for (const Write& write : writes) {
    if (write.outcome == Outcome::acknowledged) ++counts.acknowledged;
    if (write.outcome == Outcome::refused) ++counts.refused;
    if (write.outcome == Outcome::unknown) ++counts.unknown;
  }
  return counts;
}

}  // namespace domicile::drill
