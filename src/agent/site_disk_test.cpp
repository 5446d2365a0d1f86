#include "agent/site_disk.hpp"

#include <gtest/gtest.h>

#include "base/temp_dir.hpp"

namespace domicile::agent {
namespace {

TEST(SiteDisk, AnApprovalIsKeptOverARestartUntilItsLossIsOver) {
  const TempDir dir;
  const authority::Proposal with_beat{"us-2", "us", "{\"epoch\":1}", "us-1", "{\"counter\":7}"};
  const authority::Proposal without{"eu-5", "eu", "{\"epoch\":4}", "", {}};
  {
    const auto disk = SiteDisk::open(dir.path()).value();
    ASSERT_TRUE(disk->approve(with_beat));
    ASSERT_TRUE(disk->approve(without));
  }
  {
    const auto disk = SiteDisk::open(dir.path()).value();
    EXPECT_EQ(disk->approvals(), (std::vector{without, with_beat}));
    ASSERT_TRUE(disk->end_approval(with_beat));
  }
  EXPECT_EQ(SiteDisk::open(dir.path()).value()->approvals(), std::vector{without});
}

TEST(SiteDisk, AnApprovalThatNamesNoLossIsForgotten) {
  const TempDir dir;
  ASSERT_TRUE(write_file(dir.path() / "approvals.json", R"({"us-2":true})"));
  EXPECT_TRUE(SiteDisk::open(dir.path()).value()->approvals().empty());
}

}  // namespace
}  // namespace domicile::agent
