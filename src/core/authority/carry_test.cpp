#include "core/authority/carry.hpp"

#include <gtest/gtest.h>

namespace domicile::authority {
namespace {

const std::map<std::string, Marker> kNamed{{"us", {1'000, 0x50, 3}}};

View opened(Mode mode, Epoch epoch, std::vector<Opened> history) {
  Record record;
  record.owner = "a";
  record.epoch = epoch;
  record.mode = mode;
  record.history = std::move(history);
  View view;
  view.authorities["us"] = {record, to_text(record)};
  return view;
}

TEST(Carried, IsWhatWasCommittedInTheLastEpochThatThisRegionOpened) {
  const std::vector<Opened> ours{{1, "b", {}}, {3, "a", {}}};
  EXPECT_EQ(carried_markers(kNamed, opened(Mode::serving, 3, ours), "a"), kNamed);
  EXPECT_EQ(carried_markers(kNamed, opened(Mode::draining, 3, ours), "a"), kNamed) << "given up: the standbys measure";
  EXPECT_EQ(carried_markers(kNamed, opened(Mode::moving, 4, ours), "a"), kNamed) << "nobody has opened 4 yet";
}

TEST(Carried, IsNothingOfAnotherEpochAndNothingOfWhatSomebodyElseOpenedSince) {
  const std::map<std::string, Marker> none;
  EXPECT_EQ(carried_markers(kNamed, opened(Mode::serving, 5, {{3, "a", {}}, {5, "a", {}}}), "a"), none)
      << "ours again, at a later epoch";
  EXPECT_EQ(carried_markers(kNamed, opened(Mode::serving, 2, {{2, "a", {}}}), "a"), none)
      << "a quorum that is behind the marker";
  EXPECT_EQ(carried_markers(kNamed, opened(Mode::serving, 4, {{3, "a", {}}, {4, "b", {}}}), "a"), none);
  EXPECT_EQ(carried_markers(kNamed, opened(Mode::moving, 4, {{3, "", {}}}), "a"), none)
      << "adopted: nobody knows whose";
  EXPECT_EQ(carried_markers(kNamed, opened(Mode::moving, 1, {}), "a"), none);
  EXPECT_EQ(carried_markers(kNamed, opened(Mode::serving, 3, {{3, "a", {}}}), "b"), none) << "another region's epoch";
  EXPECT_EQ(carried_markers(kNamed, {}, "a"), none) << "no record";
  EXPECT_EQ(carried_markers({}, opened(Mode::serving, 3, {{3, "a", {}}}), "a"), none);
}

}  // namespace
}  // namespace domicile::authority
