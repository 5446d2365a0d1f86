// What PostgreSQL writes, made by its own compressor where there is one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lz4.h>
#include <rapidcheck/gtest.h>

#include "census/pglz.hpp"
#include "census/plant.hpp"
#include "census/scan.hpp"
#include "census/toast.hpp"
#include "census/wal.hpp"

// common/pg_lzcompress.h, without PostgreSQL's other headers.
extern "C" {
struct PGLZ_Strategy;
extern const PGLZ_Strategy* const PGLZ_strategy_always;
std::int32_t pglz_compress(const char* source, std::int32_t slen, char* dest, const PGLZ_Strategy* strategy);
std::int32_t pglz_decompress(const char* source, std::int32_t slen, char* dest, std::int32_t rawsize, bool complete);
}

namespace domicile::census {
namespace {

const Canary kCanary{"planted", "k3v9qzt0x7m1w8c5r2p6y4n0b9h7g1"};
const Searcher kSearcher(needles({kCanary}));

// Empty: PostgreSQL would not compress it.
Bytes postgres_pglz(const Bytes& raw) {
  Bytes out(raw.size() + 4 + 16, '\0');
  const auto size = pglz_compress(raw.data(), static_cast<std::int32_t>(raw.size()), out.data(), PGLZ_strategy_always);
  out.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return out;
}

std::vector<std::string> chains(const Bytes& bytes) {
  Findings findings;
  scan_bytes(bytes, kSearcher, {}, findings);
  std::vector<std::string> out;
  for (const auto& entry : findings.hits) out.push_back(std::get<3>(entry.first));
  return out;
}

template <class Number>
Bytes le(Number number) {
  return Bytes(reinterpret_cast<const char*>(&number), sizeof number);
}

// Text that compresses well around a canary that does not.
Bytes story(std::size_t size) {
  Bytes out;
  while (out.size() < size / 2) out += "the same words again, ";
  out += kCanary.value;
  while (out.size() < size) out += "and other words as often, ";
  return out;
}

RC_GTEST_PROP(Pglz, UndoesWhatPostgresDid, ()) {
  Bytes raw;
  for (const int c : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 4)))
    raw.append(static_cast<std::size_t>(c * c * 9 + 1), static_cast<char>('a' + c));
  const Bytes compressed = postgres_pglz(raw);
  if (compressed.empty()) return;
  RC_ASSERT(pglz_decode(compressed, raw.size()) == raw);
  // A part gives a part.
  const auto some = *rc::gen::inRange<std::size_t>(0, compressed.size() + 1);
  RC_ASSERT(raw.starts_with(pglz_decode(View(compressed).substr(0, some), raw.size())));
}

TEST(Pglz, OurPlantedValuesAreReadByPostgres) {
  for (const auto& wrapping : wrappings()) {
    if (wrapping.name != "value-pglz") continue;
    const Bytes value = wrapping.wrap(kCanary.value);
    Bytes raw(u32(value, 4), '\0');
    const auto size = static_cast<std::int32_t>(raw.size());
    EXPECT_EQ(pglz_decompress(value.data() + 8, static_cast<std::int32_t>(value.size()) - 8, raw.data(), size, true),
              size);
    EXPECT_NE(raw.find(kCanary.value), Bytes::npos);
  }
}

