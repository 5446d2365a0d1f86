// gzip, zlib (also in pg_dump's pieces), zstd and lz4 frames, found by their magic and decoded by their own libraries.
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <memory>

#include "census/decoder.hpp"

namespace domicile::census {

namespace {

constexpr std::size_t kPiece = 64 << 10;
// Two bytes of magic are soon there by chance; a stream of so many bytes is not.
constexpr std::size_t kBelievable = 1024;

// Room for the next piece of output; false: it is full.
bool grow(Bytes& out, std::size_t used, std::size_t most) {
  if (used >= most) return false;
  out.resize(std::min(most, used + std::max(kPiece, used)));
  return true;
}

Decoded finish(Decoded decoded, Bytes out, std::size_t used) {
  out.resize(used);
  decoded.sure = !decoded.damaged || used >= kBelievable;
  if (used >= kLeastOutput) decoded.outputs.push_back(std::move(out));
  return decoded;
}

Decoded inflate_stream(View bytes, std::size_t most, int window_bits) {
  z_stream stream{};
  if (inflateInit2(&stream, window_bits) != Z_OK) return {.over = true};
  const std::unique_ptr<z_stream, int (*)(z_streamp)> end(&stream, inflateEnd);
  const std::size_t given = std::min<std::size_t>(bytes.size(), 1U << 31);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(given);
  Decoded decoded;
  Bytes out;
  std::size_t used = 0;
  // The first piece is small: most candidates are none and fail within a few bytes.
  out.resize(std::min<std::size_t>(most, 1024));
  while (true) {
    if (used == out.size() && !grow(out, used, most)) {
      decoded.over = true;
      break;
    }
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + used);
    stream.avail_out = static_cast<uInt>(out.size() - used);
    const int code = inflate(&stream, Z_NO_FLUSH);
    used = out.size() - stream.avail_out;
    if (code == Z_STREAM_END) {
      decoded.consumed = given - stream.avail_in;
      break;
    }
    if (code != Z_OK && code != Z_BUF_ERROR) {
      decoded.damaged = true;
      break;
    }
    if (stream.avail_in == 0 && stream.avail_out != 0) {
      decoded.cut = true;
      break;
    }
  }
  return finish(std::move(decoded), std::move(out), used);
}

Decoded gzip_decode(View bytes, std::size_t most) { return inflate_stream(bytes, most, 15 + 16); }
Decoded zlib_decode(View bytes, std::size_t most) { return inflate_stream(bytes, most, 15); }

// By its second byte, the rarest in text.
std::size_t gzip_next(View bytes, std::size_t from) {
  for (std::size_t at = from + 1; (at = find_byte(bytes, at, 0x8b)) != kNone; ++at)
    if (at + 2 < bytes.size() && u8(bytes, at - 1) == 0x1f && u8(bytes, at + 1) == 8 && (u8(bytes, at + 2) & 0xe0) == 0)
      return at - 1;
  return kNone;
}

// 78 is a window of 32 KiB, which every writer uses; the second byte makes both a multiple of 31. Block type 3 does not
// exist.
std::size_t zlib_next(View bytes, std::size_t from) {
  for (std::size_t at = from; (at = find_byte(bytes, at, 0x78)) != kNone; ++at) {
    if (at + 2 >= bytes.size()) return kNone;
    const auto flags = u8(bytes, at + 1);
    const bool known = flags == 0x01 || flags == 0x5e || flags == 0x9c || flags == 0xda;
    if (known && (u8(bytes, at + 2) & 6) != 6) return at;
  }
  return kNone;
}

// pg_dump's custom format: a zlib stream in pieces, each behind a zero (the sign) and its length in four bytes; a
// length of 0 ends it.
constexpr std::size_t kPieceHead = 5;
constexpr std::size_t kMostPiece = 1 << 20;  // pg_dump 15 writes pieces of 4 KiB

std::size_t dump_next(View bytes, std::size_t from) {
  for (std::size_t at = from + kPieceHead; (at = zlib_next(bytes, at)) != kNone; ++at)
    if (const auto size = u32(bytes, at - 4); u8(bytes, at - kPieceHead) == 0 && size > 0 && size <= kMostPiece)
      return at - kPieceHead;
  return kNone;
}

Decoded dump_decode(View bytes, std::size_t most) {
  Bytes joined;
  std::size_t at = 0;
  bool ended = false;
  while (!ended && at + kPieceHead <= bytes.size() && u8(bytes, at) == 0) {
    const std::size_t size = u32(bytes, at + 1);
    if (size > kMostPiece) break;
    joined += bytes.substr(at + kPieceHead, size);
    at += kPieceHead + size;
    ended = size == 0;
  }
  Decoded decoded = inflate_stream(joined, most, 15);
  decoded.cut = !ended && at + kPieceHead > bytes.size();
  if (decoded.consumed > 0) decoded.consumed = std::min(at, bytes.size());
  return decoded;
}

std::size_t magic_next(View bytes, std::size_t from, std::uint32_t magic, std::size_t rare) {
  const auto wanted = static_cast<unsigned char>(magic >> (8 * rare));
  for (std::size_t at = from + rare; (at = find_byte(bytes, at, wanted)) != kNone; ++at)
    if (at - rare + 4 <= bytes.size() && u32(bytes, at - rare) == magic) return at - rare;
  return kNone;
}

std::size_t zstd_next(View bytes, std::size_t from) { return magic_next(bytes, from, ZSTD_MAGICNUMBER, 3); }
std::size_t lz4_next(View bytes, std::size_t from) { return magic_next(bytes, from, 0x184D2204, 3); }

// A frame that needs a larger window than we give it, and no noise behind a magic that is there by chance: nobody
// writes windows over 2 GiB, nor texts over 1 TiB, and a frame with a dictionary is not decoded at all.
constexpr int kMostWindowLog = 27;  // the window is memory that is taken before anything is decoded

bool wide_frame(View bytes) {
  constexpr std::uint8_t kDictionary = 0x03, kReserved = 0x08, kSingleSegment = 0x20;
  const auto descriptor = u8(bytes, 4);
  if ((descriptor & (kDictionary | kReserved)) != 0) return false;
  if ((descriptor & kSingleSegment) != 0) return ZSTD_getFrameContentSize(bytes.data(), bytes.size()) < 1ULL << 40;
  return (u8(bytes, 5) >> 3) + 10 <= 31;
}

Decoded zstd_decode(View bytes, std::size_t most) {
  const std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(), ZSTD_freeDStream);
  if (!stream) return {.over = true};
  ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, kMostWindowLog);
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  Decoded decoded;
  Bytes out;
  std::size_t used = 0;
  while (true) {
    if (used == out.size() && !grow(out, used, most)) {
      decoded.over = true;
      break;
    }
    ZSTD_outBuffer target{out.data(), out.size(), used};
    const std::size_t code = ZSTD_decompressStream(stream.get(), &target, &in);
    used = target.pos;
    if (ZSTD_isError(code)) {
      decoded.over = ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge && wide_frame(bytes);
      decoded.damaged = !decoded.over;
      break;
    }
    if (code == 0) {
      decoded.consumed = in.pos;
      break;
    }
    if (in.pos == in.size && used < out.size()) {
      decoded.cut = true;
      break;
    }
  }
  return finish(std::move(decoded), std::move(out), used);
}

