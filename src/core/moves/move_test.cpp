#include "core/moves/move.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/topology/parse.hpp"

namespace domicile::moves {
namespace {

using topology::Form;

const char* const kTopology = R"(domicile: 1
lease: {ttl: 5s, beat: 1s, margin: 500ms, patience: 10s}
regions:
  us-1: {jurisdiction: US}
  eu-1: {jurisdiction: EU}
  eu-2: {jurisdiction: EU}
residencies:
  directory: {home: us-1, standby: [eu-1, eu-2], holds: {US: full, EU: full}}
  us: {home: us-1, standby: [eu-1], holds: {US: full, EU: full}}
  eu: {home: eu-1, standby: [eu-2], holds: {EU: full, US: reduced}}
  de: {home: eu-1, standby: [eu-2], holds: {EU: full}}
data:
  app.orders: {personal: [mail], shared: [id, amount]}
)";

class Moves : public testing::Test {
 protected:
  static topology::Topology parsed(const std::string& text = kTopology) {
    auto parsed = topology::load(text, "topology.yaml");
    EXPECT_TRUE(parsed) << render(parsed.error());
    return *std::move(parsed);
  }
  Form form(const std::string& from, const std::string& to) {
    return lawful_form(topology_, *topology::residency_of(topology_, from), *topology::residency_of(topology_, to));
  }
  std::string judged(const std::string& from, const Order& order) {
    const auto verdict = judge(topology_, from, order);
    return verdict ? "" : verdict.error().id;
  }
  topology::Topology topology_ = parsed();
};

TEST(Everywhere, WhatEachPhaseAwaitsBeforeTheNext) {
  const auto awaited = [](Phase phase) { return awaited_everywhere({"acme", "1", "us", "eu", phase}); };
  for (const Phase phase : {Phase::holding, Phase::flipped, Phase::releasing, Phase::deleting})
    EXPECT_TRUE(awaited(phase).gateway) << name_of(phase);
  for (const Phase phase : {Phase::copying, Phase::sealed, Phase::aborting}) EXPECT_FALSE(awaited(phase).gateway);
  EXPECT_EQ(awaited(Phase::deleting).gone, "us");
  EXPECT_TRUE(awaited(Phase::deleting).settled);
  EXPECT_EQ(awaited(Phase::aborting).gone, "eu");
  for (const Phase phase : {Phase::copying, Phase::holding, Phase::sealed, Phase::flipped, Phase::releasing})
    EXPECT_EQ(awaited(phase).gone, "") << name_of(phase);
}

TEST_F(Moves, OnlyWhatNoRegionGetsMoreOfThanItMayHoldGoesOver) {
  EXPECT_EQ(form("us", "eu"), Form::full);
  EXPECT_EQ(form("eu", "us"), Form::reduced) << "us lies in full in the US, eu may not";
  EXPECT_EQ(form("de", "us"), Form::none) << "nothing of de may lie in the US, and us does";
  EXPECT_EQ(form("de", "eu"), Form::none) << "eu lies reduced in the US";
  EXPECT_EQ(form("eu", "de"), Form::full);
  EXPECT_EQ(form("us", "de"), Form::full);
}

TEST_F(Moves, AMoveOutOfAStricterLawNeedsBothAWordAndAReason) {
  EXPECT_EQ(judged("us", {"t", "eu", "", false}), "");
  EXPECT_EQ(judged("eu", {"t", "us", "asked for", false}), "DOM-E714");
  EXPECT_EQ(judged("eu", {"t", "us", "", true}), "DOM-E715");
  EXPECT_EQ(judged("eu", {"t", "us", "asked for", true}), "");
  EXPECT_EQ(judged("de", {"t", "us", "asked for", true}), "DOM-E713");
  EXPECT_EQ(judged("us", {"t", "us", "", false}), "DOM-E712");
  EXPECT_EQ(judged("us", {"t", "directory", "", false}), "DOM-E711");
  EXPECT_EQ(judged("us", {"t", "nowhere", "", false}), "DOM-E711");
}

TEST_F(Moves, APhaseIsFollowedByTheNextOneOrTakenBackUntilTheFlip) {
  const Phase way[] = {Phase::copying,   Phase::holding,  Phase::sealed, Phase::flipped,
                       Phase::releasing, Phase::deleting, Phase::done};
  for (std::size_t i = 0; i < std::size(way); ++i) {
    for (std::size_t j = 0; j < std::size(way); ++j) EXPECT_EQ(follows(way[i], way[j]), j == i + 1) << i << " " << j;
    EXPECT_EQ(follows(way[i], Phase::aborting), abortable(way[i]));
    EXPECT_EQ(abortable(way[i]), live(way[i]) && !flipped(way[i]));
    EXPECT_EQ(phase_of(name_of(way[i])), way[i]);
  }
  EXPECT_TRUE(follows(Phase::aborting, Phase::aborted));
  for (const Phase ended : {Phase::done, Phase::aborted}) EXPECT_FALSE(live(ended));
  // A write is refused only while gateways hold: nobody gets an error for it.
  for (const Phase phase : way) EXPECT_TRUE(!sealed(phase) || held(phase));
  EXPECT_EQ(phase_of("stolen"), std::nullopt);
}

TEST_F(Moves, AMoveIsReadBackAsItWasWritten) {
  const Move move{"t", "m-1", "us", "eu", Phase::flipped, "00ff", "", true, "asked for", "an operator", 17};
  EXPECT_EQ(move_of(json_of(move)).value(), move);
  EXPECT_EQ(move.residency(), "eu");
  auto strange = json_of(move);
  strange["phase"] = "stolen";
  EXPECT_FALSE(move_of(strange));
}

TEST_F(Moves, GroupsHoldEveryPartThatDiffersAndNothingElse) {
  const TableSummary source{{1, {10, 1, 1}}, {2, {10, 2, 2}}, {3, {30, 3, 3}}, {4, {5, 4, 4}}};
  const TableSummary receiver{{2, {10, 2, 2}}, {4, {5, 4, 9}}, {5, {1, 5, 5}}};
  const std::vector<Group> expected{{{1}, 10, true}, {{3}, 30, true}, {{4, 5}, 5, false}};
  EXPECT_EQ(differences(source, receiver, 20), expected);
  EXPECT_TRUE(differences(source, source, 20).empty());
}

RC_GTEST_PROP(MovesProperty, ASummaryIsReadBackAndItsDigestTellsAnyChange,
              (std::map<int, std::vector<std::int64_t>> parts, int changed)) {
  Summary summary;
  auto& table = summary["app.orders"];
  for (const auto& [number, values] : parts)
    if (values.size() >= 3 && number >= 0) table[number % kBuckets] = {values[0] & 0xffff, values[1], values[2]};
  const auto back = summary_of(json_of(summary));
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back == summary);
  auto other = summary;
  other["app.orders"][std::abs(changed % kBuckets)].a ^= 1;
  RC_ASSERT(digest_of(other) != digest_of(summary));
}

RC_GTEST_PROP(MovesProperty, ASummaryAndItsChangesAreTheNextOne,
              (std::map<std::uint8_t, std::uint8_t> before, std::map<std::uint8_t, std::uint8_t> now)) {
  const auto summary = [](const auto& rows) {
    Summary out;
    auto& table = out["app.orders"];
    for (const auto& [number, sum] : rows) table[number] = {1, sum, sum};
    return out;
  };
  const auto changed = changes(summary(before), summary(now));
  RC_ASSERT(merged(summary(before), changed) == summary(now));
  RC_ASSERT(merged(summary(now), changed) == summary(now));
  RC_ASSERT(changes(summary(now), summary(now)).at("app.orders").empty());
}

TEST_F(Moves, NoSummaryIsTakenForOne) {
  for (const char* text : {"[]", "{\"t\":1}", "{\"t\":[[1,2,3]]}", "{\"t\":[[1,2,3,\"4\"]]}", "{\"t\":[[16384,1,1,1]]}",
                           "{\"t\":[[-1,1,1,1]]}"})
    EXPECT_FALSE(summary_of(parse_json(text, "").value())) << text;
}

}  // namespace
}  // namespace domicile::moves
