#include "core/authority/homeward.hpp"

#include <algorithm>

namespace domicile::authority {

namespace {

// Did the owner take it from one that was lost? Since then it may have gone on by itself, at higher epochs.
bool taken_over(const Record& record) {
  if (record.cause != Cause::takeback) return record.cause == Cause::automatic || record.cause == Cause::approved;
  auto first = record.history.rbegin();  // of the owner's epochs without another owner's in between
  while (first != record.history.rend() && first->owner == record.owner && !first->base) ++first;
  if (first == record.history.rend() || first->owner != record.owner) return false;
  const auto before = std::next(first);  // its own: a disk that was put back, and a person who accepted that
  return before == record.history.rend() || before->owner != record.owner;
}

}  // namespace

bool away_from_home(const Rules& rules, const Record& record, const std::string& region) {
  const bool lost = taken_over(record);
  return rules.failback && lost && record.mode == Mode::serving && record.owner == region && region != rules.home;
}

Homeward homeward(const HomewardQuestion& q) {
  const std::string& home = q.rules.home;
  const auto fit = precheck({q.rules, q.record, home, q.home.copy, {}, false});
  if (!fit) return {false, fmt::format("goes home when it can: {}", fit.error().what)};
  // Salvage is compared with an owner's rows. Once home owns them itself nobody can do that any more.
  if (!q.home.salvage_open) return {false, fmt::format("goes home when {} says what salvage it keeps", home)};
  if (*q.home.salvage_open != 0)
    return {false, fmt::format("goes home when {} salvaged rows at {} are decided: domicile salvage list",
                               *q.home.salvage_open, home)};
  const Micros since = q.fit_since.value_or(q.now), quiet = q.rules.failback.value_or(0);
  const Micros left = since + quiet - q.now;
  if (left > 0)
    return {false, fmt::format("goes home to {} in {} s, if nothing happens", home, (left + kSecond - 1) / kSecond),
            since};
  return {true, fmt::format("goes home to {}", home), since};
}

}  // namespace domicile::authority
