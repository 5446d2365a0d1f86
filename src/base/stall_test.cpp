#include "base/stall.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "base/temp_dir.hpp"

namespace domicile {
namespace {

namespace fs = std::filesystem;

void touch(const fs::path& file) { std::ofstream(file).flush(); }

// Waits without a deadline of its own: the test run has one.
void until_there(const fs::path& file) {
  while (!fs::exists(file)) std::this_thread::yield();
}

TEST(StallPoints, WithoutAFolderAndWithoutAFileTheyLetEveryonePass) {
  StallPoints().reach("open.fence", "us");
  const TempDir dir;
  StallPoints(dir.path()).reach("open.fence", "us");
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

TEST(StallPoints, APointCanBeHeldForOneSubjectWhileAnotherPasses) {
  const TempDir dir;
  const StallPoints stall(dir.path());
  touch(dir.path() / "open.fence@us.stop");
  stall.reach("open.fence", "eu");
  stall.reach("open.fence");
  EXPECT_FALSE(fs::exists(dir.path() / "open.fence@us.reached"));
  std::jthread held([&] { stall.reach("open.fence", "us"); });
  until_there(dir.path() / "open.fence@us.reached");
  fs::remove(dir.path() / "open.fence@us.stop");
}

TEST(StallPoints, ThePlainNameHoldsEverySubject) {
  const TempDir dir;
  const StallPoints stall(dir.path());
  touch(dir.path() / "open.fence.stop");
  std::jthread held([&] { stall.reach("open.fence", "us"); });
  until_there(dir.path() / "open.fence.reached");
  fs::remove(dir.path() / "open.fence.stop");
}

}  // namespace
}  // namespace domicile
