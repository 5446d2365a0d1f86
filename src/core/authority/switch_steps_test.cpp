#include "core/authority/switch_steps.hpp"

#include <gtest/gtest.h>

namespace domicile::authority {
namespace {

template <class Next>
std::string walk(const Next& next) {
  std::set<std::string> done;
  std::string all;
  while (const auto step = next(done)) {
    all += std::string(name_of(*step)) + " ";
    // A crash right after the journal's line, or before it, asks the same question again.
    EXPECT_EQ(next(done), step);
    done.emplace(name_of(*step));
    if (done.size() > 20) break;
  }
  return all;
}

TEST(DrainSteps, NoWriterIsLeftBeforeTheFenceAndTheRecordMovesLast) {
  EXPECT_EQ(walk(next_drain_step), "gateways_hold fence receivers_have swap_moving ");
}

TEST(OpenSteps, NothingFlowsInBeforeThePositionIsJournaledAndTheLeaseOpensAfterTheMajorityKnows) {
  EXPECT_EQ(walk([](const auto& done) { return next_open_step(done, false); }),
            "stop_inbound journal_position advance_slots advance_sequences persist_epochs swap_serving publish ");
}

TEST(OpenSteps, WhoWroteLastHasNoCopyToPrepare) {
  EXPECT_EQ(walk([](const auto& done) { return next_open_step(done, true); }), "persist_epochs swap_serving publish ");
}

TEST(Steps, WhatChangesAnEngineOrTheRecordIsOnTheDiskBeforeItActs) {
  for (const auto step : {DrainStep::fence, DrainStep::swap_moving}) EXPECT_TRUE(changes_state(step));
  for (const auto step :
       {OpenStep::stop_inbound, OpenStep::advance_slots, OpenStep::advance_sequences, OpenStep::swap_serving})
    EXPECT_TRUE(changes_state(step));
  EXPECT_FALSE(changes_state(DrainStep::gateways_hold));
  EXPECT_FALSE(changes_state(OpenStep::publish));
}

TEST(OpenSteps, AHoleInTheJournalIsFilledFirst) {
  EXPECT_EQ(next_open_step({"stop_inbound", "advance_slots"}, false), OpenStep::journal_position);
  EXPECT_EQ(next_drain_step({"fence"}), DrainStep::gateways_hold);
}

TEST(OpenSteps, StepsOfOthersAndUnknownOnesCountForNothing) {
  EXPECT_EQ(next_open_step({"gateways_hold", "added_later"}, false), OpenStep::stop_inbound);
}

TEST(OpenSteps, ASwapThatTheQuorumForgotIsNotDone) {
  std::set<std::string> all;
  for (const auto step :
       {DrainStep::gateways_hold, DrainStep::fence, DrainStep::receivers_have, DrainStep::swap_moving})
    all.emplace(name_of(step));
  for (const auto step : {OpenStep::persist_epochs, OpenStep::swap_serving, OpenStep::publish})
    all.emplace(name_of(step));
  Record r;
  r.mode = Mode::moving;
  EXPECT_EQ(next_open_step(still_done(all, r, true), true), OpenStep::swap_serving);
  EXPECT_EQ(next_open_step(still_done(all, r, false), true), OpenStep::persist_epochs) << "asked by another process";
  r.mode = Mode::serving;
  EXPECT_EQ(next_open_step(still_done(all, r, true), true), std::nullopt);
  EXPECT_EQ(next_drain_step(still_done(all, r, true)), std::nullopt);
  r.mode = Mode::draining;
  EXPECT_EQ(next_drain_step(still_done(all, r, true)), DrainStep::swap_moving);
}

TEST(StepRecord, SurvivesItsText) {
  const StepRecord step{"eu", "s-1", 7, "fence", true, R"({"lsn":"0/1"})"};
  EXPECT_EQ(*step_of(to_text(step)), step);
}

TEST(StepRecord, NonsenseIsRefused) {
  for (const char* text : {"", "{", "[]", "null", "{}", R"({"residency":"eu"})",
                           R"({"residency":"eu","switch":"s","epoch":"7","step":"fence","done":true})",
                           R"({"residency":"eu","switch":"s","epoch":7,"step":"fence","done":1})",
                           R"({"residency":"eu","switch":"s","epoch":7,"step":3,"done":true})"})
    EXPECT_FALSE(step_of(text)) << text;
}

}  // namespace
}  // namespace domicile::authority
