#include "agent/quorum_repair.hpp"

namespace domicile::agent {

namespace {

Result<KnownEpoch> highest_known(const RepairSetup& setup, const std::string& residency) {
  const auto all = setup.peers->all_epochs(2 * kSecond);
  const auto sites = setup.config->sites.size() + 1;
  if (all.size() * 2 <= sites)
    return fail(
        Kind::unsafe,
        fmt::format("only {} of {} sites answered; a higher epoch may be on the others' disks", all.size(), sites),
        "bring a majority of the agents up, then adopt");
  KnownEpoch highest;
  for (const auto& [site, epochs] : all)
    if (const auto known = epochs.find(residency); known != epochs.end() && known->second.epoch > highest.epoch)
      highest = known->second;
  return highest;
}

Result<Json> adopt_one(const RepairSetup& setup, authority::Quorum& quorum, const topology::Residency& residency,
                       const Json& question, const std::string& who) {
  const std::string& name = residency.name;
  const auto reason = TRY(member<std::string>(question, "reason"));
  const auto view = TRY(quorum.read());
  const auto stored = view.authorities.find(name);
  const auto highest = TRY(highest_known(setup, name));
  const authority::Epoch seen = stored == view.authorities.end() ? 0 : stored->second.value.epoch;
  // An epoch that the quorum knows and no disk does was never opened, and still must not be used twice.
  const authority::Epoch base = std::max(seen, highest.epoch);
  const auto owner =
      TRY(member_or<std::string>(question, "owner", highest.owner.empty() ? residency.home.str() : highest.owner));
  if (!topology::may_own(residency, owner))
    return fail(Kind::refused, fmt::format("{} may not own {}", owner, name), "choose its home or a standby");
  const bool behind = seen < highest.epoch;
  if (!behind && stored != view.authorities.end() && !question.contains("owner"))
    return Json{{"residency", name}, {"adopted", false}, {"epoch", seen}};
  const auto next = authority::adopted_record(base, owner, fresh_switch_id());
  authority::Swap swap{name, {}, next};
  if (stored != view.authorities.end()) swap.expected = stored->second.text;
  const auto outcome = TRY(quorum.swap(swap));
  if (!outcome.applied) return fail(Kind::conflict, "the record of " + name + " has changed meanwhile", "adopt again");
  setup.peers->tell(name, authority::to_text(next));
  setup.events->add("quorum.adopted", fmt::format("{} at epoch {} by {}: {}", owner, next.epoch, who, reason), name,
                    next.epoch, next.switch_id);
  return Json{{"residency", name}, {"adopted", true}, {"epoch", next.epoch}, {"owner", owner}};
}

}  // namespace

Result<Json> adopt_quorum(const RepairSetup& setup, const Json& question, const std::string& who) {
  if (TRY(member<std::string>(question, "reason")).empty())
    return fail(Kind::invalid_input, "adopting a quorum needs a reason");
  const auto only = TRY(member_or<std::string>(question, "residency", ""));
  auto quorum = setup.make_quorum();
  Json out = Json::array();
  bool found = only.empty();
  for (const auto& residency : setup.topology->residencies) {
    if (!only.empty() && residency.name.str() != only) continue;
    found = true;
    out.push_back(TRY(adopt_one(setup, *quorum, residency, question, who)));
  }
  if (!found) return fail(Kind::invalid_input, "no residency is called " + only);
  setup.beat->look_now();
  return Json{{"adopted", out}};
}

}  // namespace domicile::agent
