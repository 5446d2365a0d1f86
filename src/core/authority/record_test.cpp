#include "core/authority/record.hpp"

#include <gtest/gtest.h>

namespace domicile::authority {
namespace {

Record some_record() {
  Record r{"us-east-1", 7, Mode::moving, "s-1", "us-east-1", "eu-central-1", Cause::planned};
  r.fence = Position{"7301", 1, 0x16B374D848};
  r.automatic_at = 5;
  r.history = {{6, "us-east-1", {}}, {7, "eu-central-1", r.fence}};
  return r;
}

TEST(Record, SurvivesItsText) { EXPECT_EQ(*record_of(to_text(some_record())), some_record()); }

TEST(Beat, SurvivesItsText) {
  const Beat beat{"b", 12, 1, {{"us", {1000, 0x1600000010, 7}}}};
  EXPECT_EQ(*beat_of(to_text(beat)), beat);
}

TEST(Record, UnknownMembersAreIgnored) {
  std::string text = to_text(some_record());
  text.insert(1, "\"added_later\":1,");
  EXPECT_EQ(*record_of(text), some_record());
}

TEST(Record, NonsenseIsRefused) {
  const char* cases[] = {
      "",
      "{}",
      "[]",
      "null",
      "{\"owner\":1}",
      R"({"owner":"a","epoch":0,"mode":"serving","switch":"","from":"","to":"","cause":"planned"})",
      R"({"owner":"a","epoch":1,"mode":"serving","switch":"","from":"","to":"","cause":"boredom"})",
      R"({"owner":"a","epoch":1,"mode":"dancing","switch":"","from":"","to":"","cause":"planned"})",
      R"({"owner":"a","epoch":1,"mode":"serving","switch":"","from":"","to":"","cause":"planned","fence":{"lsn":"x"}})"};
  for (const char* text : cases) EXPECT_FALSE(record_of(text)) << text;
}

TEST(Lsn, TextThereAndBack) {
  EXPECT_EQ(lsn_text(0x16B374D848), "16/B374D848");
  EXPECT_EQ(lsn_of("16/B374D848"), 0x16B374D848U);
  for (const char* bad : {"", "/", "1", "g/0", "1/", "100000000/0", "1/2/3"}) EXPECT_FALSE(lsn_of(bad)) << bad;
}

}  // namespace
}  // namespace domicile::authority
