#include "core/authority/copy.hpp"

#include <gtest/gtest.h>

namespace domicile::authority {
namespace {

using State = Copy::State;
const Position kFence{"1", 1, 100};

Position at(std::uint64_t lsn) { return {"1", 1, lsn}; }
Record serving(const std::string& owner, Epoch epoch, std::vector<Opened> history) {
  Record r{owner, epoch, Mode::serving, "s", owner, owner, Cause::planned};
  r.history = std::move(history);
  return r;
}
Record with_mode(Record r, Mode mode) {
  r.mode = mode;
  return r;
}
Copy copy(State state, const std::string& source = "a", Epoch epoch = 4, std::optional<Position> position = {}) {
  return {state, source, epoch, position};
}
std::vector<Opened> long_history(Epoch first) {
  std::vector<Opened> all;
  for (std::size_t i = 0; i < kHistory; ++i) all.push_back({first + static_cast<Epoch>(i), "a", {}});
  return all;
}

struct Row {
  const char* name;
  Copy copy;
  Record record;
  CopyAct act;
  State next;
};

// Seen by region c. Owner a opened 4; b may have opened 5.
const std::vector<Opened> kFour{{4, "a", {}}};
const std::vector<Opened> kTakenAt90{{4, "a", {}}, {5, "b", {}, at(90)}};
const std::vector<Opened> kFenced{{4, "a", {}}, {5, "b", kFence}};
const std::vector<Opened> kUnfenced{{4, "a", {}}, {5, "b", {}}};

const Row kRows[] = {
    {"resync is repaired from whoever serves", copy(State::resync), serving("b", 5, kUnfenced), CopyAct::repair,
     State::following},
    {"also from its own source", copy(State::resync), serving("a", 4, kFour), CopyAct::repair, State::following},
    {"not while it drains", copy(State::resync), with_mode(serving("b", 5, kUnfenced), Mode::draining), CopyAct::keep,
     State::resync},
    {"not while it moves", copy(State::resync), with_mode(serving("b", 5, kUnfenced), Mode::moving), CopyAct::keep,
     State::resync},
    {"not from itself", copy(State::resync), serving("c", 5, {{4, "a", {}}, {5, "c", {}}}), CopyAct::keep,
     State::resync},
    {"not by a quorum that is behind", copy(State::resync, "b", 5), serving("a", 4, kFour), CopyAct::keep,
     State::resync},
    {"nothing here: first rows", copy(State::none, "", 0), serving("a", 4, kFour), CopyAct::first_rows,
     State::following},
    {"nothing here, nobody serves", copy(State::none, "", 0), with_mode(serving("a", 4, kFour), Mode::moving),
     CopyAct::keep, State::none},
    {"nothing here of what was opened here: its disks are gone", copy(State::none, "", 0),
     serving("b", 6, {{4, "a", {}}, {5, "c", {}}, {6, "b", {}}}), CopyAct::mark_resync, State::resync},
    {"nothing here and we are the owner", copy(State::none, "", 0), serving("c", 4, {{4, "c", {}}}), CopyAct::keep,
     State::none},

    {"opened here, and not known here", copy(State::stopped, "a", 4, at(90)),
     with_mode(serving("c", 6, {{4, "a", {}}, {5, "c", {}, at(90)}}), Mode::moving), CopyAct::own, State::owner},
    {"opened here after somebody else did", copy(State::stopped, "a", 4, at(90)),
     with_mode(serving("c", 7, {{4, "a", {}}, {5, "b", {}}, {6, "c", {}}}), Mode::moving), CopyAct::keep,
     State::stopped},
    {"opened here, and not known here, on a copy that missed an own epoch of its source",
     copy(State::stopped, "a", 4, at(100)),
     with_mode(serving("c", 6, {{4, "a", {}}, {5, "a", {}}, {6, "c", kFence}}), Mode::moving), CopyAct::own,
     State::owner},
    {"following goes on", copy(State::following), serving("a", 4, kFour), CopyAct::keep, State::following},
    {"following goes on while the owner drains", copy(State::following),
     with_mode(serving("a", 4, kFour), Mode::draining), CopyAct::keep, State::following},
    {"it stops when the residency moves", copy(State::following), with_mode(serving("a", 5, kFour), Mode::moving),
     CopyAct::stop, State::stopped},
    {"it stops when somebody else serves", copy(State::following), serving("b", 5, kUnfenced), CopyAct::stop,
     State::stopped},
    {"it stops when its own owner opened again", copy(State::following), serving("a", 6, {{4, "a", {}}, {6, "a", {}}}),
     CopyAct::stop, State::stopped},
    {"draining of a later epoch of its owner stops it as well: another owner may lie in between",
     copy(State::following), with_mode(serving("a", 6, {{4, "a", {}}, {5, "b", {}}, {6, "a", {}}}), Mode::draining),
     CopyAct::stop, State::stopped},
    {"a quorum that is behind stops nothing", copy(State::following, "b", 5), serving("a", 4, kFour), CopyAct::keep,
     State::following},

    {"stopped stays while it moves", copy(State::stopped), with_mode(serving("a", 5, kFour), Mode::moving),
     CopyAct::keep, State::stopped},
    {"stopped follows again when nobody else opened", copy(State::stopped), serving("a", 4, kFour), CopyAct::follow,
     State::following},
    {"stopped follows the same owner's next epoch", copy(State::stopped), serving("a", 6, {{4, "a", {}}, {6, "a", {}}}),
     CopyAct::follow, State::following},
    {"also while that one drains: it may be the target", copy(State::stopped),
     with_mode(serving("a", 6, {{4, "a", {}}, {6, "a", {}}}), Mode::draining), CopyAct::follow, State::following},
    {"stopped at the fence follows", copy(State::stopped, "a", 4, at(100)), serving("b", 5, kFenced), CopyAct::follow,
     State::following},
    {"stopped beyond the fence's record follows", copy(State::stopped, "a", 4, at(140)), serving("b", 5, kFenced),
     CopyAct::follow, State::following},
    {"stopped at the fence follows the new owner's later epoch", copy(State::stopped, "a", 4, at(100)),
     serving("b", 7, {{4, "a", {}}, {5, "b", kFence}, {7, "b", {}}}), CopyAct::follow, State::following},
    {"stopped before the fence is resync", copy(State::stopped, "a", 4, at(99)), serving("b", 5, kFenced),
     CopyAct::mark_resync, State::resync},
    {"without a position is resync", copy(State::stopped), serving("b", 5, kFenced), CopyAct::mark_resync,
     State::resync},
    {"a position of another timeline proves nothing", copy(State::stopped, "a", 4, Position{"1", 2, 900}),
     serving("b", 5, kFenced), CopyAct::mark_resync, State::resync},
    {"a position of another cluster proves nothing", copy(State::stopped, "a", 4, Position{"2", 1, 900}),
     serving("b", 5, kFenced), CopyAct::mark_resync, State::resync},
    {"a takeover without a fence is resync however far it is", copy(State::stopped, "a", 4, at(900)),
     serving("b", 5, kUnfenced), CopyAct::mark_resync, State::resync},
    {"stopped exactly where the new owner stood follows it", copy(State::stopped, "a", 4, at(90)),
     serving("b", 5, kTakenAt90), CopyAct::follow, State::following},
    {"its later epoch as well", copy(State::stopped, "a", 4, at(90)),
     serving("b", 7, {{4, "a", {}}, {5, "b", {}, at(90)}, {7, "b", {}}}), CopyAct::follow, State::following},
    {"further than where the same owner goes on from is resync", copy(State::stopped, "a", 4, at(91)),
     serving("a", 5, {{4, "a", {}}, {5, "a", {}, at(90)}}), CopyAct::mark_resync, State::resync},
    {"before where it stood is resync", copy(State::stopped, "a", 4, at(89)), serving("b", 5, kTakenAt90),
     CopyAct::mark_resync, State::resync},
    {"beyond where it stood is resync", copy(State::stopped, "a", 4, at(91)), serving("b", 5, kTakenAt90),
     CopyAct::mark_resync, State::resync},
    {"the same number of another timeline proves nothing", copy(State::stopped, "a", 4, Position{"1", 2, 90}),
     serving("b", 5, kTakenAt90), CopyAct::mark_resync, State::resync},
    {"two owners since, the first from there, are resync", copy(State::stopped, "a", 4, at(90)),
     serving("d", 6, {{4, "a", {}}, {5, "b", {}, at(90)}, {6, "d", {}, at(120)}}), CopyAct::mark_resync, State::resync},
    {"the lost owner itself is resync wherever it was", copy(State::owner, "c", 4, at(90)),
     serving("b", 5, {{4, "c", {}}, {5, "b", {}, at(90)}}), CopyAct::mark_resync, State::resync},
    {"two other owners since are resync", copy(State::stopped, "a", 4, at(100)),
     serving("d", 6, {{4, "a", {}}, {5, "b", kFence}, {6, "d", kFence}}), CopyAct::mark_resync, State::resync},
    {"the old owner with another in between is resync", copy(State::stopped, "a", 4, at(100)),
     serving("a", 6, {{4, "a", {}}, {5, "b", kFence}, {6, "a", kFence}}), CopyAct::mark_resync, State::resync},
    {"away for longer than the record remembers", copy(State::stopped, "a", 4, at(900)),
     serving("a", 12, long_history(5)), CopyAct::mark_resync, State::resync},
    {"a full record that still remembers", copy(State::stopped, "a", 5), serving("a", 12, long_history(5)),
     CopyAct::follow, State::following},
    {"a quorum that is behind moves nothing", copy(State::stopped, "b", 5), serving("a", 4, kFour), CopyAct::keep,
     State::stopped},
    {"an adopted history proves nothing about older epochs", copy(State::stopped, "a", 4),
     serving("a", 10, {{9, "", {}}, {10, "a", {}}}), CopyAct::mark_resync, State::resync},
    {"but the highest epoch that anybody knew continues at its owner", copy(State::stopped, "a", 9),
     serving("a", 10, {{9, "", {}}, {10, "a", {}}}), CopyAct::follow, State::following},

    {"an owner stays owner", copy(State::owner, "c", 4), serving("c", 4, {{4, "c", {}}}), CopyAct::keep, State::owner},
    {"an owner stays while it moves away", copy(State::owner, "c", 4),
     with_mode(serving("c", 5, {{4, "c", {}}}), Mode::moving), CopyAct::keep, State::owner},
    {"after its fence it follows the next", copy(State::owner, "c", 4, at(100)),
     serving("b", 5, {{4, "c", {}}, {5, "b", kFence}}), CopyAct::follow, State::following},
    {"a lost owner is resync: it may hold more", copy(State::owner, "c", 4),
     serving("b", 5, {{4, "c", {}}, {5, "b", {}}}), CopyAct::mark_resync, State::resync},
    {"an owner with an older fence is resync", copy(State::owner, "c", 4, at(50)),
     serving("b", 5, {{4, "c", {}}, {5, "b", kFence}}), CopyAct::mark_resync, State::resync},
    {"an owner whose epoch the record never saw is resync", copy(State::owner, "c", 4), serving("b", 4, {{3, "c", {}}}),
     CopyAct::mark_resync, State::resync},
    {"an owner keeps its data before a quorum that is behind", copy(State::owner, "c", 5), serving("a", 4, kFour),
     CopyAct::keep, State::owner},
};

TEST(CopyStep, As) {
  for (const auto& row : kRows) {
    const CopyStep step = next_copy_step(row.copy, row.record, "c");
    EXPECT_EQ(static_cast<int>(step.act), static_cast<int>(row.act)) << row.name << ": " << step.why;
    EXPECT_EQ(name_of(step.next.state), name_of(row.next)) << row.name;
    EXPECT_EQ(step.why.empty(), step.act == CopyAct::keep) << row.name;
    if (step.act == CopyAct::follow) {
      EXPECT_EQ(step.next.source, row.record.owner) << row.name;
      EXPECT_EQ(step.next.epoch, row.record.epoch) << row.name;
    }
  }
}

TEST(CopyStep, WhatTheStoreKnowsToBeBrokenEndsTheCopyWhateverTheRecordSays) {
  const Record same = serving("a", 4, kFour);
  const auto flows = next_copy_step(copy(State::following), same, "c", "the slot is gone");
  EXPECT_EQ(static_cast<int>(flows.act), static_cast<int>(CopyAct::stop)) << "its flow ends first";
  EXPECT_EQ(name_of(flows.next.state), "resync");
  EXPECT_EQ(flows.next.why, "the slot is gone");
  EXPECT_EQ(flows.next.source, "a");
  const auto stands = next_copy_step(copy(State::stopped), same, "c", "the slot is gone");
  EXPECT_EQ(static_cast<int>(stands.act), static_cast<int>(CopyAct::mark_resync));
  EXPECT_NE(not_promotable(stands.next, same).find("the slot is gone"), std::string::npos);
  for (const auto state : {State::none, State::owner, State::resync}) {
    const auto before = copy(state, "c");
    EXPECT_EQ(next_copy_step(before, serving("c", 4, {{4, "c", {}}}), "c", "x").next, before) << name_of(state);
  }
}

TEST(Handover, IsWhereTheNextOwnerTookItAndSaysWhoIsAhead) {
  EXPECT_EQ(handover_of(copy(State::owner, "a", 4), serving("b", 5, kTakenAt90)), (Handover{"b", at(90)}));
  EXPECT_EQ(handover_of(copy(State::owner, "a", 4), serving("b", 5, kFenced)), (Handover{"b", kFence}));
  EXPECT_EQ(handover_of(copy(State::owner, "a", 4), serving("b", 5, kUnfenced)), (Handover{"b", {}}));
  EXPECT_EQ(handover_of(copy(State::owner, "a", 4),
                        serving("d", 6, {{4, "a", {}}, {5, "b", {}, at(90)}, {6, "d", {}, at(7)}})),
            (Handover{"b", at(90)}))
      << "the first one's: nobody later ever had more of that epoch";
  EXPECT_FALSE(handover_of(copy(State::following, "a", 4), serving("a", 4, kFour)));
  EXPECT_FALSE(handover_of(copy(State::owner, "a", 4), serving("a", 12, long_history(5)))) << "forgotten";
}

TEST(NotOnThisDisk, NamesAnotherDatabaseAndAnOlderImage) {
  EXPECT_EQ(not_on_this_disk({}, at(5)), "");
  EXPECT_EQ(not_on_this_disk(at(5), at(5)), "");
  EXPECT_EQ(not_on_this_disk(at(5), at(6)), "");
  EXPECT_EQ(not_on_this_disk(at(0x20), at(0x10)),
            "this disk is an older image, of 0/10: what had been committed behind 0/20 is lost with the newer one");
  for (const Position& other : {Position{"2", 1, 900}, Position{"1", 2, 900}})
    EXPECT_NE(not_on_this_disk(at(0x20), other).find("committed behind 0/20 is lost"), std::string::npos);
}

TEST(OwnDisk, IsWholeOnlyWithAllThatWasToldOfTheEpoch) {
  const auto marker = [](std::uint64_t lsn, Epoch epoch = 4) { return Marker{static_cast<Micros>(lsn), lsn, epoch}; };
  const Copy own = copy(State::resync, "c", 4);
  const Handover told{"b", at(0x20), marker(0x30)};
  EXPECT_TRUE(own_disk(own, told, at(0x40), marker(0x30)).whole);
  EXPECT_EQ(own_disk(own, told, at(0x40), marker(0x38)).lost, "") << "a later one was not told any more";
  // It has what the next owner had, and a start has written behind the place: only the marker tells.
  const auto older = own_disk(own, told, at(0x40), marker(0x28));
  EXPECT_NE(older.lost.find("an older image, of 0/28: epoch 4 was written here up to 0/30"), std::string::npos)
      << older.lost;
  EXPECT_FALSE(older.whole);
  EXPECT_NE(own_disk(own, told, at(0x10), marker(0x8))
                .lost.find("behind 0/20 is lost with the newer one; it was written up to 0/30"),
            std::string::npos);
  EXPECT_NE(own_disk(own, told, Position{"2", 1, 0x99}, {}).lost.find("is not the one"), std::string::npos);
  for (const auto& [name, handover, held] :
       {std::tuple{"nobody had heard its markers", Handover{"b", at(0x20)}, marker(0x30)},
        std::tuple{"of another epoch", Handover{"b", at(0x20), marker(0x30, 3)}, marker(0x30)},
        std::tuple{"nobody knows how far the next owner was", Handover{"b", {}, marker(0x30)}, marker(0x30)},
        std::tuple{"another one has written to it since", told, marker(0x30, 6)}}) {
    EXPECT_FALSE(own_disk(own, handover, at(0x40), held).whole) << name;
    EXPECT_EQ(own_disk(own, handover, at(0x40), held).lost, "") << name;
  }
  EXPECT_FALSE(own_disk(own, {}, at(0x40), marker(0x30)).whole);
}

TEST(BehindOwnMarker, NamesWhatTheDatabaseLacksOfWhatWasTold) {
  const auto marker = [](std::uint64_t lsn, Epoch epoch, Micros clock) { return Marker{clock, lsn, epoch}; };
  EXPECT_EQ(behind_own_marker({}, {}, 5), "");
  EXPECT_EQ(behind_own_marker(marker(0x20, 4, 9), {}, 5), "") << "of an epoch that has ended";
  EXPECT_EQ(behind_own_marker(marker(0x20, 5, 9), marker(0x1f, 5, 9), 5), "") << "the very one";
  EXPECT_EQ(behind_own_marker(marker(0x20, 5, 9), marker(0x20, 5, 3), 5), "") << "a later one, by a clock set back";
  EXPECT_EQ(behind_own_marker(marker(0x20, 5, 9), marker(0x10, 6, 8), 5), "") << "another one has written since";
  EXPECT_EQ(behind_own_marker(marker(0x20, 5, 9), marker(0x10, 5, 8), 5),
            "this disk is an older image, of 0/10: epoch 5 was written here up to 0/20");
  const auto without = "this database holds no marker of epoch 5, which was written here up to 0/20";
  EXPECT_EQ(behind_own_marker(marker(0x20, 5, 9), {}, 5), without);
  EXPECT_EQ(behind_own_marker(marker(0x20, 5, 9), marker(0x90, 4, 9), 5), without);
}

TEST(OnlyHere, IsWhatMustBeKeptBeforeACopyIsOverwritten) {
  const Record taken = serving("b", 5, kTakenAt90);
  EXPECT_EQ(only_here(copy(State::resync, "c", 4), taken, "c"), OnlyHere::own_log);
  EXPECT_EQ(only_here(copy(State::resync, "a", 4, at(89)), taken, "c"), OnlyHere::nothing);
  EXPECT_EQ(only_here(copy(State::resync, "a", 4, at(90)), taken, "c"), OnlyHere::nothing);
  EXPECT_EQ(only_here(copy(State::resync, "a", 4, at(91)), taken, "c"), OnlyHere::perhaps);
  EXPECT_EQ(only_here(copy(State::resync, "a", 4, Position{"2", 1, 7}), taken, "c"), OnlyHere::perhaps);
  EXPECT_EQ(only_here(copy(State::resync, "a", 4), taken, "c"), OnlyHere::perhaps) << "where it stood is not known";
  EXPECT_EQ(only_here(copy(State::resync, "a", 4, at(7)), serving("b", 5, kUnfenced), "c"), OnlyHere::perhaps);
  EXPECT_EQ(only_here(copy(State::resync, "a", 4, at(7)), serving("a", 4, kFour), "c"), OnlyHere::as_source);
  EXPECT_EQ(only_here(copy(State::resync, "a", 4, at(7)), serving("a", 6, {{4, "a", {}}, {6, "a", {}}}), "c"),
            OnlyHere::as_source);
  EXPECT_EQ(
      only_here(copy(State::resync, "a", 4, at(7)), serving("a", 6, {{4, "a", {}}, {5, "b", {}}, {6, "a", {}}}), "c"),
      OnlyHere::perhaps)
      << "somebody else wrote in between";
  EXPECT_EQ(only_here(copy(State::resync, "a", 4, at(7)), serving("a", 12, long_history(5)), "c"), OnlyHere::perhaps);
  const Record put_back = serving("a", 5, {{4, "a", {}}, {5, "a", {}, at(90)}});
  EXPECT_EQ(only_here(copy(State::resync, "a", 4, at(91)), put_back, "c"), OnlyHere::perhaps);
  EXPECT_EQ(only_here(copy(State::resync, "a", 4, at(90)), put_back, "c"), OnlyHere::nothing);
  const Record later = serving("b", 6, {{4, "a", {}}, {5, "b", {}, at(90)}, {6, "b", {}, Position{"2", 1, 3}}});
  EXPECT_EQ(only_here(copy(State::resync, "a", 4, at(90)), later, "c"), OnlyHere::perhaps) << "b lost what it had";
}

// us-east owns; eu-west's copy lives through a rollback, a planned switch that it saw whole, and a loss.
TEST(CopyStory, GoldenTranscript) {
  std::string told;
  Copy west = copy(State::following, "us-east", 4);
  const auto see = [&](const char* what, const Record& record, std::optional<Position> stops_at = {}) {
    told += std::string(what) + "\n";
    for (int i = 0; i < 4; ++i) {
      const CopyStep step = next_copy_step(west, record, "eu-west");
      if (step.act == CopyAct::keep) break;
      west = step.next;
      if (step.act == CopyAct::stop) west.position = stops_at;
      told += fmt::format("  {} {} {}: {}\n", name_of(west.state), west.source, west.epoch, step.why);
    }
  };
  Record r = serving("us-east", 4, {{4, "us-east", {}}});
  see("us-east drains", with_mode(r, Mode::draining));
  r.epoch = 5;
  see("it goes back to itself", with_mode(r, Mode::moving), at(80));
  r.history.push_back({5, "us-east", {}});
  see("and serves", r);
  r.epoch = 6;
  see("planned: to eu-central", with_mode(r, Mode::moving), at(100));
  r = serving("eu-central", 6, r.history);
  r.history.push_back({6, "eu-central", kFence});
  see("eu-central serves", r);
  r.epoch = 7;
  see("eu-central is lost", with_mode(r, Mode::moving), at(7));
  r = serving("us-east", 7, r.history);
  r.history.push_back({7, "us-east", {}});
  see("us-east took over", r);
  see("and goes on", r);
  EXPECT_EQ(told, R"(us-east drains
it goes back to itself
  stopped us-east 4: us-east no longer owns it at epoch 4
and serves
  following us-east 5: the same owner opened again, nobody else in between
planned: to eu-central
  stopped us-east 5: us-east no longer owns it at epoch 5
eu-central serves
  following eu-central 6: has everything up to the fence
eu-central is lost
  stopped eu-central 6: eu-central no longer owns it at epoch 6
us-east took over
  resync eu-central 6: us-east took epoch 7 without a fence: this copy may be behind or ahead
  following us-east 7: repaired: equal to us-east
and goes on
)");
}

TEST(Promotable, OnlyAPrefixOfTheLastEpochThatAnybodyOpened) {
  Record fenced = with_mode(serving("a", 5, kFour), Mode::moving);
  fenced.fence = kFence;
  Record again = with_mode(serving("a", 6, {{4, "a", {}}, {5, "a", {}}}), Mode::moving);
  const Record unfenced_again = again;
  again.fence = kFence;
  Record put_back = again;
  put_back.history.back().base = at(50);
  Record adopted = with_mode(serving("b", 10, {{9, "", {}}}), Mode::moving);
  struct {
    const char* name;
    Copy copy;
    Record record;
    bool yes;
  } cases[] = {
      {"a follower of the owner", copy(State::following), serving("a", 4, kFour), true},
      {"stopped when it died", copy(State::stopped, "a", 4, at(3)), with_mode(serving("a", 5, kFour), Mode::moving),
       true},
      {"nothing here", copy(State::none, "", 0), serving("a", 4, kFour), false},
      {"resync", copy(State::resync), serving("a", 4, kFour), false},
      {"still following an ended epoch", copy(State::following), serving("b", 5, kUnfenced), false},
      {"stopped in an ended epoch", copy(State::stopped), serving("b", 5, kUnfenced), false},
      {"the same epoch of another source", copy(State::following, "b", 4), serving("a", 4, kFour), false},
      {"the last owner itself", copy(State::owner, "c", 4), with_mode(serving("c", 5, {{4, "c", {}}}), Mode::moving),
       true},
      {"an owner that another one followed", copy(State::owner, "c", 4), serving("b", 5, {{4, "c", {}}, {5, "b", {}}}),
       false},
      {"planned: at the fence", copy(State::stopped, "a", 4, at(100)), fenced, true},
      {"planned: before the fence", copy(State::stopped, "a", 4, at(99)), fenced, false},
      {"planned: at the fence, and its agent missed an own epoch of the owner", copy(State::stopped, "a", 4, at(100)),
       again, true},
      {"planned: not at the fence, with such an epoch", copy(State::stopped, "a", 4, at(99)), again, false},
      {"such an epoch began elsewhere", copy(State::stopped, "a", 4, at(100)), put_back, false},
      {"such an epoch, and no fence", copy(State::stopped, "a", 4, at(100)), unfenced_again, false},
      {"planned: position unknown", copy(State::following), fenced, false},
      {"planned: the old owner itself holds its own fence", copy(State::owner, "a", 4), fenced, true},
      {"the quorum forgot that this epoch was opened: its owner", copy(State::owner, "a", 5), fenced, true},
      {"the quorum forgot that this epoch was opened: its follower", copy(State::following, "a", 5), fenced, false},
      {"the moving epoch of somebody else than its target", copy(State::following, "b", 5), fenced, false},
      {"adopted: nobody is known to be a prefix", copy(State::stopped, "a", 9), adopted, false},
      {"before the first opening nobody holds anything", copy(State::none, "", 0),
       with_mode(serving("a", 1, {}), Mode::moving), true},
  };
  for (const auto& c : cases) EXPECT_EQ(not_promotable(c.copy, c.record).empty(), c.yes) << c.name;
}

TEST(Promotable, WhatAPersonNamedIsNamedForThatRegionAlone) {
  Record adopted = with_mode(serving("b", 10, {{9, "", {}}}), Mode::moving);
  adopted.cause = Cause::adopted;
  adopted.to = "b";
  const Copy b = copy(State::stopped, "a", 9);
  EXPECT_EQ(barred_here(b, adopted, "b"), "");
  EXPECT_NE(barred_here(b, adopted, "c"), "");
  adopted.mode = Mode::serving;
  EXPECT_NE(barred_here(b, adopted, "b"), "") << "the choice was for that move";
}

// The swap to serving was applied, its agent died before it knew, and another region has begun to take over since.
TEST(NextCopyStep, AnOwnerLearnsOfItsOwnNextEpochAlsoWhileAnotherRegionOpens) {
  Record record{"a", 4, Mode::moving, "s", "a", "b", Cause::automatic};
  record.history = {{1, "a", {}}, {3, "a", {}}};
  const Copy kept{Copy::State::owner, "a", 1, {}};
  EXPECT_NE(not_promotable(kept, record), "");
  const auto step = next_copy_step(kept, record, "a");
  ASSERT_EQ(step.act, CopyAct::own);
  EXPECT_EQ(step.next, (Copy{Copy::State::owner, "a", 3, {}}));
  EXPECT_EQ(not_promotable(step.next, record), "");
  record.history = {{1, "a", {}}, {2, "b", {}}, {3, "a", {}}};
  EXPECT_NE(next_copy_step(kept, record, "a").act, CopyAct::own) << "another owner in between";
  record.history = {{1, "a", {}}, {3, "a", {}, Position{"7", 1, 9}}};
  EXPECT_NE(next_copy_step(kept, record, "a").act, CopyAct::own) << "its disk was put back in between";
}

}  // namespace
}  // namespace domicile::authority
