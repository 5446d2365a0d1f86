// PostgreSQL's own compression. Written anew after the format as src/common/pg_lzcompress.c of PostgreSQL 15 describes
// it, and held against that code by a test: its own decoder says only that a value is damaged, and what came before
// the damage has to be searched; it also reads up to two bytes behind the end of the source.
#pragma once
#include "census/bytes.hpp"

namespace domicile::census {

// The value, or as much of it as `source` gives; never more than `most` bytes. `taken`: how many
// bytes of the source that took; all of them and exactly the raw size, for a value that is one.
Bytes pglz_decode(View source, std::size_t most, std::size_t* taken = nullptr);

}  // namespace domicile::census
