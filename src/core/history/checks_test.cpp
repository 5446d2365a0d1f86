#include "core/history/checks.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>

namespace domicile::history {
namespace {

// Writes a history call by call: each ends before the next begins, unless it is told otherwise.
class Story {
 public:
  Story& at(const std::string& node, std::int64_t epoch) {
    node_ = node, epoch_ = epoch;
    return *this;
  }
  Story& did(Deed deed, const std::string& key, std::vector<std::int64_t> asked, Type outcome = Type::ok) {
    return call(deed, key, asked, writes(deed) ? asked : std::vector<std::int64_t>{}, outcome);
  }
  Story& write(std::int64_t value, Type outcome = Type::ok) { return did(Deed::write, "r", {value}, outcome); }
  Story& append(std::int64_t value, Type outcome = Type::ok) { return did(Deed::append, "l", {value}, outcome); }
  Story& transfer(std::int64_t id, std::int64_t from, std::int64_t to, std::int64_t amount, Type outcome = Type::ok) {
    return did(Deed::transfer, "b", {id, from, to, amount}, outcome);
  }
  Story& read(std::int64_t value) { return call(Deed::read, "r", {}, {value}, Type::ok); }
  Story& nothing_read() {
    call(Deed::read, "r", {}, {}, Type::ok);
    operations.back().empty_read = true;
    return *this;
  }
  Story& list(std::vector<std::int64_t> items) { return call(Deed::list, "l", {}, std::move(items), Type::ok); }
  Story& balances(std::vector<std::int64_t> all) { return call(Deed::balances, "b", {}, std::move(all), Type::ok); }
  Story& note(Deed deed, const std::string& key, std::vector<std::int64_t> value, const std::string& note = {}) {
    operations.push_back({++now_, -1, Type::info, deed, "us", key, std::move(value), false, node_, epoch_, 0, note});
    return *this;
  }
  Story& bank() { return note(Deed::bank, "b", {3, 10}); }
  Story& end_of_register(std::int64_t value) { return note(Deed::last_read, "r", {value}); }
  Story& end_of_list(std::vector<std::int64_t> items) { return note(Deed::last_list, "l", std::move(items)); }
  Story& end_of_bank(std::vector<std::int64_t> balances, std::vector<std::int64_t> ids) {
    return note(Deed::last_balances, "b", std::move(balances)).note(Deed::last_transfers, "b", std::move(ids));
  }
  Story& call(Deed deed, const std::string& key, std::vector<std::int64_t> asked, std::vector<std::int64_t> answered,
              Type outcome) {
    const auto process = process_++;
    operations.push_back({++now_, process, Type::invoke, deed, "us", key, std::move(asked)});
    Operation end{++now_, process, outcome, deed, "us", key, std::move(answered)};
    if (outcome == Type::ok) end.node = node_, end.epoch = epoch_, end.lsn = static_cast<std::uint64_t>(now_);
    operations.push_back(std::move(end));
    return *this;
  }
  std::vector<Operation> operations;

