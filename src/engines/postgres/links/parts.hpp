// A table's rows of one link in parts: what two regions compare before a row crosses between them.
//
// A part is the rows whose key's hash ends in the same bits. Each part has a sum that does not depend on the order of
// its rows, so that two copies of a million rows are compared by a few thousand numbers, and then only where they
// differ by finer ones.
#pragma once
#include <cstdint>
#include <vector>

#include "engines/postgres/links/link.hpp"

namespace domicile::postgres::links {

// The parts `numbers` of 2^bits. Default: the one part that is the whole table.
struct Parts {
  int bits = 0;
  std::vector<std::uint32_t> numbers = {0};
  bool whole() const { return bits == 0; }
  bool operator==(const Parts&) const = default;
};

// Each of the parts in 2^split finer ones, in the order in which sums list them.
Parts split(const Parts& parts, int split);

struct PartSums {
  std::vector<std::uint64_t> sums;  // 0: a part without rows
  std::int64_t rows = 0;            // of all of them
  bool operator==(const PartSums&) const = default;
};
// Those of `parts` whose sums differ; both were made of the same parts.
Parts differing(const Parts& parts, const PartSums& a, const PartSums& b);
// SHA-256, hex, of the sums.
std::string digest_of(const PartSums& sums);
// 16 hex digits for each sum. `corrupt` for anything else.
std::string text_of(const std::vector<std::uint64_t>& sums);
Result<std::vector<std::uint64_t>> sums_of(std::string_view text);

// How rows become text must not depend on a session's settings. Once per session that compares or reads parts.
Result<void> print_alike(const Sql& sql);

// Of the replica identity, in its order. `failed` when there is none, or it has a column that the link does not carry.
Result<std::vector<std::string>> key_of(const Sql& sql, const MappedTable& table);

// SQL: is a row one of the parts? `prefix`: of the columns, as "t.".
std::string in_parts(const Sql& sql, const std::vector<std::string>& key, const Parts& parts,
                     const std::string& prefix = "");
// The sums of split(of, bits) over `source`'s rows for which `belongs` holds, in the columns of `table`.
Result<PartSums> read_sums(const Sql& sql, const MappedTable& table, const std::vector<std::string>& key,
                           const std::string& source, const std::string& belongs, const Parts& of, int bits);

}  // namespace domicile::postgres::links
