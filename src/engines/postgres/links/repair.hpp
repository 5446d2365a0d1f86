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

// A row that differs: as it is here before the repair, in the order of the table's columns; empty: there is none here.
struct Differing {
  Row key;  // in the order of `key_columns`
  std::optional<Row> ours;
  bool theirs = false;  // is there one at the source?
};
struct DifferingRows {
  MappedTable table;
  std::vector<std::string> key_columns;
  std::vector<Differing> rows;
};

struct RepairOptions {
  ImportOptions import = {};  // of a whole copy
  std::function<void(const std::string& table, const std::string& what)> progress = {};
  // Before everything is deleted here for a whole copy.
  std::function<Result<void>(const std::string& why)> before_whole = {};
  // Told all that is going to be changed, before anything is: for a copy that may hold what nobody else has. With it
  // nothing is ever copied whole.
  std::function<Result<void>(const std::vector<DifferingRows>& tables)> before_change = {};
};

// The inbound link must stand still and be followed by nobody; on success its journal says `copied`, so that
// enable_subscription goes on with it. Writes under domicile.permit(residency, 'link'). `corrupt`: the copy is not
// equal afterwards, which somebody's writes past the guard explain. Killed at any instant: the next call begins again,
// with what is equal by then.
Result<Repaired> repair_rows(const Sql& sql, const LinkSpec& link, CopySource& source, const RepairOptions& options);

}  // namespace domicile::postgres::links
