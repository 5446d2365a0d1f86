#include "agent/quorum_repair.hpp"

#include "agent/precheck.hpp"

namespace domicile::agent {

namespace {

Result<std::vector<authority::SiteKnows>> ask_sites(const RepairSetup& setup, const std::string& residency) {
  const auto all = setup.peers->all_epochs(2 * kSecond);
  const auto sites = setup.config->sites.size() + 1;
  if (all.size() * 2 <= sites)
    return fail(
        Kind::unsafe,
        fmt::format("only {} of {} sites answered; a higher epoch may be on the others' disks", all.size(), sites),
        "bring a majority of the agents up, then adopt");
  std::vector<authority::SiteKnows> out;
  for (const auto& [site, epochs] : all)
    if (const auto known = epochs.find(residency); known != epochs.end())
      out.push_back({known->second.epoch, known->second.owner});
  return out;
}

authority::TargetCopy copy_of(const RepairSetup& setup, const std::string& region, const std::string& residency) {
  if (region != setup.config->region) return ask_copy(*setup.peers, region, residency);
  authority::TargetCopy target;
  target.copy = setup.disk->copy(residency);
  if (setup.copies == nullptr) return target;
  const auto copies = setup.copies->get();
  if (const auto seen = copies->find(residency); seen != copies->end()) target.complete = seen->second.health.complete;
  return target;
}

Result<Json> adopt_one(const RepairSetup& setup, authority::Quorum& quorum, const authority::Rules& rules,
                       const AdoptBody& question, const std::string& who) {
  const std::string& name = rules.residency;
  const auto& owner = question.owner;
  const auto view = TRY(quorum.read());
  const auto stored = view.authorities.find(name);
  auto sites = TRY(ask_sites(setup, name));
  authority::AdoptQuestion asked{rules, {}, std::move(sites), fresh_switch_id()};
  if (stored != view.authorities.end()) asked.record = stored->second.value;
  std::optional<authority::NamedOwner> named;
  if (!owner.empty()) named = authority::NamedOwner{owner, copy_of(setup, owner, name)};
  const auto next = TRY(authority::adopt(asked, named));
  if (!next) return Json{{"residency", name}, {"adopted", false}, {"epoch", asked.record->epoch}};
  authority::Swap swap{name, {}, *next};
  if (stored != view.authorities.end()) swap.expected = stored->second.text;
  const auto outcome = TRY(quorum.swap(swap));
  if (!outcome.applied) return fail(Kind::conflict, "the record of " + name + " has changed meanwhile", "adopt again");
  setup.peers->tell(name, authority::to_text(*next));
  setup.events->ordered("quorum.adopted", fmt::format("{} at epoch {}", next->owner, next->epoch),
                        fmt::format("by {}: {}", who, question.reason), name, next->epoch, next->switch_id);
  return Json{{"residency", name}, {"adopted", true}, {"epoch", next->epoch}, {"owner", next->owner}};
}

}  // namespace

Result<Json> adopt_quorum(const RepairSetup& setup, const AdoptBody& question, const std::string& who) {
  const auto& only = question.residency;
  auto quorum = setup.make_quorum();
  Json out = Json::array();
  bool found = only.empty();
  for (const auto& rules : setup.rules) {
    if (!only.empty() && rules.residency != only) continue;
    found = true;
    out.push_back(TRY(adopt_one(setup, *quorum, rules, question, who)));
  }
  if (!found) return fail(Kind::invalid_input, "no residency is called " + only);
  setup.beat->look_now();
  return Json{{"adopted", out}};
}

}  // namespace domicile::agent