 private:
  std::string node_ = "a";
  std::int64_t epoch_ = 1, process_ = 0;
  Micros now_ = 0;
};

Story story() { return {}; }

std::string rules(const Verdict& verdict) {
  std::string out;
  for (const Anomaly& each : verdict.anomalies) out += (out.empty() ? "" : " ") + std::string(name_of(each.rule));
  return out;
}

std::string found(const Story& story) {
  const auto verdict = judge(story.operations);
  return verdict ? rules(*verdict) : render(verdict.error());
}

TEST(Judge, FindsNothingWhereEverythingIsAsItShouldBe) {
  const struct {
    const char* name;
    Story story;
  } cases[] = {
      {"registers", story().nothing_read().write(1).read(1).did(Deed::cas, "r", {1, 2}).read(2).end_of_register(2)},
      {"an unknown write that happened", story().write(1).write(2, Type::info).read(1).read(2).end_of_register(2)},
      {"one that happened after all others", story().write(1).write(2, Type::info).read(1).end_of_register(2)},
      {"one that never happened", story().write(1).write(2, Type::info).read(1).end_of_register(1)},
      {"one that happened under the next owner",
       story().write(1).write(2, Type::info).at("b", 2).read(1).read(2).end_of_register(2)},
      {"one that was seen before and carried over",
       story().write(1).write(2, Type::info).read(2).at("b", 2).read(2).end_of_register(2)},
      {"a refused write", story().write(1).write(2, Type::fail).read(1).end_of_register(1)},
      {"the next owner goes on", story().write(1).at("b", 2).read(1).write(2).end_of_register(2)},
      {"what a takeover left behind is kept",
       story().write(1).write(2).at("b", 2).read(1).at("a", 1).note(Deed::kept_read, "r", {2}).end_of_register(1)},
      {"or named as lost",
       story().write(1).write(2).at("b", 2).read(1).at("a", 1).note(Deed::lost, "", {3}).end_of_register(1)},
      {"of an epoch that went on at the same owner",
       story().write(1).write(2).at("b", 3).read(1).at("a", 2).note(Deed::kept_read, "r", {2}).end_of_register(1)},
      {"what somebody had read is kept", story()
                                             .write(1)
                                             .write(2, Type::info)
                                             .read(2)
                                             .at("b", 2)
                                             .read(1)
                                             .at("a", 1)
                                             .note(Deed::kept_read, "r", {2})
                                             .end_of_register(1)},
      {"lists", story().list({}).append(1).append(2).list({1, 2}).end_of_list({1, 2})},
      {"an unknown append in between",
       story().append(1).append(2, Type::info).append(3).list({1, 3}).list({1, 3, 2}).end_of_list({1, 3, 2})},
      {"the next owner's list", story()
                                    .append(1)
                                    .append(2)
                                    .at("b", 2)
                                    .list({1})
                                    .append(3)
                                    .at("a", 1)
                                    .note(Deed::kept_list, "l", {1, 2})
                                    .end_of_list({1, 3})},
      {"banks", story().bank().transfer(1, 0, 1, 4).balances({6, 14, 10}).end_of_bank({6, 14, 10}, {1})},
      {"an unknown transfer",
       story().bank().transfer(1, 0, 1, 4, Type::info).balances({10, 10, 10}).end_of_bank({6, 14, 10}, {1})},
      {"a transfer that is kept",
       story().bank().transfer(1, 0, 1, 4).note(Deed::kept_transfer, "b", {1}).end_of_bank({10, 10, 10}, {})},
      {"owners", story().note(Deed::owner, "", {}, "a").at("b", 2).note(Deed::owner, "", {}, "b").end_of_list({})},
      {"nothing lies where it may not", story().note(Deed::census, "", {0}).end_of_list({})},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(found(each.story), "") << each.name;
  }
}

TEST(Judge, FindsEachPlantedAnomaly) {
  const struct {
    const char* name;
    Story story;
    const char* want;
  } cases[] = {
      {"a stale read", story().write(1).write(2).read(1).end_of_register(2), "linearizable"},
      {"a stale read under the next owner", story().write(1).at("b", 2).read(1).write(2).read(1).end_of_register(2),
       "linearizable"},
      {"two compare-and-sets of one value",
       story().write(1).did(Deed::cas, "r", {1, 2}).did(Deed::cas, "r", {1, 3}).end_of_register(3), "linearizable"},
      {"a lost write", story().write(1).write(2).end_of_register(1), "lost"},
      {"a write that a takeover lost", story().write(1).write(2).at("b", 2).read(1).end_of_register(1), "lost"},
      {"a first write that a takeover lost", story().write(1).at("b", 2).nothing_read().write(2).end_of_register(2),
       "lost"},
      {"what somebody had read and a takeover lost",
       story().write(1).write(2, Type::info).read(2).at("b", 2).read(1).end_of_register(1), "lost"},
      {"what is kept is not what was last",
       story()
           .write(1)
           .write(2)
           .write(3)
           .at("b", 2)
           .read(1)
           .at("a", 1)
           .note(Deed::kept_read, "r", {2})
           .end_of_register(1),
       "lost"},
      {"kept by somebody who had not acknowledged it",
       story().write(1).write(2).at("b", 2).read(1).at("c", 1).note(Deed::kept_read, "r", {2}).end_of_register(1),
       "lost"},
      {"lost behind another position",
       story().write(1).write(2).at("b", 2).read(1).at("a", 1).note(Deed::lost, "", {9}).end_of_register(1), "lost"},
      {"a refused write is there", story().write(1, Type::fail).read(1).end_of_register(1),
       "phantom phantom linearizable"},
      {"a value that nobody wrote", story().write(1).end_of_register(7), "phantom lost"},
      {"a value before its write", story().write(1).at("b", 2).read(2).write(2).end_of_register(2), "phantom"},
      {"a duplicate append", story().append(1).list({1, 1}).end_of_list({1}), "duplicate"},
      {"a duplicate in the end", story().append(1).append(2).end_of_list({1, 2, 1}), "duplicate"},
      {"a gap", story().append(1).append(2).append(3).at("b", 2).list({1, 3}).end_of_list({1, 2, 3}), "gap reappeared"},
      {"another order", story().append(1).append(2).end_of_list({2, 1}), "gap"},
      {"a stale list", story().append(1).append(2).list({1}).end_of_list({1, 2}), "stale"},
      {"two beginnings", story().append(1, Type::info).append(2, Type::info).list({1}).list({2, 1}).end_of_list({2, 1}),
       "prefix"},
      {"shorter than before", story().append(1, Type::info).list({1}).list({}).end_of_list({}), "stale"},
      {"a lost append", story().append(1).append(2).end_of_list({1}), "lost"},
      {"an append that came back by itself",
       story().append(1).append(2).at("b", 2).list({1}).append(3).list({1, 3, 2}).end_of_list({1, 3, 2}), "reappeared"},
      {"an append that nobody made", story().append(1).end_of_list({1, 5}), "phantom"},
      {"a refused append is there", story().append(1).append(2, Type::fail).end_of_list({1, 2}), "phantom"},
      {"a sum that is off", story().bank().transfer(1, 0, 1, 4).balances({6, 15, 10}).end_of_bank({6, 14, 10}, {1}),
       "sum"},
      {"a sum that is off in the end", story().bank().end_of_bank({10, 10, 11}, {}), "sum"},
      {"an account less", story().bank().balances({20, 10}).end_of_bank({10, 10, 10}, {}), "sum"},
      {"half of a transfer twice", story().bank().transfer(1, 0, 1, 4).end_of_bank({2, 18, 10}, {1}), "sum sum"},
      {"a lost transfer", story().bank().transfer(1, 0, 1, 4).end_of_bank({10, 10, 10}, {}), "lost"},
      {"a refused transfer is there", story().bank().transfer(1, 0, 1, 4, Type::fail).end_of_bank({6, 14, 10}, {1}),
       "phantom sum sum"},
      {"a transfer is kept that nobody made",
       story().bank().balances({10, 10, 10}).note(Deed::kept_transfer, "b", {9}).end_of_bank({10, 10, 10}, {}),
       "phantom"},
      {"a write by two owners", story().write(1).at("b", 1).write(2).end_of_register(2), "two-owners"},
      {"two owners, say the agents",
       story().note(Deed::owner, "", {}, "a").at("b", 1).note(Deed::owner, "", {}, "b").end_of_list({}), "two-owners"},
      {"an epoch that goes back", story().at("b", 2).write(1).at("a", 1).write(2).end_of_register(1), "epoch-back"},
      {"an agent whose epoch goes back",
       story().at("a", 3).note(Deed::owner, "", {}, "a").at("a", 2).note(Deed::owner, "", {}, "b").end_of_list({}),
       "epoch-back"},
      {"a forbidden byte", story().note(Deed::census, "", {30}).end_of_list({}), "forbidden"},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(found(each.story), each.want) << each.name;
  }
}

TEST(Judge, AHistoryThatBreaksOffIsNotHeldAndAccusesNobodyOfLosses) {
  const auto verdict = judge(story().append(1).write(1).operations);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(rules(*verdict), "");
  EXPECT_FALSE(verdict->held());
  EXPECT_EQ(json_of(*verdict)["forbidden_bytes"], Json());
}

TEST(Judge, RefusesWhatIsNoHistory) {
  EXPECT_NE(found(story().write(1).write(1)).find("written twice"), std::string::npos);
  EXPECT_NE(found(story().balances({1})).find("nobody made the bank"), std::string::npos);
  auto backwards = story().write(1);
  backwards.operations.erase(backwards.operations.begin());
  EXPECT_NE(found(backwards).find("never began"), std::string::npos);
  auto twice = story().write(1);
  twice.operations[1].type = Type::invoke;
  EXPECT_NE(found(twice).find("inside another"), std::string::npos);
}

TEST(Judge, CountsWhatClientsDid) {
  const auto verdict = judge(story()
                                 .bank()
                                 .write(1)
                                 .write(2, Type::fail)
                                 .append(1, Type::info)
                                 .read(1)
                                 .note(Deed::fault, "", {}, "kill")
                                 .note(Deed::missed, "", {}, "kill: not done")
                                 .at("a", 1)
                                 .note(Deed::census, "", {0})
                                 .end_of_register(1)
                                 .end_of_bank({10, 10, 10}, {})
                                 .operations);
  ASSERT_TRUE(verdict);
  const Json json = json_of(*verdict);
  EXPECT_EQ(json["operations"], 4);
  EXPECT_EQ(json["faults"], 1);
  EXPECT_EQ(json["acknowledged"], 1);
  EXPECT_EQ(json["refused"], 1);
  EXPECT_EQ(json["unknown"], 1);
  EXPECT_EQ(json["reads"], 1);
  EXPECT_EQ(json["epochs"], 1);
  EXPECT_EQ(json["anomalies"], 0);
  EXPECT_EQ(json["lost"], 0);
  EXPECT_EQ(json["forbidden_bytes"], 0);
  EXPECT_TRUE(verdict->held());
}

// A platform in memory: registers, lists and banks with an owner that changes, its copy behind it by some writes, and
// salvage of exactly those. Clients do not always hear what came of their writes.
struct Platform {
  struct State {
    std::map<std::string, std::int64_t> registers;
    std::map<std::string, std::vector<std::int64_t>> lists;
    std::vector<std::int64_t> balances{10, 10, 10};
    std::vector<std::int64_t> transfers;
  };
  State now, copy;
  std::int64_t epoch = 1, next = 1;
  Story story;

