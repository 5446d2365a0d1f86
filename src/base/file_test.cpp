#include "base/file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/temp_dir.hpp"

namespace domicile {
namespace {

TEST(File, WriteReplacesWholeAndLeavesNothingBeside) {
  TempDir dir;
  const auto path = dir.path() / "f";
  ASSERT_TRUE(write_file(path, "one"));
  ASSERT_TRUE(write_file(path, "two"));
  EXPECT_EQ(*read_file(path), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
}

TEST(File, ASecretThatOthersMayReadIsRefused) {
  TempDir dir;
  const auto path = dir.path() / "s";
  ASSERT_TRUE(write_secret(path, "x"));
  EXPECT_TRUE(read_secret(path));
  fs::permissions(path, fs::perms::group_read, fs::perm_options::add);
  EXPECT_EQ(read_secret(path).error().kind, Kind::refused);
}

TEST(Journal, KeepsWholeLinesAndCutsATornOne) {
  TempDir dir;
  const auto path = dir.path() / "j";
  {
    auto journal = Journal::open(path);
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->append("a"));
    ASSERT_TRUE(journal->append("b"));
  }
  std::ofstream(path, std::ios::app) << "torn";
  auto journal = Journal::open(path);
  ASSERT_TRUE(journal);
  EXPECT_EQ(journal->lines_at_open(), (std::vector<std::string>{"a", "b"}));
  ASSERT_TRUE(journal->append("c"));
  EXPECT_EQ(*read_file(path), "a\nb\nc\n");
}

TEST(Journal, KeepsWhatWasOnlyNotedInItsOrder) {
  TempDir dir;
  const auto path = dir.path() / "j";
  {
    auto journal = Journal::open(path);
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->note("a"));
    ASSERT_TRUE(journal->append("b"));
    ASSERT_TRUE(journal->note("c"));
  }
  EXPECT_EQ(Journal::open(path)->lines_at_open(), (std::vector<std::string>{"a", "b", "c"}));
}

TEST(Journal, HasOneWriter) {
  TempDir dir;
  auto first = Journal::open(dir.path() / "j");
  ASSERT_TRUE(first);
  EXPECT_EQ(Journal::open(dir.path() / "j").error().kind, Kind::conflict);
}

}  // namespace
}  // namespace domicile
