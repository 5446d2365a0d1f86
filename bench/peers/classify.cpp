#include "classify.hpp"

#include <algorithm>

namespace domicile::bench::peers {
namespace {

using drill::Outcome;
using drill::Write;

bool holds(const Write& write, const std::set<std::string>& ids) { return ids.contains(write.id); }

std::vector<Write> join(std::vector<Write> writes, const std::vector<Write>& more) {
  writes.insert(writes.end(), more.begin(), more.end());
  return writes;
}

}  // namespace

std::optional<Micros> opened(const History& history) {
  std::optional<Micros> first;
  if (!history.readable) return first;
  for (const Write& write : history.outside)
    if (write.outcome == Outcome::acknowledged && write.intended >= history.struck && holds(write, *history.readable))
      first = std::min(first.value_or(write.done), write.done);
  return first;
}

std::optional<Findings> classify(const History& history) {
  if (!history.readable) return {};
  Findings found;
  found.rto = drill::rto(history.outside, history.fault);
  const auto during = join(history.outside, history.inside), all = join(during, history.after);
  found.rpo = drill::loss(during, *history.readable, history.fault).rpo;
  found.counts = drill::count(all);
  const auto first = opened(history);
  if (first) found.first = *first - history.fault;
  for (const Write& write : all) {
    if (write.outcome != Outcome::acknowledged || holds(write, *history.readable)) continue;
    found.missing.push_back(write.id);
    if (holds(write, history.kept))
      ++found.kept;
    else
      found.lost.push_back(write.id);
    if (!first || write.done < *first) continue;
    ++found.both_sides;
    found.overlap = std::max(found.overlap, write.done - *first);
  }
  return found;
}

}  // namespace domicile::bench::peers
