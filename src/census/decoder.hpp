// What can be undone: each decoder finds where its encoding may begin and gives back what was encoded. All are pure,
// take any bytes, and stop at the given size.
#pragma once
#include <string_view>
#include <vector>

#include "census/bytes.hpp"

namespace domicile::census {

// What a decoder made of the bytes that begin at a candidate.
struct Decoded {
  std::vector<Bytes> outputs = {};  // several where the alignment is not known; what came before damage counts too
  std::size_t consumed = 0;         // this decoder need not look at these bytes again; 0: only at this one
  bool cut = false;                 // the given bytes end before the encoding does
  bool over = false;                // it would give more than `most` bytes; what is there is a part
  bool damaged = false;             // it began well and cannot be read on
  std::string_view name = {};       // where it differs from the decoder's own
  bool wal = false;                 // the outputs are records of WAL
  // False: chance may look so. The outputs are searched, and nothing is looked for that is encoded in them: else noise
  // would be decoded to noise, level after level.
  bool sure = true;
};

struct Decoder {
  std::string_view name;
  // The next candidate at `from` or later; kNone: no other. Cheap, and may be wrong.
  std::size_t (*next)(View bytes, std::size_t from);
  Decoded (*decode)(View bytes, std::size_t most);
  bool whole_file = false;  // a file that begins so has to be readable to its end
  bool wal_only = false;
};

// Fewer bytes than this hold no canary, compressed or not: its 155 bits take 20, and every container has a head.
inline constexpr std::size_t kLeastOutput = 26;

const std::vector<Decoder>& decoders();

// The families that decoders() gathers.
std::vector<Decoder> stream_decoders();    // gzip, zlib, dump, zstd, lz4
std::vector<Decoder> text_decoders();      // base64, hex, utf16, url, json, chunked
std::vector<Decoder> postgres_decoders();  // compressed values, pages of WAL, page images in WAL

}  // namespace domicile::census
