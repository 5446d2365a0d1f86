// Bytes of foreign formats: little-endian numbers at any address, and a place inside a buffer.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace domicile::census {

using Bytes = std::string;
using View = std::string_view;
inline constexpr std::size_t kNone = View::npos;

// The caller has made sure that the number lies inside.
template <class Number>
Number load(const char* from) {
  Number number;
  std::memcpy(&number, from, sizeof number);
  return number;
}
inline std::uint8_t u8(View bytes, std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); }
inline std::uint16_t u16(View bytes, std::size_t at) { return load<std::uint16_t>(bytes.data() + at); }
inline std::uint32_t u32(View bytes, std::size_t at) { return load<std::uint32_t>(bytes.data() + at); }
inline std::uint64_t u64(View bytes, std::size_t at) { return load<std::uint64_t>(bytes.data() + at); }

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "PostgreSQL's files are read as this host would write them");

// Where `wanted` stands at `from` or later.
inline std::size_t find_byte(View bytes, std::size_t from, unsigned char wanted) {
  if (from >= bytes.size()) return kNone;
  const void* at = std::memchr(bytes.data() + from, wanted, bytes.size() - from);
  return at ? static_cast<std::size_t>(static_cast<const char*>(at) - bytes.data()) : kNone;
}

}  // namespace domicile::census
