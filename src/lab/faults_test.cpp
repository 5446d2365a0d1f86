#include "lab/faults.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/process.hpp"

namespace domicile::lab {
namespace {

TEST(Faults, AreUndoneTheLastOneFirstWhenTheirProcessHasDied) {
  std::vector<std::string> done;
  Faults faults([&](const std::string& verb, const Json& body) -> Result<void> {
    done.push_back(verb + " " + dump(body));
    return {};
  });
  auto drill = Process::start({.argv = {"sleep", "60"}});
  ASSERT_TRUE(drill);
  const Holder holder{"loss", identify(drill->pid())};
  ASSERT_TRUE(faults.set(holder, "kill", {{"site", "a"}, {"holder", json_of(holder)}}));
  ASSERT_TRUE(faults.set(holder, "cut", {{"from", "a"}, {"to", "b"}, {"one_way", true}}));
  faults.undo_orphans();
  EXPECT_EQ(done.size(), 2U) << "it lives";
  const Holder other{"other", identify(::getpid())};
  const auto second = faults.set(other, "pause", {{"site", "c"}});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, Kind::conflict);
  drill->signal(SIGKILL);
  drill->wait();
  EXPECT_EQ(faults.json()[0]["alive"], false);
  done.clear();
  faults.undo_orphans();
  EXPECT_EQ(done, (std::vector<std::string>{"heal " + dump({{"from", "a"}, {"to", "b"}, {"one_way", true}}),
                                            "start " + dump({{"site", "a"}})}));
  EXPECT_EQ(faults.json(), Json::array());
  EXPECT_TRUE(faults.set(other, "pause", {{"site", "c"}})) << "nobody is in the way any more";
}

TEST(Faults, WhatCannotBeSetOrUndoneStaysUntilItIsUndone) {
  bool works = false;
  Faults faults([&](const std::string&, const Json&) -> Result<void> {
    if (works) return {};
    return fail(Kind::failed, "no");
  });
  const Holder holder{"loss", identify(::getpid())};
  EXPECT_FALSE(faults.set(holder, "kill", {{"site", "a"}})) << "it may be half set";
  EXPECT_FALSE(faults.undo(holder.process));
  EXPECT_EQ(faults.json().size(), 1U);
  works = true;
  EXPECT_TRUE(faults.undo(holder.process));
  EXPECT_EQ(faults.json().size(), 0U);
}

TEST(Faults, OnlyWhatHasAnUndoCanBeHeld) {
  const std::pair<const char*, const char*> pairs[] = {
      {"kill", "start"},     {"pause", "resume"}, {"cut", "heal"}, {"slow", "heal"}, {"kill-program", "start-program"},
      {"revoke", "unrevoke"}};
  for (const auto& [verb, undo] : pairs) EXPECT_EQ(undo_of(verb, {})->verb, undo);
  EXPECT_FALSE(undo_of("start", {}));
  EXPECT_FALSE(undo_of("down", {}));
}

}  // namespace
}  // namespace domicile::lab