struct Lz4Context {
  LZ4F_dctx* context = nullptr;
  ~Lz4Context() { LZ4F_freeDecompressionContext(context); }
};

Decoded lz4_decode(View bytes, std::size_t most) {
  Lz4Context owner;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&owner.context, LZ4F_VERSION))) return {.over = true};
  Decoded decoded;
  Bytes out;
  std::size_t used = 0, taken = 0;
  while (true) {
    if (used == out.size() && !grow(out, used, most)) {
      decoded.over = true;
      break;
    }
    std::size_t room = out.size() - used, given = bytes.size() - taken;
    const std::size_t code =
        LZ4F_decompress(owner.context, out.data() + used, &room, bytes.data() + taken, &given, nullptr);
    if (LZ4F_isError(code)) {
      decoded.damaged = true;
      break;
    }
    used += room;
    taken += given;
    if (room == 0 && given == 0 && taken < bytes.size() && used < out.size()) {  // no progress: never for ever
      decoded.damaged = true;
      break;
    }
    if (code == 0) {
      decoded.consumed = taken;
      break;
    }
    if (taken == bytes.size() && used < out.size()) {
      decoded.cut = true;
      break;
    }
  }
  return finish(std::move(decoded), std::move(out), used);
}

}  // namespace

std::vector<Decoder> stream_decoders() {
  return {{"gzip", gzip_next, gzip_decode, true},
          {"zlib", zlib_next, zlib_decode, false},
          {"dump", dump_next, dump_decode, false},
          {"zstd", zstd_next, zstd_decode, true},
          {"lz4", lz4_next, lz4_decode, true}};
}

}  // namespace domicile::census
