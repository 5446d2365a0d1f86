#include "core/authority/record.hpp"

#include <gtest/gtest.h>

#include "core/authority/decision.hpp"

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

// Agents of two versions beside each other: what the newer one added outlives every rewrite by the older one.
TEST(Record, MembersOfANewerVersionAreToleratedAndKeptWhereItIsRewritten) {
  std::string text = to_text(some_record());
  text.insert(1, R"("added_later":{"b":[1,null],"a":"x"},"zone":7,)");
  const auto read = record_of(text);
  ASSERT_TRUE(read) << render(read.error());
  EXPECT_EQ(read->owner, some_record().owner);
  EXPECT_EQ(*record_of(to_text(*read)), *read);
  const std::string rewritten = to_text(serving_record(*read, 1));
  EXPECT_NE(rewritten.find(R"("added_later":{"a":"x","b":[1,null]})"), std::string::npos) << rewritten;
  EXPECT_NE(rewritten.find(R"("zone":7)"), std::string::npos) << rewritten;
  EXPECT_EQ(record_of(rewritten)->mode, Mode::serving) << "and what this version knows is what it wrote";
}

TEST(Record, AValueThatOnlyANewerVersionKnowsIsRefusedAndNamed) {
  std::string text = to_text(some_record());
  text.replace(text.find("\"moving\""), 8, "\"handing\"");
  const auto read = record_of(text);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().what, "the authority record has the unknown mode 'handing'");
  EXPECT_NE(read.error().fix.find("update this one"), std::string::npos);
  std::string cause = to_text(some_record());
  cause.replace(cause.find("\"planned\""), 9, "\"foreseen\"");
  ASSERT_FALSE(record_of(cause));
  EXPECT_NE(record_of(cause).error().what.find("'foreseen'"), std::string::npos);
}

TEST(Beat, MembersOfANewerVersionAreTolerated) {
  const Beat beat{"b", 12, 1, {{"us", {1000, 0x1600000010, 7}}}};
  std::string text = to_text(beat);
  text.insert(1, R"("added_later":1,)");
  EXPECT_EQ(*beat_of(text), beat);
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
