// PostgreSQL's WAL: a stream of records that a header interrupts at every page.
#pragma once
#include <optional>

#include "census/decoder.hpp"

namespace domicile::census {

inline constexpr std::size_t kPageSize = 8192;

struct WalPage {
  std::size_t header = 0;  // bytes: 24, or 40 at the first page of a segment
  std::uint32_t timeline = 0;
  std::uint64_t address = 0;  // of the page in WAL
};
// What stands at the beginning of a page of WAL (XLogPageHeaderData, PostgreSQL 12 and later); empty: it is none.
std::optional<WalPage> wal_page(View bytes);

// WAL in any other file, such as an archive or a base backup.
std::size_t wal_next(View bytes, std::size_t from);
Decoded wal_decode(View bytes, std::size_t most);

// Compressed page images (wal_compression) of a record, in WAL without page headers. Records begin at multiples of
// eight.
std::size_t record_next(View bytes, std::size_t from);
Decoded record_decode(View bytes, std::size_t most);

}  // namespace domicile::census
