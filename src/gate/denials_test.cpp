#include "gate/denials.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <set>

#include "base/temp_dir.hpp"

namespace domicile::gate {
namespace {

const Log kSilent(-1, Log::Format::text, Level::error, "");

std::size_t lines_in(const fs::path& file) {
  const std::string text = read_file(file).value_or("");
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Denials, AreExplainedAfterARestartAndNoIdComesTwice) {
  const TempDir dir;
  std::set<std::string> ids;
  std::string first;
  for (int round = 0; round < 3; ++round) {
    Denials denials(dir.path() / "denials", kSilent);
    for (int i = 0; i < 3; ++i) ids.insert(denials.add("eu-central-1", "slot", "another one's"));
    if (first.empty()) first = *ids.begin();
    const auto found = denials.find(first);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->region, "eu-central-1");
    EXPECT_EQ(found->rule, "slot");
    EXPECT_EQ(found->what, "another one's");
    EXPECT_GT(found->at, 0);
  }
  EXPECT_EQ(ids.size(), 9u);
  EXPECT_FALSE(Denials(dir.path() / "denials", kSilent).find("g-0-1"));
}

// Whoever was told the id has it written, even when the process is killed at once.
TEST(Denials, AreInTheFileWhenTheIdIsTold) {
  const TempDir dir;
  Denials denials(dir.path() / "denials", kSilent);
  const auto id = denials.add("", "tls", "only by TLS");
  EXPECT_NE(read_file(dir.path() / "denials").value_or("").find(id), std::string::npos);
}

TEST(Denials, TheirFileStaysSmallAndKeepsTheLastThousand) {
  const TempDir dir;
  std::string last, old;
  {
    Denials denials(dir.path() / "denials", kSilent);
    old = denials.add("", "tls", "x");
    for (std::size_t i = 0; i < 2 * Denials::kLines; ++i) last = denials.add("", "tls", std::string(2000, 'x'));
  }
  EXPECT_LE(lines_in(dir.path() / "denials"), Denials::kLines);
  EXPECT_LT(fs::file_size(dir.path() / "denials"), Denials::kLines * 700);
  const Denials again(dir.path() / "denials", kSilent);
  EXPECT_EQ(again.all().size(), Denials::kKept);
  EXPECT_TRUE(again.find(last));
  EXPECT_FALSE(again.find(old));
}

TEST(Denials, ADamagedLineLosesOnlyItself) {
  const TempDir dir;
  std::string id;
  { id = Denials(dir.path() / "denials", kSilent).add("", "tls", "x"); }
  const auto text = read_file(dir.path() / "denials").value();
  ASSERT_TRUE(write_file(dir.path() / "denials", "{broken\n" + text + "{\"id\": 1}\n"));
  EXPECT_TRUE(Denials(dir.path() / "denials", kSilent).find(id));
}

// No file grows any more, as on a full disk.
struct NoSpace {
  rlimit before{};
  NoSpace() {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit none{1, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  ~NoSpace() { ::setrlimit(RLIMIT_FSIZE, &before); }
};

TEST(Denials, AFullDiskStopsNoRefusalAndWhatWasMissedComesLater) {
  const TempDir dir;
  std::string before, during, after;
  {
    Denials denials(dir.path() / "denials", kSilent);
    before = denials.add("", "tls", "x");
    {
      const NoSpace full;
      const Micros begun = monotonic_now();
      for (int i = 0; i < 100; ++i) during = denials.add("", "slot", "y");
      EXPECT_LT(monotonic_now() - begun, 10 * Denials::kPatience);
      EXPECT_TRUE(denials.find(during));
    }
    after = denials.add("", "tls", "z");
  }
  const Denials again(dir.path() / "denials", kSilent);
  for (const auto& id : {before, during, after}) EXPECT_TRUE(again.find(id)) << id;
  EXPECT_EQ(again.all().size(), 102u);
}

TEST(Denials, WithoutAFileTheyLiveInMemory) {
  const TempDir dir;
  fs::create_directories(dir.path() / "denials");
  Denials denials(dir.path() / "denials", kSilent);
  EXPECT_TRUE(denials.find(denials.add("", "tls", "x")));
}

}  // namespace
}  // namespace domicile::gate
