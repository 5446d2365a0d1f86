// The local steps of a switch, in their order. Each is journaled before it acts and idempotent when repeated, so that a
// process that died at any instant goes on from its journal.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/authority/record.hpp"

namespace domicile::authority {

// What the owner does between `draining` and `moving`.
enum class DrainStep {
  gateways_hold,   // every worker of this region's gateways holds new writes; none is in flight
  fence,           // the guard's exclusive lock, then the lease is zero; the fence's position
  receivers_have,  // every live receiver has applied up to the fence
  swap_moving,     // the record: epoch + 1, with the fence
};

// What the target does between `moving` and `serving`.
enum class OpenStep {
  stop_inbound,       // the link from the old owner is disabled, its workers are gone
  journal_position,   // slot, origin position, system id and timeline of what was applied: where salvage begins
  advance_slots,      // the reverse slots stand behind everything that was applied from the old owner
  advance_sequences,  // beyond what the old owner can have used meanwhile
  persist_epochs,     // (owner, epoch) is on the disks of a majority of the sites
  swap_serving,       // rides in a beat; with it the lease opens
  publish,            // the gateways' snapshot
};

std::string_view name_of(DrainStep step);
std::string_view name_of(OpenStep step);

// Does it change anything? What only waits, reads or publishes leaves nothing behind that a journal must outlive, and
// an fsync less is milliseconds less of a pause.
bool changes_state(DrainStep step);
bool changes_state(OpenStep step);

// One line of the journal: step `step` of switch `switch_id` of `residency` at `epoch` is about to run, or is done.
struct StepRecord {
  std::string residency, switch_id;
  Epoch epoch = 0;
  std::string step;
  bool done = false;
  std::string detail = {};  // JSON of what the step found: positions, values; never rows
  bool operator==(const StepRecord&) const = default;
};

std::string to_text(const StepRecord& step);
Result<StepRecord> step_of(std::string_view text);

// What of the journal still counts under `record`. Whether a swap was done is the quorum's word, not the journal's: a
// quorum that was restored to a moment before it has undone it, and a target that trusts its journal waits for ever.
// `sites_asked`: this process itself has persisted the epochs for this switch. A process that started since asks again:
// behind a restored quorum the majority may know a higher epoch by now, and its lease may be open.
std::set<std::string> still_done(std::set<std::string> journaled, const Record& record, bool sites_asked);

// The first step that is not journaled as done, or nothing when all are.
std::optional<DrainStep> next_drain_step(const std::set<std::string>& done);
// A residency that comes back to the region that wrote last skips what only concerns a copy.
std::optional<OpenStep> next_open_step(const std::set<std::string>& done, bool was_owner);

}  // namespace domicile::authority
