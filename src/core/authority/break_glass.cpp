#include "core/authority/break_glass.hpp"

#include <algorithm>

namespace domicile::authority {
namespace {

bool may_own(const Rules& rules, const std::string& region) {
  return region == rules.home || std::ranges::find(rules.standbys, region) != rules.standbys.end();
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

Result<void> check_words(const GlassQuestion& q, const std::vector<std::string>& attested) {
  if (q.by.empty())
    return fail(Kind::invalid_input, "breaking the glass needs the name of who answers for it", "--by NAME",
                "DOM-E210");
  if (q.reason.empty())
    return fail(Kind::invalid_input, "breaking the glass needs a reason", "--reason TEXT", "DOM-E210");
  for (const auto& name : attested)
    if (std::ranges::none_of(q.sites, [&](const GlassSite& site) { return site.region == name; }))
      return fail(Kind::invalid_input, name + " is attested and is no other site of the topology",
                  "attest the sites that do not answer", "DOM-E210");
  return {};
}

Result<void> check_here(const GlassQuestion& q) {
  const std::string& name = q.rules.residency;
  if (!may_own(q.rules, q.local.region))
    return fail(Kind::refused, fmt::format("{} may not own {}: no emergency makes it lawful", q.local.region, name),
                "break the glass at its home or at one of its standbys", "DOM-E202");
  if (q.silent_for && *q.silent_for < q.timing.ttl + q.timing.margin)
    return fail(Kind::conflict, fmt::format("the quorum answered {} ms ago: it is not gone", *q.silent_for / 1000),
                "domicile switch, domicile approve or domicile quorum adopt", "DOM-E211");
  if (q.lease_open)
    return fail(Kind::conflict,
                fmt::format("{} still holds its lease of {}: nothing has to be opened", q.local.region, name),
                "wait until it is over: domicile status", "DOM-E211");
  if (!q.local.can_write)
    return fail(Kind::unavailable, "the database here does not commit", "mend it first", "DOM-E212");
  if (q.local.resync)
    return fail(Kind::refused,
                fmt::format("the copy of {} here is resync: it is no prefix of its owner's history", name),
                "break the glass where a whole copy is", "DOM-E212");
  return {};
}

Result<void> check_sites(const GlassQuestion& q) {
  for (const auto& site : q.sites) {
    if (!site.answered) continue;
    if (site.quorum_answers)
      return fail(Kind::conflict,
                  fmt::format("the quorum answers {}: it is not gone, only this region is cut off", site.region),
                  "mend the connection of this region to the quorum", "DOM-E211");
    if (site.lease_open)
      return fail(Kind::conflict, fmt::format("{} holds a lease of {}", site.region, q.rules.residency),
                  "wait until it is over", "DOM-E211");
  }
  std::vector<std::string> missing;
  for (const auto& site : q.sites)
    if (!site.answered && site.attested.empty()) missing.push_back(site.region);
  if (missing.empty()) return {};
  return fail(Kind::unsafe, "no proof that these sites cannot write: " + joined(missing),
              "bring their agents up, or make sure that they cannot write and say how: --attest REGION=TEXT",
              "DOM-E213");
}

// The freshest that anybody who can be asked knows: this disk, the last record, the other sites' disks.
struct Highest {
  Epoch epoch = 0;
  std::string owner;
  void take(Epoch other, const std::string& whose) {
    if (other > epoch) epoch = other, owner = whose;
  }
};

Highest highest_of(const GlassQuestion& q) {
  Highest highest;
  highest.take(q.local.known_epoch, q.local.known_owner);
  if (q.last) highest.take(q.last->epoch, q.last->mode == Mode::moving ? q.last->to : q.last->owner);
  for (const auto& site : q.sites)
    if (site.answered) highest.take(site.known_epoch, site.known_owner);
  return highest;
}

Record record_of(const GlassQuestion& q, const Highest& highest, bool all_answered) {
  Record next;
  // Who wrote last, as far as is known here: from it come the rows that this copy holds.
  next.owner = q.last ? q.last->owner : highest.owner;
  next.epoch = highest.epoch + (all_answered ? 1 : kGlassLeap);
  next.mode = Mode::moving;
  next.switch_id = q.fresh_id;
  next.from = next.owner;
  next.to = q.local.region;
  next.cause = Cause::broken_glass;
  if (q.last) {
    next.automatic_at = q.last->automatic_at;
    next.history = q.last->history;
  }
  // Somebody whom nobody could ask may have opened an epoch that no history here has: no copy may take itself for a
  // prefix of what is written from now on.
  if (!all_answered || !q.last) next.history.push_back({next.epoch - 1, "", {}});
  while (next.history.size() >= kHistory) next.history.erase(next.history.begin());
  return next;
}

std::vector<std::string> warnings_of(const GlassQuestion& q, const Record& record, bool all_answered) {
  std::vector<std::string> out;
  const std::string& name = q.rules.residency;
  if (record.owner != q.local.region) {
    if (!q.local.copy_complete) out.push_back(fmt::format("the copy of {} here is not known to be complete", name));
    out.push_back(q.local.lag
                      ? fmt::format("the copy here lagged by {} ms; later writes of {} are missing until salvage",
                                    *q.local.lag / 1000, record.owner)
                      : fmt::format("how far the copy here is behind {} is unknown; what is missing is missing "
                                    "until salvage",
                                    record.owner));
  }
  if (!all_answered)
    out.push_back(
        "sites that were attested must not write until 'domicile quorum adopt' has been run: start their "
        "databases after it");
  return out;
}

}  // namespace

Result<GlassPlan> break_glass(const GlassQuestion& q, const std::vector<std::string>& attested) {
  CHECK_OK(check_words(q, attested));
  CHECK_OK(check_here(q));
  CHECK_OK(check_sites(q));
  const bool all_answered = std::ranges::all_of(q.sites, &GlassSite::answered);
  const auto highest = highest_of(q);
  if (highest.epoch == 0)
    return fail(Kind::refused, fmt::format("nobody ever owned {} as far as is known here", q.rules.residency),
                "start the quorum: its home begins by itself", "DOM-E212");
  GlassPlan plan;
  plan.record = record_of(q, highest, all_answered);
  for (const auto& site : q.sites)
    plan.proofs.push_back(
        site.answered ? fmt::format("{} answers: no lease, no quorum, knows epoch {}", site.region, site.known_epoch)
                      : fmt::format("{} does not answer; attested by {}: {}", site.region, q.by, site.attested));
  plan.warnings = warnings_of(q, plan.record, all_answered);
  return plan;
}

}  // namespace domicile::authority
