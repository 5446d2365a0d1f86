#include "census/wal.hpp"

#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <bit>

#include "census/pglz.hpp"

namespace domicile::census {

namespace {

// access/xlog_internal.h and access/xlogrecord.h of PostgreSQL 15.
constexpr std::size_t kShortHeader = 24, kLongHeader = 40;
constexpr std::uint16_t kAllFlags = 0x000f, kLongFlag = 0x0002;
constexpr std::uint16_t kOldest = 0xd101, kNewest = 0xd11f;  // PostgreSQL 12, and some way beyond 18
constexpr std::uint32_t kMostTimelines = 1U << 24, kMostRecord = 1U << 30;
constexpr std::size_t kRecordHeader = 24;
constexpr std::uint8_t kMaxBlock = 32;
constexpr std::uint8_t kLastManager = 22, kFirstCustomManager = 128;
constexpr std::uint8_t kHasImage = 0x10, kSameRelation = 0x80;
constexpr std::uint8_t kHasHole = 0x01, kPglz = 0x04, kLz4 = 0x08, kZstd = 0x10;
constexpr std::uint8_t kDataShort = 255, kDataLong = 254, kOrigin = 253, kTopLevel = 252;

struct Image {
  std::size_t length = 0, raw = 0;
  std::uint8_t method = 0;      // 0: not compressed
  std::size_t data_length = 0;  // of the block's other data, which follows on the image
};

// Reads fields of a record's head one after the other; `ok` turns false at its end.
struct Fields {
  View bytes;
  std::size_t at;
  bool ok = true;
  template <class Number>
  Number take() {
    if (bytes.size() - at < sizeof(Number)) {
      ok = false;
      at = bytes.size();
      return 0;
    }
    at += sizeof(Number);
    return load<Number>(bytes.data() + at - sizeof(Number));
  }
  void skip(std::size_t count) {
    ok = ok && bytes.size() - at >= count;
    at += std::min(count, bytes.size() - at);
  }
};

Image take_image(Fields& fields) {
  Image image;
  image.length = fields.take<std::uint16_t>();
  fields.skip(2);  // offset of the hole
  const auto info = fields.take<std::uint8_t>();
  image.method = info & (kPglz | kLz4 | kZstd);
  std::size_t hole = 0;
  if (image.method != 0 && (info & kHasHole) != 0) hole = fields.take<std::uint16_t>();
  if (image.length > kPageSize || hole > kPageSize) fields.ok = false;
  image.raw = kPageSize - std::min(hole, kPageSize);
  return image;
}

Image take_block(Fields& fields) {
  const auto flags = fields.take<std::uint8_t>();
  const auto data_length = fields.take<std::uint16_t>();
  Image image;
  if ((flags & kHasImage) != 0) image = take_image(fields);
  image.data_length = data_length;
  if ((flags & kSameRelation) == 0) fields.skip(12);
  fields.skip(4);  // block number
  return image;
}

// The images of a record in the order of their bytes, which begin at fields.at afterwards. Empty: it is no record.
std::vector<Image> take_heads(Fields& fields, std::size_t end) {
  std::vector<Image> images;
  std::size_t rest = 0;  // bytes behind the heads, as far as they are known
  while (fields.ok && fields.at < end && end - fields.at > rest) {
    const auto id = fields.take<std::uint8_t>();
    if (id <= kMaxBlock) {
      images.push_back(take_block(fields));
      rest += images.back().length + images.back().data_length;
    } else if (id == kDataShort || id == kDataLong) {
      rest += id == kDataShort ? fields.take<std::uint8_t>() : fields.take<std::uint32_t>();
      break;  // always the last
    } else if (id == kOrigin || id == kTopLevel) {
      fields.skip(id == kOrigin ? 2 : 4);
    } else {
      fields.ok = false;
    }
  }
  if (!fields.ok || fields.at + rest != end) images.clear();
  return images;
}

Bytes lz4_image(View bytes, std::size_t raw) {
  Bytes out(raw, '\0');
  (void)LZ4_decompress_safe(bytes.data(), out.data(), static_cast<int>(bytes.size()), static_cast<int>(raw));
  return out;  // damaged: what came before, and zeros
}

Bytes zstd_image(View bytes, std::size_t raw) {
  Bytes out(raw, '\0');
  (void)ZSTD_decompress(out.data(), raw, bytes.data(), bytes.size());
  return out;
}

std::string_view name_of(std::uint8_t method) {
  return method == kPglz ? "page-pglz" : method == kLz4 ? "page-lz4" : "page-zstd";
}

}  // namespace

std::optional<WalPage> wal_page(View bytes) {
  if (bytes.size() < kLongHeader) return {};
  const auto magic = u16(bytes, 0), flags = u16(bytes, 2);
  const auto timeline = u32(bytes, 4), left = u32(bytes, 16);
  const auto address = u64(bytes, 8);
  if (magic < kOldest || magic > kNewest || (flags & ~kAllFlags) != 0) return {};
  if (timeline == 0 || timeline > kMostTimelines || address == 0 || address % kPageSize != 0) return {};
  if (address >> 56 != 0 || left > kMostRecord) return {};
  // The first page of a segment says how large segment and page are.
  if ((flags & kLongFlag) != 0 && (!std::has_single_bit(u32(bytes, 32)) || u32(bytes, 36) != kPageSize)) return {};
  return WalPage{(flags & kLongFlag) != 0 ? kLongHeader : kShortHeader, timeline, address};
}

std::size_t wal_next(View bytes, std::size_t from) {
  for (std::size_t at = from + 1; (at = find_byte(bytes, at, 0xd1)) != kNone; ++at)
    if (wal_page(bytes.substr(at - 1))) return at - 1;
  return kNone;
}

Decoded wal_decode(View bytes, std::size_t most) {
  Decoded decoded{.wal = true};
  Bytes out;
  std::uint64_t address = 0;
  while (true) {
    const View rest = bytes.substr(decoded.consumed);
    const auto page = wal_page(rest);
    if (!page || (address != 0 && page->address != address + kPageSize)) break;
    if (out.size() + kPageSize > most) {
      decoded.over = true;
      break;
    }
    address = page->address;
    out += rest.substr(page->header, kPageSize - page->header);
    decoded.consumed += std::min(kPageSize, rest.size());
  }
  decoded.cut = bytes.size() - decoded.consumed < kLongHeader;
  decoded.outputs.push_back(std::move(out));
  return decoded;
}

std::size_t record_next(View bytes, std::size_t from) {
  for (std::size_t at = (from + 7) / 8 * 8; at + kRecordHeader + 2 <= bytes.size(); at += 8) {
    const auto length = u32(bytes, at);
    if (length < kRecordHeader + 8 || length > (1U << 24) || u16(bytes, at + 18) != 0) continue;
    const auto manager = u8(bytes, at + 17);
    if (manager > kLastManager && manager < kFirstCustomManager) continue;
    if (u8(bytes, at + kRecordHeader) <= kMaxBlock) return at;
  }
  return kNone;
}

Decoded record_decode(View bytes, std::size_t) {
  const std::size_t end = u32(bytes, 0);
  Decoded decoded;
  decoded.cut = end > bytes.size();
  Fields fields{bytes, kRecordHeader};
  const auto images = take_heads(fields, end);
  for (const Image& image : images) {
    const View data = bytes.substr(std::min(fields.at, bytes.size()), image.length);
    fields.at += image.length + image.data_length;
    if (image.method == 0) continue;
    decoded.name = name_of(image.method);
    decoded.outputs.push_back(image.method == kPglz  ? pglz_decode(data, image.raw)
                              : image.method == kLz4 ? lz4_image(data, image.raw)
                                                     : zstd_image(data, image.raw));
  }
  if (images.empty()) decoded.cut = false;
  return decoded;
}

}  // namespace domicile::census
