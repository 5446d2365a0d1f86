#include "core/authority/precheck.hpp"

namespace domicile::authority {

std::string text_of(const Holder& holder) {
  return fmt::format("pid {} ({}, {:.1f} s)", holder.pid, holder.role, static_cast<double>(holder.age) / kSecond);
}

std::string text_of(const std::vector<Holder>& holders) {
  std::string out;
  for (const auto& holder : holders) out += (out.empty() ? "" : ", ") + text_of(holder);
  return out;
}

namespace {

// Of a residency whose commits wait: the markers' lag is no loss, and only tells whether the switch will take long.
constexpr Micros kWithoutRpo = 10 * kSecond;

std::vector<std::string> against(const PrecheckQuestion& q) {
  const TargetCopy& target = q.target;
  if (!target.unknown.empty()) return {"its copy is unknown: " + target.unknown};
  std::vector<std::string> out;
  const Copy& copy = target.copy;
  if (copy.state == Copy::State::resync)
    out.push_back("its copy is resync: " + copy.why);
  else if (copy.state != Copy::State::following || copy.source != q.record.owner || copy.epoch != q.record.epoch)
    out.push_back(fmt::format("its copy does not follow {} at epoch {} (it is {}{})", q.record.owner, q.record.epoch,
                              name_of(copy.state),
                              copy.source.empty() ? "" : fmt::format(", {} at epoch {}", copy.source, copy.epoch)));
  if (!target.complete) out.push_back("its first rows are not complete");
  if (!target.trouble.empty()) out.push_back("its link: " + target.trouble);
  if (!target.lag)
    out.push_back("its lag is unknown");
  else if (const Micros bound = q.rules.rpo == 0 ? kWithoutRpo : q.rules.rpo; *target.lag > bound)
    out.push_back(fmt::format("its copy lags by {} ms, the bound is {} {} ms", *target.lag / 1000,
                              q.rules.rpo == 0 ? "with an rpo of 0" : "the rpo of", bound / 1000));
  if (!target.schema_differs.empty()) out.push_back("the schemas differ: " + target.schema_differs);
  return out;
}

}  // namespace

Result<std::vector<std::string>> precheck(const PrecheckQuestion& q) {
  const auto reasons = against(q);
  if (!reasons.empty()) {
    std::string what = q.to + " is no target for " + q.rules.residency + " now: ";
    for (const auto& reason : reasons) what += (&reason == &reasons.front() ? "" : "; ") + reason;
    const bool schema = !q.target.schema_differs.empty();
    return fail(Kind::unsafe, what,
                schema ? "bring the same migrations to both regions, then switch"
                       : "wait until the copy is complete and close: domicile status",
                schema ? "DOM-E205" : "DOM-E204");
  }
  std::vector<std::string> warnings;
  if (!q.holders.empty())
    warnings.push_back(fmt::format("open transactions on tenant tables: {}; {}", text_of(q.holders),
                                   q.terminate
                                       ? "those that hold the fence will be ended"
                                       : "the switch rolls back if they hold the fence (--terminate ends them)"));
  // Where they are kept the owner's rows are then, and what differs from itself can no longer be written.
  if (q.target.salvage_open > 0)
    warnings.push_back(
        fmt::format("{} keeps {} salvaged rows of {} that nobody has decided about; once it owns it they can only be "
                    "looked at: domicile salvage apply or discard there first",
                    q.to, q.target.salvage_open, q.rules.residency));
  return warnings;
}

}  // namespace domicile::authority
