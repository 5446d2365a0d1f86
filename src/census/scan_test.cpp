// Canaries planted under chains of encodings, anywhere in any bytes, are found; random bytes are not taken for any.
#include "census/scan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>

#include "census/plant.hpp"

namespace domicile::census {
namespace {

const Canary kCanary{"planted", "k3v9qzt0x7m1w8c5r2p6y4n0b9h7g1"};
const Searcher kSearcher(needles({kCanary, Canary{"other", "u8d2fj5s0a6l3e9i7o1x4k2z8w5q6t"}}));

Bytes random_bytes(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  Bytes out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

Findings look_at(const Bytes& bytes, const Limits& limits = {}) {
  Findings findings;
  scan_bytes(bytes, kSearcher, limits, findings);
  return findings;
}

std::vector<std::string> chains(const Findings& findings) {
  std::vector<std::string> out;
  for (const auto& entry : findings.hits) out.push_back(std::get<3>(entry.first));
  return out;
}

bool planted_only(const Findings& findings) {
  for (const auto& entry : findings.hits)
    if (std::get<1>(entry.first) != 0) return false;
  return !findings.hits.empty();
}

TEST(Scan, HasNoBlindSpotUnderAnyPairOfEncodings) { EXPECT_THAT(blind_spots().value(), testing::IsEmpty()); }

TEST(Scan, FindsEachNeedleAtEachPositionAroundABorderOfWindows) {
  constexpr std::size_t kBorder = 1 << 20, kEndOfBytesAhead = kBorder + (128 << 10);
  const Bytes filler = random_bytes(kBorder + (300 << 10), 1);
  for (const auto& needle : needles({kCanary}))
    for (std::size_t at :
         {0UL, 1UL, 22UL, 23UL, kBorder - needle.bytes.size(), kBorder - needle.bytes.size() / 2, kBorder - 1, kBorder,
          kBorder + 1, kEndOfBytesAhead - 10, kEndOfBytesAhead, filler.size() - needle.bytes.size()}) {
      Bytes bytes = filler;
      bytes.replace(at, needle.bytes.size(), needle.bytes);
      const auto findings = look_at(bytes);
      const auto hit = findings.hits.find({"memory", 0, needle.form, needle.form});
      ASSERT_NE(hit, findings.hits.end()) << needle.form << " at " << at;
      EXPECT_EQ(hit->second.offset, at);
      EXPECT_EQ(hit->second.count, 1u);
    }
}

TEST(Scan, FindsTheCanaryInsideALongerTextOfEveryAlignment) {
  for (std::size_t before = 0; before < 70; ++before) {
    const Bytes text = Bytes(before, '~') + kCanary.value + "@example.com";
    EXPECT_TRUE(planted_only(look_at("\"" + to_base64(text) + "\""))) << before;
    EXPECT_TRUE(planted_only(look_at("x" + to_base64(text, true)))) << before;
    Bytes lines;
    for (std::size_t at = 0; at < to_base64(text).size(); at += 76) lines += to_base64(text).substr(at, 76) + "\r\n";
    EXPECT_TRUE(planted_only(look_at(lines))) << before;
  }
}

// Only some of the characters are escaped, as a cautious writer does it.
TEST(Scan, FindsTextThatIsEscapedInPart) {
  const std::string& value = kCanary.value;
  const std::string digits = "0123456789abcdef";
  for (std::size_t at = 0; at < value.size(); ++at) {
    const std::string head = value.substr(0, at), tail = value.substr(at + 1);
    EXPECT_TRUE(planted_only(look_at("q=" + head + to_url(value.substr(at, 1), digits) + tail + "&"))) << at;
    EXPECT_TRUE(planted_only(look_at("{\"a\":\"" + head + to_json(value.substr(at, 1), digits) + tail + "\"}"))) << at;
  }
}

RC_GTEST_PROP(Scan, FindsAChainOfEncodingsAnywhereInRandomBytes, ()) {
  const auto before = *rc::gen::inRange<std::size_t>(0, 3000);
  const auto seed = *rc::gen::arbitrary<unsigned>();
  const auto depth = *rc::gen::inRange(0, 4);
  Bytes planted = *rc::gen::inRange(0, 2) == 0 ? kCanary.value : "mail: " + kCanary.email() + "\n";
  std::string chain = "raw";
  for (int i = 0; i < depth; ++i) {
    const auto& wrapping = wrappings()[*rc::gen::inRange<std::size_t>(0, wrappings().size())];
    if (wrapping.text_only && !std::all_of(planted.begin(), planted.end(), [](char c) { return c == '\n' || c >= 32; }))
      continue;
    planted = wrapping.wrap(planted);
    chain = wrapping.name + " > " + chain;
  }
  // Not by chance a letter before or behind, which would be one more digit of base64: that is another test's.
  const Bytes bytes = random_bytes(before, seed) + "\1" + planted + "\1" + random_bytes(500, seed + 1);
  RC_LOG() << chain << " at " << before;
  const auto findings = look_at(bytes);
  RC_ASSERT(planted_only(findings));
  RC_ASSERT(findings.gaps.empty());
}

// Huffman codes: nothing of the canary is there before it is decoded.
Bytes deep_in_gzip(std::size_t before) {
  const Bytes packed = wrappings()[9].wrap(to_hex(random_bytes(before, 7)) + kCanary.value);
  EXPECT_EQ(packed.find(kCanary.value), Bytes::npos);
  return packed;
}

// One test each: under a sanitizer all of them together take minutes.
class ScanAcrossWindows : public testing::TestWithParam<const char*> {};

TEST_P(ScanAcrossWindows, FindsWhatIsEncoded) {
  const auto all = wrappings();
  const auto wrapping =
      std::ranges::find_if(all, [](const auto& each) { return each.name == std::string(GetParam()); });
  ASSERT_NE(wrapping, all.end());
  // Begins at the end of the first window, and the canary is at the end of some 2 MB.
  const Bytes bytes = random_bytes((1 << 20) - 100, 8) + "\1" + wrapping->wrap(deep_in_gzip(1 << 20));
  const auto findings = look_at(bytes);
  EXPECT_TRUE(planted_only(findings));
  EXPECT_TRUE(findings.gaps.empty());
}

INSTANTIATE_TEST_SUITE_P(Encodings, ScanAcrossWindows,
                         testing::Values("gzip", "zlib", "zstd", "lz4", "base64", "hex", "url", "json", "chunked",
                                         "dump"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Scan, FindsEncodedTextBehindDigitsOfItsOwnAlphabet) {
  for (std::size_t before = 0; before < 5; ++before) {
    EXPECT_TRUE(planted_only(look_at(Bytes(before, 'k') + to_base64(deep_in_gzip(100))))) << before;
    EXPECT_TRUE(planted_only(look_at(Bytes(before, 'a') + to_hex(deep_in_gzip(100))))) << before;
  }
}

TEST(Scan, FindsNothingInRandomBytesAndInText) {
  const auto noise = look_at(random_bytes(16 << 20, 42));
  EXPECT_THAT(chains(noise), testing::IsEmpty());
  EXPECT_TRUE(noise.gaps.empty());
  EXPECT_EQ(noise.searched, 16u << 20);
  EXPECT_TRUE(look_at(to_base64(random_bytes(1 << 20, 43))).hits.empty());
  EXPECT_TRUE(look_at(Bytes(8 << 20, '\0')).gaps.empty());
}

TEST(Scan, SearchesATornStreamAsFarAsItGoes) {
  const Bytes whole = wrappings()[9].wrap(kCanary.value + random_bytes(100'000, 3));
  EXPECT_TRUE(planted_only(look_at("x" + whole.substr(0, 50'000))));
  Bytes damaged = whole;
  damaged[60'000] = static_cast<char>(damaged[60'000] ^ 0x55);
  EXPECT_TRUE(planted_only(look_at("x" + damaged)));
}

TEST(Scan, CallsABombUnsearchedAndLives) {
  const Limits small{.stream = 1 << 20};
  for (std::size_t i = 9; i < 13; ++i) {
    const Bytes bomb = wrappings()[i].wrap(Bytes(8 << 20, 'a'));
    const auto findings = look_at(bomb, small);
    EXPECT_TRUE(findings.gaps.contains({"memory", wrappings()[i].name + ": larger than is decoded"}));
  }
}

// The window is memory; one of 256 MiB is lawful in the format, one of 2 TiB is noise behind a magic.
TEST(Scan, CallsAZstdFrameWithALargeWindowUnsearched) {
  const Bytes magic("\x28\xb5\x2f\xfd", 4), rest(40, '\1');
  EXPECT_EQ(look_at("x" + magic + Bytes("\0\x90", 2) + rest).gaps.size(), 1u);
  EXPECT_EQ(look_at("x" + magic + Bytes("\0\xf8", 2) + rest).gaps.size(), 0u);
}

TEST(Scan, CallsWhatIsTooDeepUnsearched) {
  Bytes bytes = kCanary.value;
  for (int i = 0; i < 9; ++i) bytes = wrappings()[9].wrap(bytes);
  const auto findings = look_at(bytes);
  EXPECT_TRUE(findings.hits.empty());
  EXPECT_FALSE(findings.gaps.empty());
}

TEST(Scan, CallsTooMuchToDecodeUnsearched) {
  Limits few;
  few.decoded_least = 1000;
  few.decoded_times = 0;
  Bytes bytes;
  for (int i = 0; i < 10; ++i) bytes += wrappings()[9].wrap(random_bytes(900, 5)) + "\1";
  EXPECT_FALSE(look_at(bytes, few).gaps.empty());
}

TEST(Scan, CallsADamagedCompressedFileUnsearched) {
  Bytes bytes = wrappings()[9].wrap(random_bytes(100'000, 9));
  bytes[50'000] = static_cast<char>(bytes[50'000] ^ 0x55);
  EXPECT_FALSE(look_at(bytes).gaps.empty());
}

}  // namespace
}  // namespace domicile::census
