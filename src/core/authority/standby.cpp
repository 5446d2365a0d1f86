#include "core/authority/standby.hpp"

#include <algorithm>

namespace domicile::authority {
namespace {

// Whoever may take it over from here, the home first. All of them hold it in full: a reduced copy is none of these.
std::vector<std::string> candidates(const StandbyQuestion& q) {
  std::vector<std::string> out;
  if (q.rules.home != q.region) out.push_back(q.rules.home);
  for (const auto& standby : q.rules.standbys)
    if (standby != q.region) out.push_back(standby);
  return out;
}

bool owns(const StandbyQuestion& q) {
  if (!q.record) return false;
  return q.record->mode == Mode::moving ? q.record->to == q.region : q.record->owner == q.region;
}

}  // namespace

std::string named_standby(const Record& record) {
  const std::string open = covered_by(record);
  return open.empty() ? covered_until_open(record) : open;
}

StandbyPlan plan_standby(const StandbyQuestion& q) {
  if (!owns(q)) return {};
  const std::string named = named_standby(*q.record);
  if (q.rules.rpo != 0) {  // it was 0 a moment ago: until the record has said otherwise
    if (named.empty()) return {};
    return {true, {named}, "until the record says that commits need not wait"};
  }
  const auto all = candidates(q);
  const auto live = std::ranges::find_if(all, [&](const auto& each) { return q.live.contains(each); });
  const auto other =
      std::ranges::find_if(all, [&](const auto& each) { return each != named && q.live.contains(each); });
  if (!named.empty() && !q.covering_gone) return {true, {named}, "commits wait for " + named};
  if (!named.empty() && other != all.end())
    return {true, {named, *other}, named + " does not confirm; " + *other + " is to take its place"};
  if (!named.empty()) return {true, {named}, named + " does not confirm, and no other standby does"};
  if (live != all.end()) return {true, {*live}, "commits wait for " + *live};
  if (q.rules.go_on || all.empty()) return {false, {}, "no standby confirms: writes are served without one"};
  return {true, {all.front()}, "no standby confirms: writes wait for " + all.front()};
}

}  // namespace domicile::authority
