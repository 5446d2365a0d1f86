#include "agent/link_loop.hpp"

#include <gtest/gtest.h>

namespace domicile::agent {
namespace {

constexpr Micros kLife = 5500 * kMillisecond;

replication::CopyHealth good() {
  replication::CopyHealth health;
  health.complete = true;
  health.applied.emplace();
  health.applied->epoch = 3;
  health.applied->clock_us = 1000;
  return health;
}

authority::Marker committed(std::int64_t epoch, std::int64_t clock_us) {
  authority::Marker marker;
  marker.epoch = epoch;
  marker.clock_us = clock_us;
  return marker;
}

TEST(Lag, IsTheDifferenceOfTwoMarkersOfOneEpochAndNeverNegative) {
  EXPECT_EQ(lag_of(good(), committed(3, 4000), 0, kLife), 3000);
  EXPECT_EQ(lag_of(good(), committed(3, 400), 0, kLife), 0);
}

TEST(Lag, IsUnknownWhereAnythingIs) {
  EXPECT_FALSE(lag_of(good(), {}, 0, kLife));
  EXPECT_FALSE(lag_of(good(), committed(4, 4000), 0, kLife)) << "another epoch";
  auto incomplete = good();
  incomplete.complete = false;
  EXPECT_FALSE(lag_of(incomplete, committed(3, 4000), 0, kLife));
  auto broken = good();
  broken.trouble = "the schema differs";
  EXPECT_FALSE(lag_of(broken, committed(3, 4000), 0, kLife));
  auto empty = good();
  empty.applied.reset();
  EXPECT_FALSE(lag_of(empty, committed(3, 4000), 0, kLife));
}

TEST(Lag, IsUnknownWhereTheBeatIsOlderThanTheOwnersLastOne) {
  auto applied = good();
  applied.applied->clock_us = 4000 + kLife;
  EXPECT_EQ(lag_of(applied, committed(3, 4000), 0, kLife), 0) << "markers go on for a lease";
  EXPECT_FALSE(lag_of(applied, committed(3, 3999), 0, kLife));
}

TEST(Lag, IsUnknownToWhomTheQuorumHasNotAnsweredForALease) {
  EXPECT_TRUE(lag_of(good(), committed(3, 4000), kLife, kLife));
  EXPECT_FALSE(lag_of(good(), committed(3, 4000), kLife + 1, kLife));
}

}  // namespace
}  // namespace domicile::agent
