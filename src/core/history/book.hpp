// A history, opened where the rules look: calls by key, and what was found in the end.
#pragma once
#include <map>
#include <set>

#include "core/history/checks.hpp"

namespace domicile::history {

struct Thing {  // a key of a residency
  std::string residency, key;
  auto operator<=>(const Thing&) const = default;
};

struct Kept {
  std::string node;
  std::int64_t epoch = 0;
  std::vector<std::int64_t> value;
};

struct LostRange {
  std::string residency, node;
  std::int64_t epoch = 0;
  std::uint64_t behind = 0;
};

struct Ends {  // of one thing
  std::optional<Operation> last;
  std::vector<Kept> kept;
};

struct Book {
  std::vector<Call> calls;
  std::map<Thing, std::vector<const Call*>> registers, lists, banks;
  std::map<Thing, Ends> register_ends, list_ends, bank_ends;
  std::map<Thing, Operation> transfers_end;                      // last_transfers
  std::map<Thing, Operation> made;                               // bank
  std::map<std::string, std::set<std::int64_t>> kept_transfers;  // by residency
  std::vector<LostRange> lost;
  std::vector<const Operation*> owners;
  bool at_end = false;
};
Result<Book> open_book(const std::vector<Operation>& operations);

// Kept by the region that acknowledged it, of the epoch in which it did or, where that went on there, of a later one.
inline bool keeps(const Kept& kept, const Call& call) { return kept.node == call.node && kept.epoch >= call.epoch; }
bool named_lost(const Book& book, const Call& call);

// Who wrote each value of a thing. `corrupt`: two did.
using Writers = std::map<std::int64_t, const Call*>;
Result<Writers> writers_of(const std::vector<const Call*>& calls);
// Why nobody can have seen this value before `seen` was over; empty: somebody can.
std::string phantom(const Writers& writers, std::int64_t value, Micros seen);

Result<void> check_registers(const Book& book, Verdict& verdict);
Result<void> check_lists(const Book& book, Verdict& verdict);
Result<void> check_banks(const Book& book, Verdict& verdict);
void check_owners(const Book& book, Verdict& verdict);

}  // namespace domicile::history
