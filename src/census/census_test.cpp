// Files and directories as they really are: links, holes, special files, what cannot be read, what is gone.
#include "census/census.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp_dir.hpp"
#include "census/plant.hpp"
#include "census/source.hpp"
#include "census/wal.hpp"

namespace domicile::census {
namespace {

using testing::HasSubstr;
using testing::Not;

class CensusTest : public testing::Test {
 protected:
  Report look(const Limits& limits = {}) const { return census({{"here", dir_.path()}}, {canary_, other_}, limits); }
  void write(const std::string& name, const Bytes& bytes) const {
    fs::create_directories((dir_.path() / name).parent_path());
    ASSERT_TRUE(write_file(dir_.path() / name, bytes));
  }
  TempDir dir_;
  Canary canary_{"c1", "k3v9qzt0x7m1w8c5r2p6y4n0b9h7g1"}, other_{"c2", "u8d2fj5s0a6l3e9i7o1x4k2z8w5q6t"};
};

TEST_F(CensusTest, TellsFileOffsetFormChainAndIdAndNeverTheValue) {
  write("deep/in/a.log", "line\n" + canary_.value + "\n");
  write("b.gz", wrappings()[9].wrap("id=" + to_base64("x" + canary_.value)));
  const auto report = look();
  ASSERT_EQ(report.hits.size(), 3u) << to_json(report).dump(1);
  EXPECT_EQ(report.hits[0].chain, "gzip > base64");
  EXPECT_EQ(report.hits[0].canary, "c1");
  EXPECT_EQ(report.hits[2].chain, "raw");
  EXPECT_EQ(report.hits[2].offset, 5u);
  EXPECT_THAT(report.hits[2].file, HasSubstr("deep/in/a.log"));
  EXPECT_FALSE(report.clean());
  const std::string text = to_json(report).dump();
  EXPECT_THAT(text, Not(HasSubstr(canary_.value)));
  EXPECT_THAT(text, HasSubstr("\"clean\":false"));
}

TEST_F(CensusTest, IsCleanAndCountsWhatItSearched) {
  write("a", Bytes(12'345, 'a'));
  write("b", "");
  const auto report = look();
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.searched_bytes, 12'345u);
  EXPECT_EQ(report.places[0].bytes, 12'345u);
  EXPECT_EQ(report.places[0].files, 2u);
}

TEST_F(CensusTest, DoesNotFollowLinksNorOpenSpecialFiles) {
  TempDir elsewhere;
  ASSERT_TRUE(write_file(elsewhere.path() / "file", canary_.value));
  fs::create_symlink(elsewhere.path(), dir_.path() / "link");
  fs::create_symlink(elsewhere.path() / "file", dir_.path() / "link2");
  ASSERT_EQ(mkfifo((dir_.path() / "fifo").c_str(), 0600), 0);
  const auto report = look();
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.places[0].links, 2u);
  EXPECT_EQ(report.places[0].special, 1u);
}

TEST_F(CensusTest, APlaceThatIsALinkIsWhatItLeadsTo) {
  write("data/file", canary_.value);
  fs::create_symlink(dir_.path() / "data", dir_.path() / "link");
  EXPECT_EQ(census({{"linked", dir_.path() / "link"}}, {canary_}).hits.size(), 1u);
}

TEST_F(CensusTest, FindsACanaryInANameAndDoesNotRepeatIt) {
  write("mail-" + canary_.value + ".txt", "nothing");
  write("folder-" + other_.value + "/file", "nothing");
  fs::create_symlink("to-" + canary_.value, dir_.path() / "link");
  const auto report = look();
  EXPECT_GE(report.hits.size(), 3u);
  EXPECT_EQ(report.hits[0].chain, "name > raw");
  EXPECT_THAT(to_json(report).dump(), Not(HasSubstr(canary_.value)));
  EXPECT_THAT(to_json(report).dump(), Not(HasSubstr(other_.value)));
}

TEST_F(CensusTest, CallsAPlaceThatIsNotThereUnsearched) {
  const auto report = census({{"gone", dir_.path() / "nowhere"}}, {canary_});
  EXPECT_FALSE(report.clean());
  ASSERT_EQ(report.unsearched.size(), 1u);
  EXPECT_EQ(report.unsearched[0].why, "is not there");
}

TEST_F(CensusTest, CallsAFileThatCannotBeReadUnsearched) {
  // Root may read anything; the memory of a process gives an error to everybody at its first page.
  const auto report = census({{"memory", "/proc/self/mem"}}, {canary_});
  ASSERT_EQ(report.unsearched.size(), 1u);
  EXPECT_THAT(report.unsearched[0].why, HasSubstr("cannot be read"));
}

TEST_F(CensusTest, SkipsTheHolesOfASparseFileAndFindsWhatIsBehindThem) {
  const auto path = dir_.path() / "sparse";
  ASSERT_TRUE(write_file(path, "begin"));
  const Fd fd(::open(path.c_str(), O_WRONLY));
  constexpr off_t kFar = 1LL << 40;
  ASSERT_EQ(pwrite(fd.get(), canary_.value.data(), canary_.value.size(), kFar), static_cast<ssize_t>(kCanaryLength));
  const auto report = look();
  ASSERT_EQ(report.hits.size(), 1u);
  EXPECT_EQ(report.hits[0].offset, static_cast<std::uint64_t>(kFar));
  EXPECT_LT(report.searched_bytes, 10u << 20);
}

TEST_F(CensusTest, AFileThatVanishedIsCountedAndNothingElse) {
  EXPECT_EQ(open_file(dir_.path() / "gone", "gone").value(), nullptr);
}

TEST_F(CensusTest, AFileThatWasReplacedByALinkIsNotFollowed) {
  write("target", canary_.value);
  fs::create_symlink(dir_.path() / "target", dir_.path() / "link");
  EXPECT_FALSE(open_file(dir_.path() / "link", "link"));
}

template <class Number>
Bytes le(Number number) {
  return Bytes(reinterpret_cast<const char*>(&number), sizeof number);
}

Bytes page(std::uint64_t address, const Bytes& content) {
  Bytes out = le(std::uint16_t{0xD110}) + le(std::uint16_t{1}) + le(std::uint32_t{1}) + le(address) + Bytes(8, '\0');
  out += content;
  out.resize(kPageSize, '.');
  return out;
}

// The second segment was recycled: renamed to a later name, its old content still there, and the next one begins where
// the first ends.
TEST_F(CensusTest, FollowsAValueFromOneSegmentOfWalIntoTheNext) {
  const Bytes head = canary_.value.substr(0, 11), tail = canary_.value.substr(11);
  const std::size_t room = kPageSize - 24;
  write("pg_wal/000000010000000000000001", page(0x1ffe000, Bytes(room - head.size(), '.') + head));
  write("pg_wal/000000010000000000000009", page(0x2000000, tail));
  write("pg_wal/000000010000000000000003", page(0x5000000, "other"));
  const auto report = look();
  ASSERT_EQ(report.hits.size(), 1u) << to_json(report).dump(1);
  EXPECT_EQ(report.hits[0].chain, "wal > raw");
  EXPECT_EQ(report.hits[0].offset, kPageSize - head.size());
  EXPECT_THAT(report.hits[0].file, HasSubstr("000000010000000000000001"));
}

TEST_F(CensusTest, FollowsAValueOverTheTrailersOfSortRuns) {
  const Bytes head = canary_.value.substr(0, 11), tail = canary_.value.substr(11);
  write("base/pgsql_tmp/pgsql_tmp1.0", Bytes(kPageSize - 16 - head.size(), '.') + head + Bytes(16, '\7') + tail);
  const auto report = look();
  ASSERT_EQ(report.hits.size(), 1u);
  EXPECT_EQ(report.hits[0].chain, "tape > raw");
}

TEST_F(CensusTest, GivesTheSameWithOneThreadAndWithMany) {
  for (int i = 0; i < 60; ++i)
    write("f" + std::to_string(i), wrappings()[static_cast<std::size_t>(i) % wrappings().size()].wrap(canary_.value));
  Limits one, many;
  one.threads = 1;
  many.threads = 8;
  auto a = to_json(look(one)), b = to_json(look(many));
  a.erase("seconds");
  b.erase("seconds");
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace domicile::census
