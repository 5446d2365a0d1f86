#include "core/authority/adopt.hpp"

#include <gtest/gtest.h>

namespace domicile::authority {
namespace {

Record serving(const std::string& owner, Epoch epoch) {
  Record record;
  record.owner = record.from = record.to = owner;
  record.epoch = epoch;
  record.mode = Mode::serving;
  record.history = {{epoch, owner, {}}};
  return record;
}

struct World {
  Rules rules{"us", "us-1", {"eu-1", "eu-2"}};
  // Restored to epoch 1; the sites know that eu-1 opened epoch 4.
  AdoptQuestion question{rules, serving("us-1", 1), {{4, "eu-1"}, {4, "eu-1"}}, "id"};
};

NamedOwner with_copy(const std::string& region, Copy::State state, bool complete = true) {
  NamedOwner named{region, {}};
  named.copy.copy = {state, "eu-1", 4, {}, "behind"};
  named.copy.complete = complete;
  return named;
}

std::string refused(const AdoptQuestion& question, const NamedOwner& named) {
  const auto answer = adopt(question, named);
  return answer ? "" : answer.error().id;
}

TEST(Adopt, AQuorumThatIsBehindGoesAboveEveryEpochForWhoeverOwnedItLast) {
  World w;
  const auto record = adopt(w.question, {});
  ASSERT_TRUE(record && *record);
  EXPECT_EQ((*record)->epoch, 5);
  EXPECT_EQ((*record)->owner, "eu-1");
  EXPECT_EQ((*record)->cause, Cause::adopted);
  EXPECT_EQ((*record)->mode, Mode::moving);
  w.question.record = serving("us-1", 3);
  w.question.sites = {{2, "eu-1"}, {4, "eu-2"}, {3, "us-1"}};
  EXPECT_EQ(adopt(w.question, {})->value().owner, "eu-2");
}

TEST(Adopt, AnEpochThatTheQuorumGivesToSomebodyElseIsBehindAsWell) {
  World w;
  w.question.record = serving("us-1", 4);
  const auto record = adopt(w.question, {});
  ASSERT_TRUE(record && *record);
  EXPECT_EQ((*record)->epoch, 5);
}

TEST(Adopt, AMissingRecordIsMadeAnewForItsHomeWhenNobodyEverOwnedIt) {
  World w;
  w.question.record.reset();
  w.question.sites = {{0, ""}, {0, ""}};
  const auto record = adopt(w.question, {});
  ASSERT_TRUE(record && *record);
  EXPECT_EQ((*record)->epoch, 1);
  EXPECT_EQ((*record)->owner, "us-1");
}

TEST(Adopt, AHealthyQuorumIsLeftAloneAndMovesNothingForANamedOwner) {
  World w;
  w.question.record = serving("eu-1", 4);
  const auto nothing = adopt(w.question, {});
  ASSERT_TRUE(nothing);
  EXPECT_FALSE(*nothing);
  EXPECT_EQ(refused(w.question, with_copy("eu-2", Copy::State::following)), "DOM-E214");
  EXPECT_EQ(refused(w.question, with_copy("eu-1", Copy::State::owner)), "DOM-E214");
  // A switch that has just begun is no quorum that is behind.
  w.question.record->mode = Mode::moving;
  w.question.record->epoch = 5;
  w.question.record->to = "eu-2";
  EXPECT_EQ(refused(w.question, with_copy("eu-2", Copy::State::following)), "DOM-E214");
}

TEST(Adopt, ANamedOwnerNeedsACopyThatCanBeServedFrom) {
  const World w;
  NamedOwner silent{"eu-2", {}};
  silent.copy.unknown = "its agent does not answer";
  const struct {
    const char* name;
    NamedOwner named;
    const char* want;
  } cases[] = {
      {"following", with_copy("eu-2", Copy::State::following), ""},
      {"stopped", with_copy("eu-2", Copy::State::stopped), ""},
      {"first rows under way", with_copy("eu-2", Copy::State::following, false), "DOM-E215"},
      {"nothing there", with_copy("eu-2", Copy::State::none), "DOM-E215"},
      {"resync", with_copy("eu-2", Copy::State::resync), "DOM-E215"},
      {"owner of an older epoch", with_copy("us-1", Copy::State::owner), "DOM-E215"},
      {"silent", silent, "DOM-E215"},
      {"the last owner, whatever its copy", with_copy("eu-1", Copy::State::resync), ""},
      {"the last owner, silent", {"eu-1", silent.copy}, ""},
      {"unlawful", with_copy("us-9", Copy::State::following), "DOM-E202"},
  };
  for (const auto& c : cases) EXPECT_EQ(refused(w.question, c.named), c.want) << c.name;
}

}  // namespace
}  // namespace domicile::authority
