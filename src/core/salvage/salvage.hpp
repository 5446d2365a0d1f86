// What a lost owner wrote and nobody else has, row by row, set against what the new owner has done since. Pure: the
// changes come from the lost owner's slot, the other side's rows from the new owner (engines/postgres/salvage).
//
// "Ours" is the salvage, "theirs" what the new owner has.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/json.hpp"

namespace domicile::salvage {

// Columns by name, values as PostgreSQL prints them; nullopt is NULL. A column that is not there was not written: an
// UPDATE does not send a long value that it left alone.
using Row = std::map<std::string, std::optional<std::string>>;

struct Key {
  std::string table;  // schema.name
  Row columns;        // of the replica identity
  bool operator==(const Key&) const = default;
  auto operator<=>(const Key&) const = default;
};

enum class Did { insert, update, remove };

// One row of one committed transaction, in the order of commits.
struct Change {
  Did did = Did::insert;
  Key key;
  Row row;                      // as it was afterwards; remove: empty
  std::uint64_t lsn = 0;        // at which its transaction ends, in the lost owner's log
  Micros committed_at = 0;      // the lost owner's wall clock
  std::optional<Key> was = {};  // update that changed the key itself: the row's key before
  bool operator==(const Change&) const = default;
};

// What all changes of one row come to. `came_and_went`: made and removed again after everybody else had stopped
// listening, so that nobody ever missed it.
enum class Net { inserted, updated, removed, came_and_went };

struct Entry {
  Key key;
  Net net = Net::inserted;
  Row row;                            // inserted, updated: what was written last of each column
  std::uint64_t first = 0, last = 0;  // transactions' ends
  Micros committed_at = 0;            // of the last
  int changes = 0;
  bool operator==(const Entry&) const = default;
};

// In the order in which the rows were first changed, so that what is applied in this order finds its parents.
std::vector<Entry> condense(const std::vector<Change>& changes);

// The same row at the new owner.
struct Theirs {
  std::optional<Row> row;      // nullopt: there is none
  bool changed_since = false;  // by the new owner, after the takeover
  Micros changed_at = 0;       // the last time, the new owner's wall clock
  bool operator==(const Theirs&) const = default;
};

enum class Verdict {
  missing,     // the new owner has never seen it and has not touched the row: it can be applied
  conflict,    // both sides changed the row, or it is not as the salvage found it
  superseded,  // the new owner's row says all that the salvage says
};
Verdict judge(const Entry& entry, const Theirs& theirs);

// What is to be done with a conflict, or with everything.
enum class Rule {
  ask,          // a person decides
  take_ours,    // the salvage wins
  take_theirs,  // the new owner wins
  newer,        // whoever committed last, by both sides' wall clocks; equal: the new owner
};
enum class Deed {
  leave,   // nothing to do: the new owner's row stands
  write,   // insert or update with the entry's columns
  remove,  // delete the row
  wait,    // a person has not decided yet
};
// Nothing is ever applied by itself but what is missing, and that only with `apply_missing`.
Deed deed_of(const Entry& entry, const Theirs& theirs, Rule conflicts, bool apply_missing);

// {"column": "text" or null}
Json json_of(const Row& row);
Result<Row> row_of(const Json& json);

std::string_view name_of(Net net);
std::optional<Net> net_of(std::string_view name);
std::string_view name_of(Verdict verdict);
std::string_view name_of(Rule rule);
std::optional<Rule> rule_of(std::string_view name);  // ask, take-ours, take-theirs, newer

}  // namespace domicile::salvage
