#include "gate/register.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "base/temp_dir.hpp"

namespace domicile::gate {
namespace {

TEST(TransferRegister, CountsOnAfterItIsOpenedAgain) {
  const TempDir dir;
  const auto path = dir.path() / "register";
  for (int round = 1; round <= 2; ++round) {
    auto transfers = Register::open(path);
    ASSERT_TRUE(transfers) << render(transfers.error());
    Register::count(*transfers->place("l", "app.orders", "full"), 2, 30, 100U * static_cast<unsigned>(round),
                    7 + round);
    Register::count(*transfers->place("l", "app.orders", "reduced"), 1, 5, 50, 9);
    ASSERT_TRUE(transfers->sync());
    const auto all = transfers->all();
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].rows, 2u * static_cast<unsigned>(round));
    EXPECT_EQ(all[0].bytes, 30u * static_cast<unsigned>(round));
    EXPECT_EQ(all[0].position, 100u * static_cast<unsigned>(round));
    EXPECT_EQ(all[0].first_at, 8);
    EXPECT_EQ(all[0].last_at, 7 + round);
  }
}

TEST(TransferRegister, RemembersHowFarALinkWasSentAndDoesNotCallThatATable) {
  const TempDir dir;
  for (const std::uint64_t position : {7U, 9U, 0U}) {
    auto transfers = Register::open(dir.path() / "register");
    ASSERT_TRUE(transfers) << render(transfers.error());
    transfers->set_sent("l", position);
    EXPECT_EQ(transfers->sent("l"), position);
    EXPECT_EQ(transfers->sent("other"), 0u);
    EXPECT_TRUE(transfers->all().empty());
  }
  EXPECT_EQ(Register::open(dir.path() / "register")->sent("l"), 0u);
}

TEST(TransferRegister, WhatAKilledGateHasCountedStays) {
  const TempDir dir;
  const auto path = dir.path() / "register";
  const pid_t child = fork();
  if (child == 0) {
    auto transfers = Register::open(path);
    if (transfers) Register::count(*transfers->place("l", "t", "full"), 41, 1, 1, 1);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  auto transfers = Register::open(path);
  ASSERT_TRUE(transfers);
  ASSERT_EQ(transfers->all().size(), 1u);
  EXPECT_EQ(transfers->all()[0].rows, 41u);
}

TEST(TransferRegister, HasOneWriterAndRefusesWhatItIsNot) {
  const TempDir dir;
  const auto path = dir.path() / "register";
  {
    const auto first = Register::open(path);
    ASSERT_TRUE(first);
    EXPECT_EQ(Register::open(path).error().kind, Kind::conflict);
  }
  ASSERT_TRUE(write_file(path, "something else"));
  EXPECT_EQ(Register::open(path).error().kind, Kind::corrupt);
}

TEST(TransferRegister, SeveralThreadsCountAtOnce) {
  const TempDir dir;
  auto transfers = Register::open(dir.path() / "register");
  ASSERT_TRUE(transfers);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) Register::count(*transfers->place("l", "t", "full"), 1, 1, 1, 1);
    });
  threads.clear();
  ASSERT_EQ(transfers->all().size(), 1u);
  EXPECT_EQ(transfers->all()[0].rows, 4000u);
}

}  // namespace
}  // namespace domicile::gate
