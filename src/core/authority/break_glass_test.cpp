#include "core/authority/break_glass.hpp"

#include <gtest/gtest.h>

namespace domicile::authority {
namespace {

// The quorum is gone: eu-central-1 owned `eu` at epoch 7, eu-west-1 is its standby and asks; us-east-1 votes only.
struct Case {
  Timing timing;
  Rules rules{"eu", "eu-central-1", {"eu-west-1"}};
  Local local;
  GlassQuestion q{timing, rules, local, Record{}, 60 * kSecond, false, {}, "A. Muster", "etcd is lost", "s9"};
  std::vector<std::string> attested;

  Case() {
    local.region = "eu-west-1";
    local.known_epoch = 7;
    local.known_owner = "eu-central-1";
    local.can_write = local.copy_complete = true;
    local.lag = 80 * kMillisecond;
    q.last = Record{"eu-central-1",
                    7,
                    Mode::serving,
                    "s7",
                    "eu-west-1",
                    "eu-central-1",
                    Cause::planned,
                    {},
                    5,
                    {{6, "eu-west-1", {}}, {7, "eu-central-1", Position{"1", 1, 9}}}};
    q.sites = {{"eu-central-1", false, false, false, 0, "", "powered off, ticket 1"},
               {"us-east-1", true, false, false, 7, "eu-central-1"}};
    attested = {"eu-central-1"};
  }
  Result<GlassPlan> ask() const { return break_glass(q, attested); }
};

TEST(BreakGlass, OpensFarAboveWhatSitesThatNobodyCouldAskMayKnow) {
  const Case c;
  const auto plan = c.ask();
  ASSERT_TRUE(plan) << render(plan.error());
  EXPECT_EQ(plan->record.epoch, 7 + kGlassLeap);
  EXPECT_EQ(plan->record.to, "eu-west-1");
  EXPECT_EQ(plan->record.owner, "eu-central-1") << "it may hold surplus";
  EXPECT_EQ(plan->record.mode, Mode::moving);
  EXPECT_EQ(plan->record.cause, Cause::broken_glass);
  EXPECT_EQ(plan->record.automatic_at, 5);
  EXPECT_EQ(plan->record.history.back(), (Opened{6 + kGlassLeap, "", {}})) << "an epoch that no history here has";
  ASSERT_EQ(plan->proofs.size(), 2);
  EXPECT_EQ(plan->proofs[0], "eu-central-1 does not answer; attested by A. Muster: powered off, ticket 1");
  EXPECT_EQ(plan->warnings.size(), 2);
}

TEST(BreakGlass, TakesTheNextEpochAndTheKnownHistoryWhenEverySiteAnswers) {
  Case c;
  c.attested.clear();
  c.q.sites[0] = {"eu-central-1", true, false, false, 9, "eu-central-1"};
  const auto plan = c.ask();
  ASSERT_TRUE(plan) << render(plan.error());
  EXPECT_EQ(plan->record.epoch, 10) << "the highest on any disk";
  EXPECT_EQ(plan->record.history, c.q.last->history);
}

TEST(BreakGlass, AnOwnerComesBackWithoutALagAndAProcessThatNeverSawTheQuorumWithWhatItsDiskKnows) {
  Case c;
  c.local.region = "eu-central-1";
  c.local.lag.reset();
  c.local.copy_complete = false;  // it has no inbound copy
  c.q.sites[0].region = c.attested[0] = "eu-west-1";
  c.q.last.reset();
  c.q.silent_for.reset();
  const auto plan = c.ask();
  ASSERT_TRUE(plan) << render(plan.error());
  EXPECT_EQ(plan->record.owner, "eu-central-1");
  EXPECT_EQ(plan->record.history.size(), 1);
  EXPECT_EQ(plan->warnings.size(), 1);
}

TEST(BreakGlass, RemembersNoMoreEpochsThanARecordMay) {
  Case c;
  c.q.last->history.assign(kHistory, {1, "eu-west-1", {}});
  const auto plan = c.ask();
  ASSERT_TRUE(plan) << render(plan.error());
  EXPECT_LE(serving_record(plan->record, 0).history.size(), kHistory);
  EXPECT_EQ(plan->record.history.back().owner, "") << "the unknown epoch is not what is forgotten";
}

TEST(BreakGlass, IsRefusedWhereSomebodyMayWriteOrTheLawForbidsIt) {
  struct Bad {
    const char* story;
    void (*change)(Case&);
    Kind kind;
    const char* says;
  };
  const Bad bad[] = {
      {"nobody answers for it", [](Case& c) { c.q.by.clear(); }, Kind::invalid_input, "name"},
      {"no reason", [](Case& c) { c.q.reason.clear(); }, Kind::invalid_input, "reason"},
      {"a site that does not exist is attested", [](Case& c) { c.attested.push_back("mars-1"); }, Kind::invalid_input,
       "mars-1"},
      {"the own region is attested", [](Case& c) { c.attested.push_back("eu-west-1"); }, Kind::invalid_input,
       "eu-west-1"},
      {"not lawful here", [](Case& c) { c.local.region = "us-west-1"; }, Kind::refused, "may not own"},
      {"the quorum has just answered", [](Case& c) { c.q.silent_for = 5 * kSecond; }, Kind::conflict, "not gone"},
      {"the own lease is open", [](Case& c) { c.q.lease_open = true; }, Kind::conflict, "still holds"},
      {"the database does not commit", [](Case& c) { c.local.can_write = false; }, Kind::unavailable,
       "does not commit"},
      {"the copy is no prefix", [](Case& c) { c.local.resync = true; }, Kind::refused, "resync"},
      {"the quorum answers another site", [](Case& c) { c.q.sites[1].quorum_answers = true; }, Kind::conflict,
       "only this region"},
      {"another site writes", [](Case& c) { c.q.sites[1].lease_open = true; }, Kind::conflict,
       "us-east-1 holds a lease"},
      {"its word is worth more than an attestation",
       [](Case& c) { c.q.sites[0].answered = c.q.sites[0].lease_open = true; }, Kind::conflict,
       "eu-central-1 holds a lease"},
      {"no proof", [](Case& c) { c.q.sites[0].attested.clear(); }, Kind::unsafe, "eu-central-1"},
      {"no proof of a voter either", [](Case& c) { c.q.sites[1].answered = false; }, Kind::unsafe, "us-east-1"},
      {"nobody ever owned it", [](Case& c) { c.local.known_epoch = c.q.sites[1].known_epoch = 0, c.q.last.reset(); },
       Kind::refused, "nobody ever"},
  };
  for (const auto& each : bad) {
    Case c;
    each.change(c);
    const auto plan = c.ask();
    ASSERT_FALSE(plan) << each.story;
    EXPECT_EQ(plan.error().kind, each.kind) << each.story;
    EXPECT_NE(plan.error().what.find(each.says), std::string::npos) << each.story << ": " << plan.error().what;
    EXPECT_FALSE(plan.error().id.empty()) << each.story;
  }
}

}  // namespace
}  // namespace domicile::authority
