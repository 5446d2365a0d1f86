#include "census/plant.hpp"

#include <lz4.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdint>
#include <cstring>

#include "census/scan.hpp"

namespace domicile::census {

namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

std::string deflated(std::string_view bytes, int window_bits) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  (void)deflate(&stream, Z_FINISH);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const auto size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3);
  out.resize(ZSTD_isError(size) ? 0 : size);
  return out;
}

std::string lz4(std::string_view bytes) {
  std::string out(LZ4F_compressFrameBound(bytes.size(), nullptr), '\0');
  const auto size = LZ4F_compressFrame(out.data(), out.size(), bytes.data(), bytes.size(), nullptr);
  out.resize(LZ4F_isError(size) ? 0 : size);
  return out;
}

// What a value needs around it to get smaller, since PostgreSQL keeps no other compressed ones.
std::string padded(std::string_view bytes) {
  return std::string(400, 'p') + std::string(bytes) + std::string(400, 'q');
}

std::string value(std::string_view compressed, std::size_t raw, std::uint32_t method) {
  const std::uint32_t head[2] = {static_cast<std::uint32_t>(compressed.size() + 8) << 2 | 2,
                                 static_cast<std::uint32_t>(raw) | method << 30};
  std::string out(sizeof head, '\0');
  std::memcpy(out.data(), head, sizeof head);
  return out.append(compressed);
}

// A literal byte, then a match one byte back, over and over: what pglz makes of a run; everything else as it is.
std::string pglz_items(std::string_view bytes) {
  std::string out, items;
  unsigned control = 0, count = 0;
  const auto flush = [&] {
    out += static_cast<char>(control);
    out += items;
    items.clear();
    control = count = 0;
  };
  for (std::size_t at = 0; at < bytes.size();) {
    std::size_t run = 0;
    while (at > 0 && at + run < bytes.size() && run < 17 && bytes[at + run] == bytes[at - 1]) ++run;
    if (run >= 3) {
      control |= 1U << count;
      items += static_cast<char>(run - 3);
      items += '\1';
      at += run;
    } else {
      items += bytes[at++];
    }
    if (++count == 8) flush();
  }
  if (count != 0) flush();
  return out;
}

std::string pglz_value(std::string_view bytes) {
  const std::string raw = padded(bytes);
  return value(pglz_items(raw), raw.size(), 0);
}

std::string lz4_value(std::string_view bytes) {
  const std::string raw = padded(bytes);
  std::string out(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(raw.size()))), '\0');
  out.resize(static_cast<std::size_t>(
      LZ4_compress_default(raw.data(), out.data(), static_cast<int>(raw.size()), static_cast<int>(out.size()))));
  return value(out, raw.size(), 1);
}

std::string in_lines(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += 76) out += text.substr(at, 76) + "\n";
  return out;
}

// Chunks so small that everything is cut.
std::string chunked(std::string_view bytes) {
  std::string out = "\r\n";
  for (std::size_t at = 0; at < bytes.size(); at += 19) {
    const auto chunk = bytes.substr(at, 19);
    out += fmt::format("{:x}\r\n", chunk.size());
    out += chunk;
    out += "\r\n";
  }
  return out + "0\r\n\r\n";
}

// pg_dump's custom format, in pieces so small that everything is cut.
std::string dump_pieces(std::string_view bytes) {
  const std::string packed = deflated(bytes, 15);
  std::string out;
  const auto head = [&out](std::size_t size) {
    out += '\0';
    for (int i = 0; i < 4; ++i) out += static_cast<char>(size >> (8 * i) & 255);
  };
  for (std::size_t at = 0; at < packed.size(); at += 23) {
    const std::string piece = packed.substr(at, 23);
    head(piece.size());
    out += piece;
  }
  head(0);
  return out;
}

bool found(const std::string& bytes, const Searcher& searcher) {
  Findings findings;
  scan_bytes(bytes, searcher, {}, findings);
  return !findings.hits.empty();
}

bool ascii(std::string_view bytes) {
  for (const char c : bytes)
    if (c < 0x20 && c != '\n' && c != '\r') return false;
  return true;
}

}  // namespace

std::string to_base64(std::string_view bytes, bool url_alphabet) {
  const std::string_view alphabet = url_alphabet ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                                                 : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    unsigned group = 0;
    for (std::size_t i = 0; i < 3; ++i)
      group = group << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) out += i <= count ? alphabet[group >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

std::string to_hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::string to_utf16(std::string_view ascii, bool big_endian) {
  std::string out;
  for (const char c : ascii) {
    if (big_endian) out += '\0';
    out += c;
    if (!big_endian) out += '\0';
  }
  return out;
}

std::string to_url(std::string_view bytes, std::string_view digits) {
  std::string out;
  for (const char c : bytes)
    out.append({'%', digits[static_cast<unsigned char>(c) >> 4], digits[static_cast<unsigned char>(c) & 15]});
  return out;
}

std::string to_json(std::string_view bytes, std::string_view digits) {
  std::string out;
  for (const char c : bytes)
    out.append("\\u00").append(
        {digits[static_cast<unsigned char>(c) >> 4], digits[static_cast<unsigned char>(c) & 15]});
  return out;
}

const std::vector<Wrapping>& wrappings() {
  static const std::vector<Wrapping> all = {
      {"base64", false, [](std::string_view b) { return to_base64(b); }},
      {"base64-url", false, [](std::string_view b) { return to_base64(b, true); }},
      {"base64-lines", false, [](std::string_view b) { return in_lines(to_base64(b)); }},
      {"hex", false, [](std::string_view b) { return to_hex(b); }},
      {"utf16le", true, [](std::string_view b) { return to_utf16(b, false); }},
      {"utf16be", true, [](std::string_view b) { return to_utf16(b, true); }},
      {"url", false, [](std::string_view b) { return to_url(b, kDigits); }},
      {"json", false, [](std::string_view b) { return to_json(b, kDigits); }},
      {"chunked", false, chunked},
      {"gzip", false, [](std::string_view b) { return deflated(b, 15 + 16); }},
      {"zlib", false, [](std::string_view b) { return deflated(b, 15); }},
      {"zstd", false, zstd},
      {"lz4", false, lz4},
      {"value-pglz", false, pglz_value},
      {"value-lz4", false, lz4_value},
      {"dump", false, dump_pieces},
  };
  return all;
}

Result<std::vector<std::string>> blind_spots() {
  const Canary canary = TRY(make_canary("self-test"));
  const Searcher searcher(needles({canary}));
  std::vector<std::string> missed;
  if (!found(canary.value, searcher)) missed.push_back("raw");
  for (const Wrapping& inner : wrappings()) {
    const std::string once = inner.wrap(canary.value);
    if (!found(once, searcher)) missed.push_back(inner.name);
    for (const Wrapping& outer : wrappings())
      if ((!outer.text_only || ascii(once)) && !found(outer.wrap(once), searcher))
        missed.push_back(outer.name + " > " + inner.name);
  }
  return missed;
}

}  // namespace domicile::census
