// The law in the table: which row may not be stored here, whoever writes it. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/desired/seen.hpp"

namespace domicile::desired {

// Fires last of the BEFORE ROW triggers, so that no other one changes a row that it let pass: PostgreSQL fires them in
// the byte order of their names, and '~' is the last printable character of ASCII.
inline constexpr std::string_view kLawTrigger = "~domicile_law";

struct Law {
  // Under which a row is refused; empty: every residency may be held here in full, and there is nothing to ask.
  std::string condition;
  // The same for the guard's C function, which costs a statement less than a condition does: the columns of tenant and
  // residency, the residencies that may be held, those of them in full (with blanks between), the personal columns.
  // Empty where that cannot be said so: a personal column has a default.
  std::vector<std::string> arguments;
  bool operator==(const Law&) const = default;
};

// The condition, in SQL over NEW, under which a row of `table` is refused in `region`: its residency may not be held
// here in full, and it is not what a reduced copy has: NULL in each personal column, or the column's default, which is
// what the apply worker fills in. Where not even a reduced copy may be held, or the residency is not known, every row
// is refused. So is one whose label is lawful and whose tenant has another residency, before its values are stored:
// domicile.guard_label says so (DM002), and is asked only where there are such values, or where a residency may not be
// here at all (by the C function for every row: there it costs nothing).
// The same whatever the order of the topology's lists. A generated column is not named (PostgreSQL forbids that in a
// BEFORE trigger): it is computed from the others, and readiness refuses one that is mapped.
Law law_of(const topology::Topology& topology, std::string_view region, const topology::Table& table,
           const SeenTable& seen);

}  // namespace domicile::desired
