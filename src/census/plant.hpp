// The other way round: encoders, for needles and for planting leaks on purpose.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace domicile::census {

std::string to_base64(std::string_view bytes, bool url_alphabet = false);
std::string to_hex(std::string_view bytes);
std::string to_utf16(std::string_view ascii, bool big_endian);
// Every byte escaped, with the given hex digits.
std::string to_url(std::string_view bytes, std::string_view digits);
std::string to_json(std::string_view bytes, std::string_view digits);

// One way in which something may be wrapped before it is written somewhere.
struct Wrapping {
  std::string name;
  bool text_only = false;  // wraps ASCII text only
  std::function<std::string(std::string_view)> wrap;
};
// Each encoding that the census undoes: base64 (both alphabets, and in lines), hex, UTF-16, URL, JSON, chunked HTTP,
// gzip, zlib, zstd, lz4, zlib in pg_dump's pieces, and a compressed value of PostgreSQL by pglz and by lz4.
const std::vector<Wrapping>& wrappings();

// Plants a fresh canary in memory under each wrapping, and under each pair of them, and looks for it. The names of
// those that were not found: empty when the instrument sees. For `prove residency --self-test`, before it leaks through
// the layers.
Result<std::vector<std::string>> blind_spots();

}  // namespace domicile::census
