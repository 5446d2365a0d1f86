// Reads the binary fields of PostgreSQL's messages, big-endian, from bytes that somebody else wrote. Reading past the
// end yields zeros and is remembered: ask `good()` once, when all is read.
#pragma once
#include <cstdint>
#include <string_view>

namespace domicile::gate {

class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  std::int32_t i32() { return static_cast<std::int32_t>(u32()); }
  std::int64_t i64() { return static_cast<std::int64_t>(u64()); }
  // Up to the next zero byte, which is consumed.
  std::string_view text() {
    const auto end = left_.find('\0');
    if (end == std::string_view::npos) return spoil();
    const auto out = left_.substr(0, end);
    left_.remove_prefix(end + 1);
    return out;
  }
  std::string_view bytes(std::size_t size) {
    if (size > left_.size()) return spoil();
    const auto out = left_.substr(0, size);
    left_.remove_prefix(size);
    return out;
  }
  std::size_t left() const { return left_.size(); }
  bool good() const { return good_; }
  bool done() const { return good_ && left_.empty(); }  // all was there, and nothing else

 private:
  std::string_view spoil() {
    good_ = false;
    left_ = {};
    return {};
  }
  std::uint64_t number(std::size_t size) {
    std::uint64_t value = 0;
    for (const char c : bytes(size)) value = value << 8 | static_cast<std::uint8_t>(c);
    return value;
  }
  std::string_view left_;
  bool good_ = true;
};

}  // namespace domicile::gate
