#include "core/authority/copy.hpp"

#include <algorithm>

namespace domicile::authority {

std::string_view name_of(Copy::State state) {
  switch (state) {
    case Copy::State::none:
      return "none";
    case Copy::State::owner:
      return "owner";
    case Copy::State::following:
      return "following";
    case Copy::State::stopped:
      return "stopped";
    case Copy::State::resync:
      return "resync";
  }
  return "?";
}

std::optional<Copy::State> copy_state_of(std::string_view name) {
  for (const auto state :
       {Copy::State::none, Copy::State::owner, Copy::State::following, Copy::State::stopped, Copy::State::resync})
    if (name == name_of(state)) return state;
  return {};
}

namespace {

bool reached(const std::optional<Position>& position, const std::optional<Position>& fence) {
  return position && fence && position->comparable_with(*fence) && position->lsn >= fence->lsn;
}

// The epochs that were opened after this copy's own, oldest first; empty optional when the record does not remember
// that far.
std::optional<std::vector<Opened>> opened_since(const Copy& copy, const Record& record) {
  std::vector<Opened> later;
  for (const auto& opened : record.history)
    if (opened.epoch > copy.epoch) later.push_back(opened);
  // A full history whose oldest entry is younger than this copy may have forgotten an owner in between.
  const bool forgotten = record.history.size() >= kHistory && record.history.front().epoch > copy.epoch;
  if (forgotten) return {};
  return later;
}

// One owner went on with its own history, all of it.
bool went_on(const std::vector<Opened>& later, const std::string& owner) {
  return std::ranges::all_of(later, [&](const Opened& opened) { return opened.owner == owner && !opened.base; });
}

CopyStep resync(const Copy& copy, std::string why) {
  Copy next = copy;
  if (copy.state == Copy::State::owner) next.position.reset();  // a fence says nothing any more
  next.state = Copy::State::resync;
  next.why = why;
  return {CopyAct::mark_resync, next, why};
}

CopyStep follow(const Opened& last, std::string why) {
  return {CopyAct::follow, Copy{Copy::State::following, last.owner, last.epoch, {}}, std::move(why)};
}

// The record serves under somebody else, and this copy stands still.
CopyStep from_standstill(const Copy& copy, const Record& record) {
  const auto later = opened_since(copy, record);
  if (!later) return resync(copy, "away for longer than the record remembers");
  if (later->empty()) {
    if (copy.state == Copy::State::owner)
      return resync(copy, "the record does not know the epoch that was opened here");
    if (record.owner != copy.source) return {CopyAct::keep, copy, ""};
    return follow(Opened{copy.epoch, copy.source, {}}, "nobody else opened since");
  }
  if (went_on(*later, copy.source) && copy.state != Copy::State::owner)
    return follow(later->back(), "the same owner opened again, nobody else in between");
  const Opened& first = later->front();
  const bool one_owner_since = std::ranges::all_of(*later, [&](const Opened& o) { return o.owner == first.owner; });
  if (one_owner_since && reached(copy.position, first.fence))
    return follow(later->back(), "has everything up to the fence");
  // Its receivers stopped wherever the lost owner's last rows had reached each of them. Where that is the same place as
  // the new owner's, nothing is missing and nothing too much.
  if (one_owner_since && copy.state == Copy::State::stopped && copy.position && copy.position == first.base)
    return follow(later->back(), "stands exactly where the new owner stood");
  if (!first.fence)
    return resync(copy, fmt::format("{} took epoch {} without a fence: this copy may be behind or ahead", first.owner,
                                    first.epoch));
  if (!one_owner_since) return resync(copy, "more than one other owner since");
  return resync(copy, "no proof that this copy has everything up to the fence");
}

// The region whose swap to serving was applied after it had died: the record alone knows that the last epoch is its
// own. It has written nothing in it, as it journals before its first lease, and it stands where its target's steps left
// it.
std::optional<CopyStep> opened_unknown(const Copy& copy, const Record& record, const std::string& region) {
  const auto later = opened_since(copy, record);
  // An owner knows its earlier epoch: whoever has begun to take over since has not opened, and may never.
  if (copy.state == Copy::State::owner && copy.source == region && later && !later->empty() && went_on(*later, region))
    return CopyStep{CopyAct::own, Copy{Copy::State::owner, region, later->back().epoch, {}},
                    fmt::format("epoch {} was opened here as well, nobody else in between", later->back().epoch)};
  if (copy.state != Copy::State::stopped || !later || later->empty()) return {};
  const Opened& last = later->back();
  if (last.owner != region || !went_on({later->begin(), later->end() - 1}, copy.source)) return {};
  return CopyStep{CopyAct::own, Copy{Copy::State::owner, region, last.epoch, {}},
                  fmt::format("epoch {} was opened here, and its agent died before it knew", last.epoch)};
}

}  // namespace

CopyStep next_copy_step(const Copy& copy, const Record& record, const std::string& region, const std::string& broken) {
  const CopyStep keep{CopyAct::keep, copy, ""};
  if (!broken.empty() && copy.state == Copy::State::stopped) return resync(copy, broken);
  if (!broken.empty() && copy.state == Copy::State::following) {
    CopyStep step = resync(copy, broken);  // it follows nothing any more, so that its flow ends first
    step.act = CopyAct::stop;
    return step;
  }
  if (record.epoch < copy.epoch) return keep;
  if (auto own = opened_unknown(copy, record, region)) return *std::move(own);
  // Draining as well: the region that stands still may be the target, which must reach the fence.
  const bool opened_elsewhere = record.mode != Mode::moving && record.owner != region;
  switch (copy.state) {
    case Copy::State::resync:
      if (!opened_elsewhere || record.mode != Mode::serving) return keep;
      return {CopyAct::repair, Copy{Copy::State::following, record.owner, record.epoch, {}},
              "repaired: equal to " + record.owner};
    case Copy::State::none:
      if (!opened_elsewhere || record.mode != Mode::serving) return keep;
      // Its disks are gone. What it had written and nobody else got must be said before it is forgotten.
      for (auto own = record.history.rbegin(); own != record.history.rend(); ++own)
        if (own->owner == region)
          return resync({Copy::State::none, region, own->epoch, {}},
                        fmt::format("epoch {} was opened here, and this site remembers nothing of it", own->epoch));
      return {CopyAct::first_rows, Copy{Copy::State::following, record.owner, record.epoch, {}}, "nothing here yet"};
    case Copy::State::owner:
    case Copy::State::stopped:
      return opened_elsewhere ? from_standstill(copy, record) : keep;
    case Copy::State::following: {
      // Draining keeps flowing: the target must reach the fence. Everything else that is not this source's own epoch
      // ends the flow first, so that no byte of an ended epoch arrives later. A later epoch of the same source as well:
      // another owner's may lie in between.
      if (record.owner == copy.source && record.mode != Mode::moving && record.epoch == copy.epoch) return keep;
      Copy next = copy;
      next.state = Copy::State::stopped;
      // A planned switch's target and receivers were seen at the fence before the record moved.
      return {CopyAct::stop, next, fmt::format("{} no longer owns it at epoch {}", copy.source, copy.epoch)};
    }
  }
  return keep;
}

std::optional<Handover> handover_of(const Copy& copy, const Record& record) {
  const auto later = opened_since(copy, record);
  if (!later || later->empty()) return {};
  const Opened& first = later->front();
  return Handover{first.owner, first.fence ? first.fence : first.base, first.told};
}

OnlyHere only_here(const Copy& copy, const Record& record, const std::string& region) {
  if (copy.source == region) return OnlyHere::own_log;
  const auto later = opened_since(copy, record);
  if (later && record.owner == copy.source && went_on(*later, copy.source)) return OnlyHere::as_source;
  // An owner whose disk was put back may have lost what it had of this copy's epoch as well.
  for (std::size_t i = 1; later && i < later->size(); ++i)
    if ((*later)[i].base && (*later)[i].owner == (*later)[i - 1].owner) return OnlyHere::perhaps;
  const auto handover = handover_of(copy, record);
  const bool known = handover && handover->at && copy.position && copy.position->comparable_with(*handover->at);
  return known && copy.position->lsn <= handover->at->lsn ? OnlyHere::nothing : OnlyHere::perhaps;
}

std::string not_on_this_disk(const std::optional<Position>& handover, const Position& here) {
  if (!handover) return "";
  const auto at = lsn_text(handover->lsn);
  if (!handover->comparable_with(here))
    return fmt::format(
        "this database (system {}, timeline {}) is not the one that wrote the epoch (system {}, timeline "
        "{}): what that one had committed behind {} is lost with it",
        here.system_id, here.timeline, handover->system_id, handover->timeline, at);
  if (here.lsn < handover->lsn)
    return fmt::format(
        "this disk is an older image, of {}: what had been committed behind {} is lost with the newer one",
        lsn_text(here.lsn), at);
  return "";
}

std::string behind_own_marker(const std::optional<Marker>& told, const std::optional<Marker>& here, Epoch epoch) {
  if (!told || told->epoch != epoch) return "";  // nothing is known to have been acknowledged in it
  const auto at = lsn_text(told->lsn);
  if (here && here->epoch > epoch) return "";  // of a later owner: the record is behind
  if (!here || here->epoch < epoch)
    return fmt::format("this database holds no marker of epoch {}, which was written here up to {}", epoch, at);
  // The marker's row was written before the position that is told of it was read, and every later one after that.
  if (here->clock_us == told->clock_us || here->lsn >= told->lsn) return "";
  return fmt::format("this disk is an older image, of {}: epoch {} was written here up to {}", lsn_text(here->lsn),
                     epoch, at);
}

OwnDisk own_disk(const Copy& copy, const std::optional<Handover>& handover, const Position& position,
                 const std::optional<Marker>& marker) {
  if (!handover) return {};
  const auto told = handover->told && handover->told->epoch == copy.epoch ? handover->told : std::nullopt;
  const std::string unlike = not_on_this_disk(handover->at, copy.position.value_or(position));
  if (!unlike.empty())
    return {unlike + (told ? fmt::format("; it was written up to {} at least", lsn_text(told->lsn)) : ""), false};
  const std::string older = behind_own_marker(told, marker, copy.epoch);
  if (!older.empty()) return {older + ": what lies between, and what followed until it was lost, is on no disk", false};
  return {"", handover->at && told && marker && marker->epoch == copy.epoch};
}

std::optional<Epoch> own_last_epoch(const Record& record, const std::string& region) {
  if (record.history.empty() || record.history.back().owner != region) return {};
  return record.history.back().epoch;
}

std::optional<Position> begins_at(const Copy& copy, const std::string& region) {
  const bool put_back = copy.state == Copy::State::resync && copy.source == region;
  return put_back || copy.state == Copy::State::stopped ? copy.position : std::nullopt;
}

bool is_past(const Copy& copy, const Record& record, const std::string& region) {
  return copy.state == Copy::State::resync && copy.source == region && copy.epoch == own_last_epoch(record, region);
}

std::string not_promotable(const Copy& copy, const Record& record) {
  if (record.history.empty()) return "";  // nobody ever wrote
  if (copy.state == Copy::State::none) return "nothing is here yet";
  if (copy.state == Copy::State::resync) return "resync: " + copy.why;
  // Restored to a moment before the swap, the quorum says `moving` of an epoch that was opened here.
  if (copy.state == Copy::State::owner && record.mode == Mode::moving && copy.epoch == record.epoch &&
      copy.source == record.to)
    return "";
  // Its flow went on while its agent did not see that the same owner opened again: the fence proves that all is here.
  const auto later = opened_since(copy, record);
  const bool went_on_here = later && !later->empty() && went_on(*later, copy.source);
  if (copy.state == Copy::State::stopped && went_on_here && reached(copy.position, record.fence)) return "";
  const Opened& last = record.history.back();
  if (last.epoch != copy.epoch || last.owner != copy.source)
    return fmt::format("the copy is of {}'s epoch {}, the last that was opened is {}'s {}", copy.source, copy.epoch,
                       last.owner, last.epoch);
  // The last owner holds its own fence; everybody else must have reached it.
  if (record.fence && copy.state != Copy::State::owner && !reached(copy.position, record.fence))
    return "no proof that this copy has everything up to the fence";
  return "";
}

std::string barred_here(const Copy& copy, const Record& record, const std::string& region) {
  if (record.cause == Cause::adopted && record.mode == Mode::moving && record.to == region) return "";
  return not_promotable(copy, record);
}

}  // namespace domicile::authority
