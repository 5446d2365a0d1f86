#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/topology/parse.hpp"
#include "prove/attempt.hpp"
#include "prove/plant.hpp"
#include "prove/prove.hpp"

namespace domicile::prove {
namespace {

TEST(Attempts, AreManyOverAllLayersEachWithANameAndRules) {
  const auto all = all_attempts();
  EXPECT_GE(all.size(), 24U);
  std::set<std::string> ids;
  std::map<Layer, std::size_t> of_layer;
  for (const Attempt& attempt : all) {
    EXPECT_TRUE(ids.insert(attempt.id).second) << attempt.id << " twice";
    EXPECT_TRUE(attempt.id.starts_with(std::string(name_of(attempt.layer)) + ".")) << attempt.id;
    EXPECT_FALSE(attempt.what.empty()) << attempt.id;
    EXPECT_FALSE(attempt.rules.empty()) << attempt.id;
    EXPECT_TRUE(attempt.run) << attempt.id;
    ++of_layer[attempt.layer];
  }
  for (const Layer layer : layers()) EXPECT_GE(of_layer[layer], 3U) << name_of(layer);
}

TEST(Attempts, WhatBreaksALabComesLastAndOnlyWhereItMay) {
  const auto all = all_attempts();
  EXPECT_TRUE(std::ranges::is_sorted(all, {}, &Attempt::breaks));
  EXPECT_TRUE(all.back().breaks);
  EXPECT_TRUE(std::ranges::none_of(chosen({}), &Attempt::breaks));
  EXPECT_EQ(chosen({.may_break = true}).size(), all.size());
}

TEST(Attempts, TheSliceHasAllLayersAndIsSmaller) {
  const auto slice = chosen({.quick = true});
  EXPECT_LT(slice.size(), chosen({}).size());
  EXPECT_GE(slice.size(), 24U);
  std::set<Layer> seen;
  for (const Attempt& attempt : slice) seen.insert(attempt.layer);
  EXPECT_EQ(seen.size(), layers().size());
  for (const Attempt& attempt : chosen({.layer = Layer::backup})) EXPECT_EQ(attempt.layer, Layer::backup);
}

TEST(Layers, HaveNamesThatAreReadBack) {
  for (const Layer layer : layers()) EXPECT_EQ(layer_of(name_of(layer)), layer);
  EXPECT_EQ(layer_of("cellar"), std::nullopt);
}

TEST(Targets, AreReadBackAsTheyWereWritten) {
  const std::map<std::string, Target> targets = {{"a.b", {{"a.b", "value"}, fresh_uuid(), "t", "t.example"}}};
  const auto again = targets_of(json_of(targets));
  ASSERT_TRUE(again) << render(again.error());
  EXPECT_EQ(again->at("a.b").canary.value, "value");
  EXPECT_EQ(again->at("a.b").canary.id, "a.b");
  EXPECT_EQ(again->at("a.b").order, targets.at("a.b").order);
  EXPECT_EQ(again->at("a.b").host, "t.example");
  EXPECT_FALSE(targets_of(Json::array()));
}

topology::Topology topology(const std::string& holds) {
  const auto parsed = topology::load(
      "domicile: 1\nregions: {a: {jurisdiction: EU}, b: {jurisdiction: US}, c: {jurisdiction: EU}}\nresidencies:\n"
      "  directory: {home: a, standby: [b, c], holds: {EU: full, US: full}}\n"
      "  all: {home: a, standby: [b], holds: {EU: full, US: full}}\n"
      "  some: {home: a, standby: [c], holds: " +
          holds + "}\ndata: {app.orders: {tenant: t, residency: r, personal: [p], shared: [id]}}\n",
      "topology.yaml");
  EXPECT_TRUE(parsed) << render(parsed.error());
  return *parsed;
}

TEST(Subject, IsAResidencyThatSomeRegionMayNotHoldInFull) {
  const auto first = subject_of(topology("{EU: full, US: reduced}"), "", "");
  ASSERT_TRUE(first) << render(first.error());
  EXPECT_EQ(first->residency, "some");
  EXPECT_EQ(first->forbidden, "b");
  EXPECT_EQ(subject_of(topology("{EU: full}"), "", "")->forbidden, "b");
  EXPECT_EQ(subject_of(topology("{EU: full}"), "some", "b")->forbidden, "b");
  EXPECT_EQ(subject_of(topology("{EU: full, US: reduced}"), "all", "").error().kind, Kind::refused);
  EXPECT_EQ(subject_of(topology("{EU: full, US: full}"), "", "").error().kind, Kind::refused);
  EXPECT_EQ(subject_of(topology("{EU: full}"), "", "c").error().kind, Kind::refused);
  EXPECT_EQ(subject_of(topology("{EU: full}"), "nobody", "").error().kind, Kind::invalid_input);
  EXPECT_EQ(subject_of(topology("{EU: full}"), "", "nowhere").error().kind, Kind::invalid_input);
}

TEST(Subject, EachOtherPairIsNamedAsNotAttempted) {
  auto three = topology("{EU: full, US: reduced}");
  three.regions[2].jurisdiction = three.regions[1].jurisdiction;
  const auto from_b = begin_report(three, {"some", "", {.quick = true}, {}, {}});
  ASSERT_TRUE(from_b) << render(from_b.error());
  EXPECT_EQ(from_b->scope.from, "b");
  EXPECT_TRUE(from_b->scope.quick);
  EXPECT_EQ(from_b->scope.elsewhere, std::vector<std::string>{"some at c"});
  EXPECT_TRUE(from_b->left_out.empty()) << "a slice breaks nothing";
  const auto from_c = begin_report(three, {"some", "c", {}, {}, {}});
  ASSERT_TRUE(from_c) << render(from_c.error());
  EXPECT_EQ(from_c->scope.elsewhere, std::vector<std::string>{"some at b"});
  EXPECT_FALSE(from_c->left_out.empty());
}

}  // namespace
}  // namespace domicile::prove
