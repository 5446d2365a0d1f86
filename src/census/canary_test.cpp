#include "census/canary.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "census/plant.hpp"

namespace domicile::census {
namespace {

TEST(Canary, IsMadeOfSmallLettersAndDigitsAndNeverTwiceTheSame) {
  std::set<std::string> seen;
  std::set<char> letters;
  for (int i = 0; i < 200; ++i) {
    const auto canary = make_canary("c").value();
    EXPECT_EQ(canary.value.size(), kCanaryLength);
    EXPECT_EQ(canary.value.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789"), std::string::npos);
    seen.insert(canary.value);
    letters.insert(canary.value.begin(), canary.value.end());
  }
  EXPECT_EQ(seen.size(), 200u);
  EXPECT_EQ(letters.size(), 36u);
}

// 62 and 63 do not occur in base64 of small letters and digits, at any alignment: one needle serves both alphabets.
TEST(Canary, HasOneBase64ForBothAlphabets) {
  for (int i = 0; i < 100; ++i)
    for (const auto& needle : needles({make_canary("c").value()}))
      EXPECT_EQ(needle.form == "base64" ? needle.bytes.find_first_of("+/-_=") : std::string::npos, std::string::npos);
}

TEST(Canary, HasNeedlesOfTheDocumentedFormsLongEnoughForTheSearcher) {
  std::set<std::string> forms;
  for (const auto& needle : needles({make_canary("c").value()})) {
    forms.insert(needle.form);
    EXPECT_GE(needle.bytes.size(), kShortestNeedle) << needle.form;
  }
  EXPECT_EQ(forms, (std::set<std::string>{"raw", "raw-upper", "base64", "hex", "hex-upper", "utf16", "url", "url-upper",
                                          "json", "json-upper"}));
}

TEST(Encoders, WriteWhatTheStandardsSay) {
  EXPECT_EQ(to_base64("f"), "Zg==");
  EXPECT_EQ(to_base64("fo"), "Zm8=");
  EXPECT_EQ(to_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(to_base64("\xfb\xff", true), "-_8=");
  EXPECT_EQ(to_hex("a\xff"), "61ff");
  EXPECT_EQ(to_url("a/", "0123456789ABCDEF"), "%61%2F");
  EXPECT_EQ(to_json("a", "0123456789abcdef"), "\\u0061");
  EXPECT_EQ(to_utf16("ab", true), std::string("\0a\0b", 4));
}

}  // namespace
}  // namespace domicile::census
