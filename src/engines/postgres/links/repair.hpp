// Makes a copy equal to its source where the two differ, and proves it: what first rows are to an empty region.
//
// The source's sums are those of a fresh slot's snapshot, so the slot continues exactly where the repaired copy ends.
// A copy may be behind, ahead, or both: nothing about its history is needed, so a region that was lost, a receiver that
// stood elsewhere than the new owner, an older disk image and a lost slot are repaired alike. What crosses: sums of
// some thousand parts of each table, finer sums where these differ, and the rows of the fine parts that differ. The
// sums cost one scan of each table on either side; a copy leaves `resync` only by a comparison of all of it, so that
// scan is no price of the method.
#pragma once
#include "engines/postgres/links/copy.hpp"

namespace domicile::postgres::links {

struct RepairedTable {
  std::string table;
  std::int64_t rows = 0;     // at the source
  std::int64_t fetched = 0;  // rows that crossed
  std::int64_t written = 0, removed = 0;
  std::string digest;  // of both sides' sums, which are equal
};

struct Repaired {
  CopySession session;
  std::vector<RepairedTable> tables;
  bool whole = false;  // more than half of a large table differed: everything was deleted and copied anew
};

struct RepairOptions {
  ImportOptions import = {};  // of a whole copy
  std::function<void(const std::string& table, const std::string& what)> progress = {};
  // Before everything is deleted here for a whole copy.
  std::function<Result<void>(const std::string& why)> before_whole = {};
};

// The inbound link must stand still and be followed by nobody; on success its journal says `copied`, so that
// enable_subscription goes on with it. Writes under domicile.permit(residency, 'link'). `corrupt`: the copy is not
// equal afterwards, which somebody's writes past the guard explain. Killed at any instant: the next call begins again,
// with what is equal by then.
Result<Repaired> repair_rows(const Sql& sql, const LinkSpec& link, CopySource& source, const RepairOptions& options);

}  // namespace domicile::postgres::links
