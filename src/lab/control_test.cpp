#include "lab/control.hpp"

#include <gtest/gtest.h>

#include "base/temp_dir.hpp"

namespace domicile::lab {
namespace {

// What a lab makes, as its folder looks when it has ended.
struct Ended {
  TempDir folder;
  fs::path directory = folder.path() / "lab-7";
  Ended() {
    for (const char* file :
         {"lab.log", "topology.yaml", "bin/domicile", "certs/ca.pem", "sites/a/postgres/base/1", "sites/a/agent.yaml",
          "sites/a/logs/agent.log", "sites/a/gateway/nginx.conf", "sites/a/gateway/logs/error.log"})
      make(file);
  }
  void make(const fs::path& file) const {
    EXPECT_TRUE(make_directories((directory / file).parent_path()));
    EXPECT_TRUE(write_file(directory / file, "x"));
  }
  std::vector<std::string> files() const {
    std::vector<std::string> all;
    std::error_code code;
    for (const auto& entry : fs::recursive_directory_iterator(directory, code))
      if (entry.is_regular_file()) all.push_back(fs::relative(entry.path(), directory).string());
    std::sort(all.begin(), all.end());
    return all;
  }
};
using Files = std::vector<std::string>;

TEST(Clear, NothingOfALabStays) {
  const Ended lab;
  clear(lab.directory, Leave::nothing);
  EXPECT_FALSE(fs::exists(lab.directory));
}

TEST(Clear, WhatWasRecordedAndWhatIsNotTheLabsStays) {
  const Ended lab;
  lab.make("recorded/a-b/postgres.1");
  lab.make("report.json");
  clear(lab.directory, Leave::nothing);
  EXPECT_EQ(lab.files(), (Files{"recorded/a-b/postgres.1", "report.json"}));
}

TEST(Clear, OfALabThatFailedOnlyTheLogsStay) {
  const Ended lab;
  clear(lab.directory, Leave::logs);
  EXPECT_EQ(lab.files(), (Files{"lab.log", "sites/a/gateway/logs/error.log", "sites/a/logs/agent.log"}))
      << "neither keys nor rows";
}

TEST(Clear, KeepingKeepsAll) {
  const Ended lab;
  const Files before = lab.files();
  clear(lab.directory, Leave::all);
  EXPECT_EQ(lab.files(), before);
}

TEST(Down, IsFineWhereThereIsNothing) {
  const TempDir folder;
  EXPECT_TRUE(down(folder.path() / "no-lab"));
}

}  // namespace
}  // namespace domicile::lab
