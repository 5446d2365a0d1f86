// A tenant's move from one residency to another: its phases, what each of them means to gateway and guard, which form
// may cross, and what comes next. Pure: the directory row that carries it lies in engines/postgres/moves.hpp, the actor
// in agent/move_actor.hpp.
//
// The move lies in the tenant's own row of the directory, at the owner of the residency `directory`: each step is one
// compare-and-swap there, and the directory's links carry it to every region. So whoever owns the new residency can go
// on with it after any crash, and every region's guard and gateway obey the row that it has.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "core/residency/links.hpp"
#include "core/topology/topology.hpp"

namespace domicile::moves {

enum class Phase {
  copying,    // announced: rows come, the tenant is served as ever
  holding,    // gateways hold its requests; its writes in flight end
  sealed,     // tombstone: every guard refuses its writes; the rest is copied, all of it compared
  flipped,    // the directory names the new residency; still held, until every region has that
  releasing,  // requests go to the new owner; the old rows are still those that were compared?
  deleting,   // they were: they are deleted, some at a time
  aborting,   // what was copied is deleted; served as ever by the old owner
  done,       // ended: the tenant lives in `to`
  aborted,    // ended: the tenant never left `from`
};
std::string_view name_of(Phase phase);
std::optional<Phase> phase_of(std::string_view name);

bool live(Phase phase);       // not ended
bool held(Phase phase);       // gateways hold the tenant's requests
bool sealed(Phase phase);     // the guard refuses its writes
bool flipped(Phase phase);    // the tenant belongs to `to`
bool abortable(Phase phase);  // nobody depends on the copy yet

// May `next` follow? An ended move is followed by none.
bool follows(Phase now, Phase next);

struct Move {
  std::string tenant, id, from, to;
  Phase phase = Phase::copying;
  std::string digest;             // from flipped on: of the rows that were compared, which are the ones to delete
  std::string note;               // of an abort: why, in our own words
  bool without_personal = false;  // personal columns stay behind and are deleted with the old rows
  std::string reason, by;         // of the order: kept with the tenant until it moves again
  Micros at = 0;                  // wall clock of the order
  const std::string& residency() const { return flipped(phase) ? to : from; }
  bool operator==(const Move&) const = default;
};

// What must hold in every region before the next phase begins, beside that its directory has this one.
struct Everywhere {
  bool gateway = false;  // its gateway obeys the phase, and while it holds no write of the tenant is in flight there
  bool settled = false;  // what the gateway knows of all tenants is as new as the directory
  std::string gone;      // a residency whose rows of the tenant must be gone
};
Everywhere awaited_everywhere(const Move& move);

// The most of a tenant's rows that may lie in the residency `to`, so that no region comes to hold more of them by the
// links of `to` than it may hold by those of `from`: full, reduced, or none at all.
topology::Form lawful_form(const topology::Topology& topology, const topology::Residency& from,
                           const topology::Residency& to);
// Personal columns of mapped tables, as schema.table.column: what a reduced move leaves behind.
std::vector<std::string> personal_columns(const topology::Topology& topology);

Json json_of(const Move& move);
Result<Move> move_of(const Json& json);

struct Order {
  std::string tenant, to, reason;
  bool without_personal = false;
};
// Is it lawful? `refused` (DOM-E71x) with what to do, or `invalid_input`. `from`: where the tenant lives now.
Result<void> judge(const topology::Topology& topology, const std::string& from, const Order& order);

// What one side holds of a tenant in one table, in kBuckets parts by the row's key: how many rows, and two sums of them
// that do not depend on their order.
inline constexpr int kBuckets = 16'384;
struct Bucket {
  std::int64_t rows = 0, a = 0, b = 0;
  bool operator==(const Bucket&) const = default;
};
using TableSummary = std::map<int, Bucket>;           // without empty ones
using Summary = std::map<std::string, TableSummary>;  // by qualified table
std::int64_t rows_of(const Summary& summary);

// The parts that `now` has otherwise than `before`; those that are empty by now have no rows.
Summary changes(const Summary& before, const Summary& now);
// `summary` with its changes.
Summary merged(Summary summary, const Summary& changes);

// Parts whose rows differ, in groups of at most `rows` rows at the source (or one part that has more).
struct Group {
  std::vector<int> buckets;
  std::int64_t rows = 0;
  bool fresh = true;  // the receiver has nothing of them
  bool operator==(const Group&) const = default;
};
std::vector<Group> differences(const TableSummary& source, const TableSummary& receiver, std::int64_t rows);

// SHA-256, hex, of a summary.
std::string digest_of(const Summary& summary);
// {"schema.table": [[bucket, rows, a, b], …]}
Json json_of(const Summary& summary);
Result<Summary> summary_of(const Json& json);

}  // namespace domicile::moves
