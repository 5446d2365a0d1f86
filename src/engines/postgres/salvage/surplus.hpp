// What a lost owner committed and a receiver never got, read from the slot that still holds it. Nothing is consumed:
// the slot stands where it stood, and may be read again.
#pragma once
#include <cstdint>
#include <functional>

#include "core/salvage/salvage.hpp"
#include "engines/postgres/links/link.hpp"

namespace domicile::postgres {

struct Surplus {
  std::vector<salvage::Change> changes;  // in the order of commits; markers are left out
  std::uint64_t transactions = 0;        // with any of these
  std::uint64_t upto = 0;                // the end of the last transaction that the slot holds; 0: it holds none
};

// Of the slot of `link`, everything that ended behind `after`, in full columns by the residency's salvage publication,
// which must be older than what is read. At the lost owner itself, as its agent. `unavailable`: the slot is gone or has
// lost its log (the error says which); `corrupt`: the stream is not well formed.
//
// All of it is held in memory, values of personal columns included: not for a log. PostgreSQL decodes a slot from its
// beginning each time: the time grows with the log since the slot's restart_lsn.
Result<Surplus> surplus_of(const links::Sql& sql, const links::LinkSpec& link, std::uint64_t after);

// What became of some rows in what the slot of `link` holds: the new owner's answer, from its slot to the lost one.
struct Since {
  bool changed = false;
  Micros at = 0;            // the last time, this region's wall clock
  bool made = false;        // its first change was an insert: at the takeover there was none
  std::string digest = {};  // of the row as it was at the earliest when that was asked, see book.hpp
  bool operator==(const Since&) const = default;
};
// In the order of `keys`. Everything committed before the call is seen. Errors as above.
Result<std::vector<Since>> since_takeover(const links::Sql& sql, const links::LinkSpec& link,
                                          const std::vector<salvage::Key>& keys);

}  // namespace domicile::postgres
