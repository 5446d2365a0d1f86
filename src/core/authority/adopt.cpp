#include "core/authority/adopt.hpp"

#include <algorithm>

namespace domicile::authority {
namespace {

SiteKnows highest(const AdoptQuestion& q) {
  SiteKnows out;
  for (const auto& site : q.sites)
    if (site.epoch > out.epoch) out = site;
  return out;
}

bool behind(const AdoptQuestion& q) {
  if (!q.record) return true;
  View view;
  view.authorities[q.rules.residency] = {*q.record, ""};
  return std::ranges::any_of(q.sites, [&](const SiteKnows& site) {
    Local local;
    local.known_epoch = site.epoch;
    local.known_owner = site.owner;
    return !distrust(local, q.rules.residency, view).empty();
  });
}

// Why nothing can be served from this copy, or empty.
std::string unfit(const TargetCopy& target) {
  if (!target.unknown.empty()) return "it is not known: " + target.unknown;
  switch (target.copy.state) {
    case Copy::State::none:
      return "nothing is there yet";
    case Copy::State::resync:
      return "it is resync: " + target.copy.why;
    case Copy::State::owner:
      return fmt::format("it wrote last at epoch {}, and somebody else since", target.copy.epoch);
    case Copy::State::following:
    case Copy::State::stopped:
      return target.complete ? "" : "its first rows are not complete";
  }
  return "its state is unknown";
}

}  // namespace

std::string last_owner(const AdoptQuestion& question) {
  const auto last = highest(question);
  return last.owner.empty() ? question.rules.home : last.owner;
}

Result<std::optional<Record>> adopt(const AdoptQuestion& q, const std::optional<NamedOwner>& named) {
  const std::string& residency = q.rules.residency;
  const std::string owner = named ? named->region : last_owner(q);
  const bool lawful = owner == q.rules.home || std::ranges::find(q.rules.standbys, owner) != q.rules.standbys.end();
  if (!lawful)
    return fail(Kind::refused, fmt::format("{} may not own {}", owner, residency), "choose its home or a standby",
                "DOM-E202");
  if (!behind(q)) {
    if (!named) return std::optional<Record>();
    return fail(Kind::refused,
                fmt::format("the quorum is not behind: {} owns {} at epoch {}, and adopting moves nothing",
                            q.record->owner, residency, q.record->epoch),
                "domicile switch", "DOM-E214");
  }
  const auto last = highest(q);
  if (named && last.epoch > 0 && owner != last.owner)
    if (const auto why = unfit(named->copy); !why.empty())
      return fail(Kind::refused, fmt::format("{} can serve nothing from its copy of {}: {}", owner, residency, why),
                  fmt::format("name another region, or none: {} owned it last", last.owner), "DOM-E215");
  // An epoch that the quorum knows and no disk does was never opened, and still must not be used twice.
  const Epoch base = std::max(last.epoch, q.record ? q.record->epoch : 0);
  return std::optional(adopted_record(base, owner, q.fresh_id));
}

}  // namespace domicile::authority
