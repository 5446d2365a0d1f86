#include "core/authority/proposal.hpp"

#include <gtest/gtest.h>

namespace domicile::authority {
namespace {

View view_of(Epoch epoch, std::optional<std::int64_t> counter) {
  View view;
  const Record record{.owner = "a", .epoch = epoch, .mode = Mode::serving, .switch_id = "s"};
  view.authorities["eu"] = {record, to_text(record)};
  const Beat beat{"boot", counter.value_or(0), 1, {}};
  if (counter) view.beats["a"] = {beat, to_text(beat)};
  return view;
}

Proposal proposal_of(const View& view, const std::string& lost) {
  Proposal proposal{"eu-5", "eu", view.authorities.at("eu").text, lost};
  if (const auto beat = view.beats.find(lost); beat != view.beats.end()) proposal.beat = beat->second.text;
  return proposal;
}

TEST(Proposal, LastsWhileTheLostRegionStaysSilentAndTheRecordStaysTheSame) {
  const auto view = view_of(4, 7);
  EXPECT_FALSE(lapsed(proposal_of(view, "a"), view));
  EXPECT_FALSE(lapsed(proposal_of(view, ""), view));
}

TEST(Proposal, LapsesWhenTheLostRegionIsSeenAgainThoughNothingElseHasChanged) {
  const auto proposal = proposal_of(view_of(4, 7), "a");
  EXPECT_TRUE(lapsed(proposal, view_of(4, 8)));
  EXPECT_TRUE(lapsed(proposal, view_of(4, {})));
  EXPECT_TRUE(lapsed(proposal_of(view_of(4, {}), "a"), view_of(4, 1))) << "its first beat";
}

TEST(Proposal, WhereTheRecordAloneDecidesALifeEndsNothing) {
  EXPECT_FALSE(lapsed(proposal_of(view_of(4, 7), ""), view_of(4, 8)));
}

TEST(Proposal, LapsesWithTheRecord) {
  EXPECT_TRUE(lapsed(proposal_of(view_of(4, 7), "a"), view_of(5, 7)));
  EXPECT_TRUE(lapsed(proposal_of(view_of(4, 7), "a"), View{}));
}

}  // namespace
}  // namespace domicile::authority
