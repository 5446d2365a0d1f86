// Compressed values as PostgreSQL 14 and later store them, and the decoders of its files.
#include <lz4.h>

#include <algorithm>

#include "census/decoder.hpp"
#include "census/pglz.hpp"
#include "census/wal.hpp"

namespace domicile::census {

namespace {

// varatt.h: four bytes of length * 4 + kind, then (inline, or in the first chunk of a TOAST table) the raw size in 30
// bits and the method in two, then the compressed bytes. In TOAST the length is that of the chunk, and what stands
// before it is the chunk's number: 0.
constexpr std::size_t kHead = 8;
constexpr std::uint32_t kInlineCompressed = 2, kPlain = 0;
constexpr std::size_t kLeastValue = kHead + kLeastOutput / 2;
constexpr std::size_t kMostValue = kPageSize;  // of a tuple; lengths in bytes, so that header < 4 * 8192

// Of eight bytes, what has to be zero: length under 16 KiB, raw size under 16 MiB (255 times a page is 2 MiB), method 0
// or 1.
constexpr std::uint64_t kMustBeZero = 0xBF000000FFFF0001ULL;

struct Head {
  std::size_t length, raw;
  bool lz4;
};

Head head_of(View bytes) {
  const auto info = u32(bytes, 4);
  return {u32(bytes, 0) >> 2, info & 0x3fffffff, info >> 30 == 1};
}

// A value is compressed only when that makes it smaller, and neither method makes it more than 273 times smaller.
bool plausible(const Head& head) {
  if (head.length < kLeastValue || head.length > kMostValue) return false;
  return head.raw > head.length - kHead && head.raw <= (head.length - kHead) * 273;
}

std::size_t value_next(View bytes, std::size_t from) {
  if (bytes.size() < kLeastValue) return kNone;
  const std::size_t last = bytes.size() - kHead;
  for (std::size_t at = from; at <= last; ++at) {
    const auto eight = u64(bytes, at);
    if ((eight & kMustBeZero) != 0 || static_cast<std::uint32_t>(eight) < kLeastValue * 4) continue;
    const auto kind = eight & 3;
    const bool first_chunk = kind == kPlain && at >= 8 && u32(bytes, at - 4) == 0 && u32(bytes, at - 8) != 0;
    if ((kind == kInlineCompressed || first_chunk) && plausible(head_of(bytes.substr(at)))) return at;
  }
  return kNone;
}

Decoded value_decode(View bytes, std::size_t most) {
  const Head head = head_of(bytes);
  const View data = bytes.substr(kHead, head.length - kHead);
  const std::size_t raw = std::min(head.raw, most);
  Decoded decoded{.name = head.lz4 ? "value-lz4" : "value-pglz"};
  Bytes out;
  if (head.lz4) {
    out.resize(raw);  // damaged: what came before, and zeros
    const int size = LZ4_decompress_safe(data.data(), out.data(), static_cast<int>(data.size()), static_cast<int>(raw));
    decoded.sure = size == static_cast<int>(raw);
  } else {
    std::size_t taken = 0;
    out = pglz_decode(data, raw, &taken);
    decoded.sure = out.size() == raw && taken == data.size();
  }
  decoded.cut = head.length > bytes.size();
  decoded.over = raw < head.raw;
  if (out.size() >= kLeastOutput) decoded.outputs.push_back(std::move(out));
  return decoded;
}

}  // namespace

std::vector<Decoder> postgres_decoders() {
  return {{"value", value_next, value_decode},
          {"wal", wal_next, wal_decode},
          {"record", record_next, record_decode, false, true}};
}

const std::vector<Decoder>& decoders() {
  static const std::vector<Decoder> all = [] {
    std::vector<Decoder> out = stream_decoders();
    for (const auto& family : {text_decoders(), postgres_decoders()})
      out.insert(out.end(), family.begin(), family.end());
    return out;
  }();
  return all;
}

}  // namespace domicile::census