  Platform() { story.bank(); }
  std::string key(const char* kind) { return fmt::format("{}{}", kind, *rc::gen::inRange(0, 3)); }
  Type heard(bool done) {
    const int luck = *rc::gen::inRange(0, 10);
    return done ? (luck == 0 ? Type::info : Type::ok) : (luck < 5 ? Type::info : Type::fail);
  }

  void operate() {
    const bool done = *rc::gen::inRange(0, 8) != 0;
    switch (*rc::gen::inRange(0, 6)) {
      case 0: {
        const auto where = key("r");
        if (done) now.registers[where] = next;
        story.did(Deed::write, where, {next++}, heard(done));
        return;
      }
      case 1: {
        const auto where = key("r");
        const auto held = now.registers.find(where);
        story.call(Deed::read, where, {},
                   held == now.registers.end() ? std::vector<std::int64_t>{} : std::vector{held->second}, Type::ok);
        story.operations.back().empty_read = held == now.registers.end();
        return;
      }
      case 2: {
        const auto where = key("l");
        if (done) now.lists[where].push_back(next);
        story.did(Deed::append, where, {next++}, heard(done));
        return;
      }
      case 3: {
        const auto where = key("l");
        story.call(Deed::list, where, {}, now.lists[where], Type::ok);
        return;
      }
      case 4: {
        const auto from = *rc::gen::inRange(0, 3), to = *rc::gen::inRange(0, 3), amount = *rc::gen::inRange(1, 5);
        if (done) {
          now.balances[from] -= amount, now.balances[to] += amount;
          now.transfers.push_back(next);
        }
        story.transfer(next++, from, to, amount, heard(done));
        return;
      }
      default:
        story.balances(now.balances);
    }
  }