TEST(Toast, PutsChunksTogetherInAnyOrder) {
  const Bytes raw = [] {
    Bytes out;
    for (int i = 0; out.size() < 60'000; ++i) out += std::to_string(i * 7919) + (i % 3 == 0 ? " word " : ",");
    return out + kCanary.value + "the end";
  }();
  const Bytes compressed = le(static_cast<std::uint32_t>(raw.size())) + postgres_pglz(raw);
  ASSERT_GT(compressed.size(), 3 * 1996u);
  std::vector<Bytes> chunks;
  for (std::uint32_t at = 0, number = 0; at < compressed.size(); at += 1996, ++number) {
    const Bytes data = compressed.substr(at, 1996);
    chunks.push_back(le(std::uint32_t{77'001}) + le(number) + le(static_cast<std::uint32_t>(data.size() + 4) << 2) +
                     data + "tuple head");
  }
  for (int order = 0; order < 3; ++order) {
    Bytes bytes(100, '\0');
    for (const auto& chunk : chunks) bytes += chunk;
    EXPECT_THAT(chains(bytes), testing::Contains("toast-pglz > raw")) << order;
    if (order == 0) std::reverse(chunks.begin(), chunks.end());
    if (order == 1) std::swap(chunks[0], chunks[2]);
  }
}

TEST(Toast, FindsACanaryThatIsCutByTwoChunks) {
  const Bytes kGap = "=gap=";  // begins with no letter of a canary: it could be the one that was cut off
  for (const std::size_t cut : {1UL, 15UL, 29UL}) {
    const Bytes value = Bytes(1996 - cut, '.') + kCanary.value + Bytes(100, '.');
    const Bytes bytes = le(99'000U) + le(0U) + le(2000U << 2) + value.substr(0, 1996) + kGap + le(99'000U) + le(1U) +
                        le(static_cast<std::uint32_t>(value.size() - 1996 + 4) << 2) + value.substr(1996) + "end";
    EXPECT_THAT(chains(bytes), testing::ElementsAre("toast > raw")) << cut;
  }
}

TEST(Toast, GivesUpWhatIsMoreThanItKeeps) {
  ToastShelf shelf(3000);
  Bytes bytes;
  for (std::uint32_t i = 0; i < 3; ++i) bytes += le(5U) + le(i) + le(2000U << 2) + Bytes(1996, 'x');
  (void)shelf.collect(bytes, bytes.size());
  EXPECT_TRUE(shelf.overflowed());
}

TEST(Value, IsFoundAtEveryAlignment) {
  const Bytes raw = story(3000), packed = postgres_pglz(raw);
  const Bytes value =
      le(static_cast<std::uint32_t>(packed.size() + 8) << 2 | 2) + le(static_cast<std::uint32_t>(raw.size())) + packed;
  for (std::size_t before = 0; before < 9; ++before)
    EXPECT_THAT(chains(Bytes(before, '\0') + value), testing::Contains("value-pglz > raw")) << before;
}

// One page of WAL after another, with `bytes` as its content from the first page's header on.
Bytes pages(const Bytes& bytes) {
  Bytes out;
  std::uint64_t address = 0x3000000;
  for (std::size_t at = 0; at < bytes.size() || at == 0; address += kPageSize) {
    const bool first = at == 0;
    Bytes header = le(std::uint16_t{0xD110}) + le(static_cast<std::uint16_t>(first ? 2 : 1)) + le(std::uint32_t{1}) +
                   le(address) + Bytes(8, '\0') + (first ? le(std::uint64_t{1}) + le(1U << 24) + le(8192U) : Bytes());
    const std::size_t room = kPageSize - header.size();
    out += header + bytes.substr(at, room);
    at += room;
  }
  return out;
}

TEST(Wal, FindsACanaryThatAPageHeaderInterrupts) {
  for (const std::size_t cut : {1UL, 7UL, 15UL, 29UL}) {
    const Bytes bytes = pages(Bytes(kPageSize - 40 - cut, '.') + kCanary.value + Bytes(300, '.'));
    EXPECT_THAT(chains("some archive" + bytes), testing::ElementsAre("wal > raw")) << cut;
  }
}

Bytes record(const Bytes& heads_and_data) {
  return le(static_cast<std::uint32_t>(heads_and_data.size() + 24)) + le(7U) + le(std::uint64_t{0x3000028}) +
         Bytes("\0\x0a\0\0", 4) + le(0xC0FFEEU) + heads_and_data;
}

TEST(Wal, FindsWhatACompressedPageImageHolds) {
  const Bytes hole = story(6000);
  Bytes packed_lz4(7000, '\0');
  packed_lz4.resize(static_cast<std::size_t>(
      LZ4_compress_default(hole.data(), packed_lz4.data(), static_cast<int>(hole.size()), 7000)));
  const std::vector<std::pair<std::string, Bytes>> methods = {{"\x07", postgres_pglz(hole)}, {"\x0b", packed_lz4}};
  for (const auto& method : methods) {
    const auto length = static_cast<std::uint16_t>(method.second.size());
    const Bytes heads = Bytes("\0\x10", 2) + le(std::uint16_t{0}) + le(length) + le(std::uint16_t{100}) + method.first +
                        le(static_cast<std::uint16_t>(kPageSize - hole.size())) + Bytes(16, '\3') +
                        Bytes("\xff\x03", 2);
    const Bytes bytes = pages(Bytes(8, '\1') + record(heads + method.second + "end"));
    EXPECT_THAT(chains(bytes), testing::Contains(testing::HasSubstr("wal > page-"))) << int(method.first[0]);
  }
}

}  // namespace
}  // namespace domicile::census
