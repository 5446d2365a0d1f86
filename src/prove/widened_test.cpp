#include "prove/widened.hpp"

#include <gtest/gtest.h>

#include "base/temp_dir.hpp"
#include "core/topology/parse.hpp"

namespace domicile::prove {
namespace {

constexpr const char* kStrict =
    "domicile: 1\nregions: {a: {jurisdiction: EU}, b: {jurisdiction: US}, c: {jurisdiction: EU}}\nresidencies:\n"
    "  directory: {home: a, standby: [b, c], holds: {EU: full, US: full}}\n"
    "  us: {home: b, standby: [a], holds: {EU: full, US: full}}\n"
    "  eu: {home: a, standby: [c], holds: {EU: full}, rpo: 10s}\n"
    "data: {app.orders: {personal: [p], shared: [id]}}\n";

TEST(Widened, HasTheSameAndAResidencyThatMayLieInFullWhereItsModelMayNot) {
  const TempDir from, to;
  ASSERT_TRUE(write_file(from.path() / "topology.yaml", kStrict));
  ASSERT_TRUE(write_file(from.path() / "schema.sql", "select 1"));
  const auto file = write_widened(from.path() / "topology.yaml", to.path());
  ASSERT_TRUE(file) << render(file.error());
  EXPECT_EQ(read_file(to.path() / "schema.sql").value_or(""), "select 1");
  const auto strict = topology::load(kStrict, "strict"), wide = topology::load(*read_file(*file), "wide");
  ASSERT_TRUE(strict && wide);
  const auto* eu = topology::residency_of(*wide, "eu");
  const auto* leak = topology::residency_of(*wide, kWidened);
  ASSERT_NE(leak, nullptr);
  EXPECT_EQ(leak->home, eu->home);
  EXPECT_EQ(topology::form_at(*wide, *eu, "b"), topology::Form::none);
  EXPECT_EQ(topology::form_at(*wide, *leak, "b"), topology::Form::full);
  EXPECT_EQ(wide->residencies.size(), strict->residencies.size() + 1);
  EXPECT_EQ(wide->regions.size(), strict->regions.size());
  EXPECT_EQ(write_widened(*file, to.path()).error().kind, Kind::conflict) << "widened already";
}

TEST(Breach, IsBetweenAnOwnerAndARegionThatOwnsSomethingElse) {
  const auto breach = breach_of(*topology::load(kStrict, "strict"));
  ASSERT_TRUE(breach) << render(breach.error());
  EXPECT_EQ(breach->residency, "eu");
  EXPECT_EQ(breach->owner, "a");
  EXPECT_EQ(breach->site, "b");
  EXPECT_EQ(breach->served, "us");
}

}  // namespace
}  // namespace domicile::prove
