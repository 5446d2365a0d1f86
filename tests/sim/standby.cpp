// With rpo 0: what commits wait for, in the database and by the agent. What is decided is the core's (plan_standby, and
// tell_cover in decide).
#include "core/authority/standby.hpp"

#include <algorithm>

#include "world.hpp"

namespace domicile::sim {

constexpr Micros kLive = kSecond;

// A commit that waits for nobody is acknowledged at once. Nobody looks at the lease again: the portable guard does not.
void World::acknowledge(Site& s, std::int64_t id) {
  if (policy_.rpo_zero && !s.wait_for.empty()) {
    s.waiting.emplace_back(id, s.log.size());
    return;
  }
  acknowledged_.push_back(id);
  if (policy_.rpo_zero) promised_.push_back(id);
}

void World::confirm(Site& source, const Site& receiver) {
  if (cuts_.contains({receiver.name, source.name})) return;
  source.confirmed[receiver.name] = {receiver.position, local(source)};
  release(source);
}

void World::release(Site& s) {
  std::erase_if(s.waiting, [&](const auto& commit) {
    const bool there = std::ranges::all_of(s.wait_for, [&](const auto& name) {
      const auto found = s.confirmed.find(name);
      return found != s.confirmed.end() && found->second.first >= commit.second;
    });
    if (there) acknowledged_.push_back(commit.first), promised_.push_back(commit.first);
    return there;
  });
}

// Their sessions are gone, and with them whoever could have been told.
void World::end_waiting(Site& s) { s.waiting.clear(); }

Cover World::cover_of(const Site& s) const {
  Cover cover;
  const auto& a = s.agent;
  const auto it = a.view ? a.view->authorities.find(kResidency) : decltype(a.view->authorities.end()){};
  if (!policy_.rpo_zero || !a.view || it == a.view->authorities.end()) return cover;
  const std::string named = named_standby(it->second.value);
  const auto last = [&](const std::string& name) {
    const auto found = s.confirmed.find(name);
    return found == s.confirmed.end() ? std::numeric_limits<Micros>::min() : found->second.second;
  };
  cover.lost = !named.empty() && last(named) < local(s) - timing_.ttl;
  cover.broken = !named.empty() && !s.wait_for.contains(named);
  if (!a.waits_since) return cover;
  for (const auto& name : s.wait_for)
    if (last(name) >= local(s) - kLive && (policy_.cover_early || s.confirmed.at(name).first >= *a.waits_since) &&
        (cover.proven.empty() || name != named))
      cover.proven = name;
  return cover;
}

void World::tend_standby(Site& s) {
  Agent& a = s.agent;
  if (!policy_.rpo_zero || !a.view || !a.distrusted.empty() || !s.database) return;
  const auto it = a.view->authorities.find(kResidency);
  std::optional<Record> seen;
  if (it != a.view->authorities.end()) seen = it->second.value;
  if (policy_.uncover_unopened && seen && !covered_until_open(*seen).empty()) seen->covered.reset();
  StandbyQuestion question{rules_, s.name, seen, {}, cover_of(s).lost};
  for (const auto& [name, confirmed] : s.confirmed)
    if (confirmed.second >= local(s) - kLive) question.live.insert(name);
  const StandbyPlan plan = plan_standby(question);
  std::set<std::string> wanted(plan.wait_for.begin(), plan.wait_for.end());
  if (policy_.uncover_late && rules_.go_on && question.covering_gone) wanted.clear();
  if (plan.why.empty() && !policy_.release_to_nobody) end_waiting(s);
  const bool adds = !std::ranges::includes(s.wait_for, wanted);
  if (adds || !a.waits_since) a.waits_since = s.log.size();
  if (wanted.empty()) a.waits_since.reset();
  if (wanted == s.wait_for) return;
  tell(fmt::format("{}'s commits wait for {}", s.name, fmt::join(wanted, " and ")));
  s.wait_for = std::move(wanted);
  release(s);
}

// Whoever opens, unless a person chose it, has everything that was acknowledged.
void World::check_acknowledged_here(const Site& s) {
  if (!policy_.rpo_zero) return;
  std::set<std::int64_t> here;
  for (const auto& entry : s.log) here.insert(entry.id);
  const bool chosen = record() != nullptr && record()->cause == Cause::adopted;
  if (chosen) std::erase_if(promised_, [&](auto id) { return !here.contains(id); });
  for (const auto id : promised_)
    if (!here.contains(id)) return violated(fmt::format("{} opens without the acknowledged write {}", s.name, id));
}

}  // namespace domicile::sim