  void take_over() {
    story.at(fmt::format("n{}", epoch), epoch);
    for (const auto& [where, value] : now.registers)
      if (copy.registers[where] != value) story.note(Deed::kept_read, where, {value});
    for (const auto& [where, items] : now.lists)
      if (copy.lists[where] != items) story.note(Deed::kept_list, where, items);
    for (const std::int64_t id : now.transfers)
      if (std::ranges::find(copy.transfers, id) == copy.transfers.end()) story.note(Deed::kept_transfer, "b", {id});
    std::erase_if(copy.registers, [](const auto& each) { return each.second == 0; });
    now = copy;
    ++epoch;
    story.at(fmt::format("n{}", epoch), epoch);
  }

  void end() {
    for (const char* where : {"r0", "r1", "r2"}) {
      const auto held = now.registers.find(where);
      story.note(Deed::last_read, where,
                 held == now.registers.end() ? std::vector<std::int64_t>{} : std::vector{held->second});
      story.operations.back().empty_read = held == now.registers.end();
    }
    for (const char* where : {"l0", "l1", "l2"}) story.note(Deed::last_list, where, now.lists[where]);
    story.end_of_bank(now.balances, now.transfers);
  }
};

RC_GTEST_PROP(Judge, APlatformThatKeepsItsWordIsNeverAccused, ()) {
  Platform platform;
  platform.story.at("n1", 1);
  const auto count = *rc::gen::inRange(1, 60);
  for (int i = 0; i < count; ++i) {
    platform.operate();
    if (*rc::gen::inRange(0, 3) != 0) platform.copy = platform.now;
    if (*rc::gen::inRange(0, 12) == 0) platform.take_over();
  }
  platform.end();
  const auto verdict = judge(platform.story.operations);
  RC_ASSERT(verdict.has_value());
  RC_ASSERT(rules(*verdict) == "");
  RC_ASSERT(verdict->held());
}

RC_GTEST_PROP(Judge, AnAcknowledgedAppendOrTransferThatIsNowhereIsAlwaysFound, ()) {
  Platform platform;
  platform.story.at("n1", 1);
  platform.now.lists["l0"].push_back(platform.next);
  platform.story.did(Deed::append, "l0", {platform.next++});
  const auto count = *rc::gen::inRange(1, 40);
  for (int i = 0; i < count; ++i) platform.operate();
  std::vector<std::int64_t> acknowledged;
  for (const Operation& each : platform.story.operations)
    if (each.type == Type::ok && (each.deed == Deed::append || each.deed == Deed::transfer))
      acknowledged.push_back(each.value[0]);
  const auto victim = *rc::gen::elementOf(acknowledged);
  for (auto& [where, items] : platform.now.lists) std::erase(items, victim);
  std::erase(platform.now.transfers, victim);
  platform.end();
  const auto verdict = judge(platform.story.operations);
  RC_ASSERT(verdict.has_value());
  RC_ASSERT(rules(*verdict).find("lost") != std::string::npos);
}

}  // namespace
}  // namespace domicile::history
