#include "census/toast.hpp"

#include <lz4.h>

#include <algorithm>
#include <bitset>

#include "census/decoder.hpp"
#include "census/pglz.hpp"

namespace domicile::census {

namespace {

// access/heaptoast.h of PostgreSQL 15 at a page size of 8 KiB: oid, int4, then a bytea with a length of four bytes.
constexpr std::size_t kFull = 1996;
constexpr std::size_t kChunkHead = 12;
constexpr std::uint32_t kMostChunks = (1U << 30) / kFull + 1;

bool joined(const std::map<std::uint32_t, Bytes>& chunks) {
  return !chunks.empty() && chunks.begin()->first == 0 && chunks.rbegin()->first + 1 == chunks.size();
}

// Up to the first gap.
Bytes join(const std::map<std::uint32_t, Bytes>& chunks) {
  Bytes out;
  std::uint32_t expected = 0;
  for (const auto& entry : chunks) {
    if (entry.first != expected++) break;
    out += entry.second;
  }
  return out;
}

}  // namespace

void ToastShelf::put(std::uint32_t id, std::uint32_t number, View chunk, bool last) {
  if (size_ + chunk.size() > most_) {
    overflowed_ = true;
    return;
  }
  auto& values = values_[id];
  for (Value& value : values) {
    const auto there = value.chunks.find(number);
    if (there != value.chunks.end() && there->second == chunk) return;
    if (there != value.chunks.end() || (last && (value.ended || value.chunks.rbegin()->first > number))) continue;
    value.chunks.emplace(number, chunk);
    value.ended = value.ended || last;
    size_ += chunk.size();
    return;
  }
  values.push_back({{{number, Bytes(chunk)}}, last});
  size_ += chunk.size();
}

void ToastShelf::collect_full(View bytes, std::size_t core) {
  constexpr std::uint32_t kHeader = (kFull + 4) << 2;
  const View wanted(reinterpret_cast<const char*>(&kHeader), 4);
  const View window = bytes.substr(0, std::min(bytes.size(), core + kChunkHead));
  for (std::size_t at = kChunkHead - 4; (at = window.find(wanted, at)) != kNone; ++at) {
    const auto id = u32(bytes, at - 8), number = u32(bytes, at - 4);
    if (id == 0 || number > kMostChunks || bytes.size() - at - 4 < kFull) continue;
    put(id, number, bytes.substr(at + 4, kFull), false);
  }
}

// A short chunk looks like any two numbers: it counts only for a value that is known already.
void ToastShelf::collect_last(View bytes, std::size_t core) {
  if (values_.empty() || bytes.size() < kChunkHead) return;
  std::bitset<65536> known;
  for (const auto& entry : values_) known.set(entry.first & 0xffff);
  const std::size_t end = std::min(core, bytes.size() - kChunkHead + 1);
  for (std::size_t at = 0; at < end; ++at) {
    if (!known[u16(bytes, at)]) continue;
    const auto id = u32(bytes, at), number = u32(bytes, at + 4), header = u32(bytes, at + 8);
    const std::size_t length = (header >> 2) - 4;
    if ((header & 3) != 0 || length >= kFull || length == 0 || number == 0 || number > kMostChunks) continue;
    if (values_.contains(id) && bytes.size() - at - kChunkHead >= length)
      put(id, number, bytes.substr(at + kChunkHead, length), true);
  }
}

std::vector<Bytes> ToastShelf::complete() {
  std::vector<Bytes> out;
  for (auto& entry : values_) {
    auto& values = entry.second;
    for (std::size_t i = 0; i < values.size();) {
      if (!values[i].ended || !joined(values[i].chunks)) {
        ++i;
        continue;
      }
      out.push_back(join(values[i].chunks));
      size_ -= out.back().size();
      values.erase(values.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  for (auto it = values_.begin(); it != values_.end();) it = it->second.empty() ? values_.erase(it) : std::next(it);
  return out;
}

std::vector<Bytes> ToastShelf::collect(View bytes, std::size_t core) {
  collect_full(bytes, core);
  collect_last(bytes, core);
  return values_.empty() ? std::vector<Bytes>{} : complete();
}

std::vector<Bytes> ToastShelf::rest() {
  std::vector<Bytes> out;
  for (const auto& entry : values_)
    for (const Value& value : entry.second)
      if (value.chunks.size() > 1 && value.chunks.begin()->first == 0) out.push_back(join(value.chunks));
  values_.clear();
  size_ = 0;
  return out;
}

Bytes toast_decode(View value, std::size_t most) {
  if (value.size() < 4 + kLeastOutput / 2) return {};
  const auto info = u32(value, 0);
  const std::size_t raw = std::min<std::size_t>(info & 0x3fffffff, most);
  const View data = value.substr(4);
  if (raw <= data.size() || raw > data.size() * 273 || info >> 30 > 1) return {};
  if (info >> 30 == 0) return pglz_decode(data, raw);
  Bytes out(raw, '\0');
  (void)LZ4_decompress_safe(data.data(), out.data(), static_cast<int>(data.size()), static_cast<int>(raw));
  return out;
}

}  // namespace domicile::census
