// Writing salvage where the residency is owned now: ordinary writes of the owner, which its guard judges as any other.
#pragma once
#include "core/salvage/salvage.hpp"
#include "engines/postgres/links/link.hpp"

namespace domicile::postgres {

// One row that is to be written or removed. `expected`: digest_of() the owner's row as it was when that was decided.
struct Deed {
  std::int64_t id = 0;
  salvage::Key key;
  bool remove = false;
  salvage::Row row;  // the columns that the salvage has; others keep what they are
  std::string expected;
};
// By id: empty: done; else why not. The row had changed since, or the database refused it, in words without values.
using Outcomes = std::map<std::int64_t, std::string>;

// All deeds in one transaction, each of which stands or falls by itself. Errors: nothing of it is done.
Result<Outcomes> reapply(const links::Sql& sql, const std::vector<links::MappedTable>& tables,
                         const std::vector<Deed>& deeds);

}  // namespace domicile::postgres
