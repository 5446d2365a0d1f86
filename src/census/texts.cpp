// Encodings made of text: base64, hex, UTF-16, URL and JSON escapes, chunked HTTP. What they hold may itself be
// compressed, so that a search for encoded needles is not enough.
#include <algorithm>
#include <array>

#include "census/decoder.hpp"

namespace domicile::census {

namespace {

using Table = std::array<signed char, 256>;  // value of a digit; -1: none

constexpr Table base64_table() {
  Table table{};
  for (auto& value : table) value = -1;
  for (int i = 0; i < 26; ++i) {
    table[static_cast<std::size_t>('A' + i)] = static_cast<signed char>(i);
    table[static_cast<std::size_t>('a' + i)] = static_cast<signed char>(26 + i);
  }
  for (int i = 0; i < 10; ++i) table[static_cast<std::size_t>('0' + i)] = static_cast<signed char>(52 + i);
  table['+'] = table['-'] = 62;
  table['/'] = table['_'] = 63;
  return table;
}

constexpr Table hex_table() {
  Table table{};
  for (auto& value : table) value = -1;
  for (int i = 0; i < 10; ++i) table[static_cast<std::size_t>('0' + i)] = static_cast<signed char>(i);
  for (int i = 0; i < 6; ++i) {
    table[static_cast<std::size_t>('a' + i)] = static_cast<signed char>(10 + i);
    table[static_cast<std::size_t>('A' + i)] = static_cast<signed char>(10 + i);
  }
  return table;
}

constexpr Table kBase64 = base64_table();
constexpr Table kHex = hex_table();
// The shortest runs that can hold kLeastOutput bytes.
constexpr std::size_t kBase64Run = 36;
constexpr std::size_t kHexRun = 52;

int digit(const Table& table, View bytes, std::size_t at) {
  return at < bytes.size() ? table[static_cast<unsigned char>(bytes[at])] : -1;
}

// The next run of at least `least` digits. Only every least-th byte is looked at as long as it is none.
std::size_t next_run(const Table& table, std::size_t least, View bytes, std::size_t from) {
  std::size_t start = from;
  while (start + least <= bytes.size()) {
    const std::size_t probe = start + least - 1;
    if (digit(table, bytes, probe) < 0) {
      start = probe + 1;
      continue;
    }
    std::size_t begin = probe, end = probe + 1;
    while (begin > start && digit(table, bytes, begin - 1) >= 0) --begin;
    while (end - begin < least && digit(table, bytes, end) >= 0) ++end;
    if (end - begin >= least) return begin;
    start = end + 1;
  }
  return kNone;
}

// The digits of a run, across ends of lines (MIME, PEM, PostgreSQL's encode). `end`: where it ends.
Bytes run_digits(const Table& table, View bytes, std::size_t most, std::size_t& end) {
  Bytes digits;
  end = 0;
  while (digits.size() < most) {
    if (digit(table, bytes, end) >= 0) {
      digits += bytes[end++];
      continue;
    }
    const std::size_t line = end + (end < bytes.size() && bytes[end] == '\r' ? 1 : 0);
    if (line >= bytes.size() || bytes[line] != '\n' || digit(table, bytes, line + 1) < 0) break;
    end = line + 1;
  }
  return digits;
}

// `bits` of each digit, beginning with the digit number `skip`.
Bytes pack(const Table& table, unsigned bits, const Bytes& digits, std::size_t skip) {
  Bytes out;
  out.reserve(digits.size() * bits / 8 + 1);
  unsigned gathered = 0, count = 0;
  for (std::size_t i = skip; i < digits.size(); ++i) {
    gathered = (gathered << bits | static_cast<unsigned>(table[static_cast<unsigned char>(digits[i])])) & 0xffff;
    if ((count += bits) >= 8) {
      count -= 8;
      out += static_cast<char>(gathered >> count & 0xff);
    }
  }
  return out;
}

// What stands before the encoded text may consist of digits too: each alignment is tried.
Decoded run_decode(const Table& table, unsigned bits, std::size_t phases, View bytes, std::size_t most) {
  Decoded decoded;
  const Bytes digits = run_digits(table, bytes, most, decoded.consumed);
  decoded.cut = decoded.consumed + 2 >= bytes.size();  // a line may end here
  decoded.over = digits.size() >= most;
  for (std::size_t skip = 0; skip < phases; ++skip) decoded.outputs.push_back(pack(table, bits, digits, skip));
  return decoded;
}

std::size_t base64_next(View bytes, std::size_t from) { return next_run(kBase64, kBase64Run, bytes, from); }
Decoded base64_decode(View bytes, std::size_t most) { return run_decode(kBase64, 6, 4, bytes, most); }
std::size_t hex_next(View bytes, std::size_t from) { return next_run(kHex, kHexRun, bytes, from); }
Decoded hex_decode(View bytes, std::size_t most) { return run_decode(kHex, 4, 2, bytes, most); }

bool printable(char c) { return (c >= 0x20 && c < 0x7f) || c == '\t' || c == '\n' || c == '\r'; }

// Printable characters with zeros between them: both byte orders look the same from inside. Four of them are looked for
// at every 32nd byte, so that kLeastOutput in a row are not missed.
constexpr std::size_t kUtf16Step = 32;

bool utf16_at(View bytes, std::size_t at) {
  for (std::size_t i = at; i < at + 8; i += 2)
    if (!printable(bytes[i]) || bytes[i + 1] != 0) return false;
  return true;
}

std::size_t utf16_next(View bytes, std::size_t from) {
  for (std::size_t at = from; at + 9 <= bytes.size(); at += kUtf16Step) {
    const auto eight = u64(bytes, at);
    std::size_t begin = at;
    if ((eight & 0x00FF00FF00FF00FFULL) == 0)
      ++begin;
    else if ((eight & 0xFF00FF00FF00FF00ULL) != 0)
      continue;
    if (!utf16_at(bytes, begin)) continue;
    while (begin >= from + 2 && bytes[begin - 1] == 0 && printable(bytes[begin - 2])) begin -= 2;
    return begin;
  }
  return kNone;
}

Decoded utf16_decode(View bytes, std::size_t most) {
  Decoded decoded;
  Bytes out;
  std::size_t at = 0;
  while (out.size() < most && at < bytes.size() && printable(bytes[at])) {
    out += bytes[at++];
    if (at >= bytes.size() || bytes[at] != 0) break;
    ++at;
  }
  decoded.cut = at >= bytes.size();
  decoded.over = out.size() >= most;
  decoded.consumed = at;
  if (out.size() >= kLeastOutput) decoded.outputs.push_back(std::move(out));
  return decoded;
}

// Escapes belong to one text when between them there is no end of a word, or they stand so near each other as in
// escaped binary data. The word that they stand in begins before the first and ends behind the last.
constexpr std::size_t kNear = 16;
constexpr std::size_t kMostBefore = 1024;

bool in_word(char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '<' && c != '>'; }

// Length of the escape at `at`, and the byte that it means; 0: none.
using Escape = std::size_t (*)(View bytes, std::size_t at, char& meant);

std::size_t url_escape(View bytes, std::size_t at, char& meant) {
  const int high = digit(kHex, bytes, at + 1), low = digit(kHex, bytes, at + 2);
  if (bytes[at] != '%' || high < 0 || low < 0) return 0;
  meant = static_cast<char>(high << 4 | low);
  return 3;
}

std::size_t unicode_escape(View bytes, std::size_t at, char& meant) {
  unsigned code = 0;
  for (std::size_t i = at + 2; i < at + 6; ++i) {
    const int value = digit(kHex, bytes, i);
    if (value < 0) return 0;
    code = code << 4 | static_cast<unsigned>(value);
  }
  meant = code < 0x100 ? static_cast<char>(code) : '?';
  return 6;
}

std::size_t json_escape(View bytes, std::size_t at, char& meant) {
  constexpr View kShort = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
  if (bytes[at] != '\\' || at + 1 >= bytes.size()) return 0;
  if (bytes[at + 1] == 'u') return unicode_escape(bytes, at, meant);
  const auto which = kShort.find(bytes[at + 1]);
  if (which == kNone) return 0;
  meant = kMeant[which];
  return 2;
}

// In binary data such pairs are chance; text follows on an escape, or the end.
bool text_follows(View bytes, std::size_t at) {
  for (std::size_t i = at; i < at + 4 && i < bytes.size(); ++i)
    if (!printable(bytes[i])) return false;
  return true;
}

std::size_t next_escape(Escape escape, char mark, View bytes, std::size_t from) {
  char meant = 0;
  for (std::size_t at = from; (at = find_byte(bytes, at, static_cast<unsigned char>(mark))) != kNone; ++at)
    if (escape(bytes, at, meant) != 0 && text_follows(bytes, at)) return at;
  return kNone;
}

std::size_t escaped_next(Escape escape, char mark, View bytes, std::size_t from) {
  std::size_t at = next_escape(escape, mark, bytes, from);
  if (at == kNone) return kNone;
  const std::size_t least = at - std::min(at - from, kMostBefore);
  while (at > least && in_word(bytes[at - 1])) --at;
  return at;
}

Decoded escaped_decode(Escape escape, char mark, View bytes, std::size_t most) {
  Decoded decoded;
  Bytes out;
  std::size_t at = 0, last = 0, foreign = 0;  // `foreign`: bytes of no word since the last escape's end
  const std::size_t first = next_escape(escape, mark, bytes, 0);
  while (out.size() < most && at < bytes.size()) {
    char meant = 0;
    const std::size_t length = at < first ? 0 : escape(bytes, at, meant);
    if (length != 0) {
      last = at + length;
      foreign = 0;
    } else {
      foreign += in_word(bytes[at]) ? 0 : 1;
      if (last != 0 && foreign != 0 && at >= last + kNear) break;
    }
    out += length == 0 ? bytes[at] : meant;
    at += std::max<std::size_t>(1, length);
  }
  decoded.cut = at >= bytes.size();
  decoded.over = out.size() >= most;
  decoded.consumed = last;
  if (last != 0) decoded.outputs.push_back(std::move(out));
  return decoded;
}

std::size_t url_next(View bytes, std::size_t from) { return escaped_next(url_escape, '%', bytes, from); }
Decoded url_decode(View bytes, std::size_t most) { return escaped_decode(url_escape, '%', bytes, most); }
std::size_t json_next(View bytes, std::size_t from) { return escaped_next(json_escape, '\\', bytes, from); }
Decoded json_decode(View bytes, std::size_t most) { return escaped_decode(json_escape, '\\', bytes, most); }

// `1f4\r\n` at `at`: the chunk's size; `at` moves behind it.
bool chunk_size(View bytes, std::size_t& at, std::size_t& size) {
  size = 0;
  std::size_t count = 0;
  for (; count < 8 && digit(kHex, bytes, at) >= 0; ++at, ++count)
    size = size << 4 | static_cast<std::size_t>(digit(kHex, bytes, at));
  if (count == 0 || bytes.substr(at, 2) != "\r\n") return false;
  at += 2;
  return true;
}

std::size_t chunked_next(View bytes, std::size_t from) {
  for (std::size_t at = from; (at = find_byte(bytes, at, '\r')) != kNone; ++at) {
    std::size_t behind = at + 2, size = 0;
    if (bytes.substr(at, 2) == "\r\n" && chunk_size(bytes, behind, size) && size != 0) return at;
  }
  return kNone;
}

// The chunks in a row; a last one that is cut off counts as far as it goes.
Decoded chunked_decode(View bytes, std::size_t most) {
  Decoded decoded;
  Bytes out;
  std::size_t at = 2, size = 0, chunks = 0;
  while (chunk_size(bytes, at, size) && size != 0) {
    const View chunk = bytes.substr(at, size);
    if (out.size() + chunk.size() > most) {
      decoded.over = true;
      break;
    }
    out += chunk;
    ++chunks;
    at += chunk.size();
    decoded.cut = at + 2 >= bytes.size();
    if (bytes.substr(at, 2) != "\r\n") break;
    decoded.consumed = at;
    at += 2;
  }
  if (chunks > 1) decoded.outputs.push_back(std::move(out));  // a single one is searched where it stands
  return decoded;
}

}  // namespace

std::vector<Decoder> text_decoders() {
  return {{"base64", base64_next, base64_decode}, {"hex", hex_next, hex_decode},
          {"utf16", utf16_next, utf16_decode},    {"url", url_next, url_decode},
          {"json", json_next, json_decode},       {"chunked", chunked_next, chunked_decode}};
}

}  // namespace domicile::census
