#include "core/desired/law.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/desired/plan.hpp"
#include "core/desired/readiness.hpp"

namespace domicile::desired {
namespace {

using topology::Form;
using topology::Identifier;
using topology::Jurisdiction;
using topology::RegionName;
using topology::ResidencyName;

const auto kUs = *Jurisdiction::of("US"), kEu = *Jurisdiction::of("EU"), kCa = *Jurisdiction::of("CA");

// ca may be held nowhere else; eu reduced in the US; us everywhere but in Canada, where it is reduced.
topology::Topology three_jurisdictions() {
  const auto region = [](const char* name) { return *RegionName::of(name); };
  const auto id = [](const char* name) { return *Identifier::of(name); };
  topology::Topology out;
  out.regions = {{region("us-east-1"), kUs}, {region("eu-central-1"), kEu}, {region("ca-central-1"), kCa}};
  out.residencies = {
      {*ResidencyName::of("directory"),
       region("us-east-1"),
       {},
       {{kUs, Form::full}, {kEu, Form::full}, {kCa, Form::full}}},
      {*ResidencyName::of("us"), region("us-east-1"), {}, {{kUs, Form::full}, {kEu, Form::full}, {kCa, Form::reduced}}},
      {*ResidencyName::of("eu"), region("eu-central-1"), {}, {{kEu, Form::full}, {kUs, Form::reduced}}},
      {*ResidencyName::of("ca"), region("ca-central-1"), {}, {{kCa, Form::full}}}};
  out.tables = {{id("app"), id("orders"), id("tenant_id"), id("residency"), {id("name"), id("email")}, {id("id")}, {}}};
  return out;
}

SeenTable orders() {
  SeenTable table{"app", "orders", "postgres"};
  table.columns = {{"id", "bigint", true},
                   {"tenant_id", "text", true},
                   {"residency", "text", true},
                   {"email", "text"},
                   {"name", "text"}};
  return table;
}

std::string law_in(const std::string& region, const SeenTable& seen = orders(),
                   const topology::Topology& topology = three_jurisdictions()) {
  return law_of(topology, region, topology.tables[0], seen).condition;
}

using Words = std::vector<std::string>;
Words arguments_in(const std::string& region, const SeenTable& seen = orders()) {
  const auto topology = three_jurisdictions();
  return law_of(topology, region, topology.tables[0], seen).arguments;
}

TEST(Law, RefusesPersonalValuesOfWhatIsHeldReducedAndEveryRowOfWhatIsNotHeld) {
  EXPECT_EQ(law_in("us-east-1"),
            R"(NEW."residency" IS NULL OR NEW."residency" <> ALL ('{"directory","eu","us"}'::text[]))"
            R"( OR NEW."residency" <> ALL ('{"directory","us"}'::text[]))"
            R"( AND (NEW."email" IS NOT NULL OR NEW."name" IS NOT NULL))"
            R"( OR domicile.guard_label(NEW."tenant_id"::text, NEW."residency", 'orders'))");
  EXPECT_EQ(law_in("eu-central-1"),
            R"(NEW."residency" IS NULL OR NEW."residency" <> ALL ('{"directory","eu","us"}'::text[]))"
            R"( OR domicile.guard_label(NEW."tenant_id"::text, NEW."residency", 'orders'))")
      << "nothing is reduced here, and ca may not be here at all";
}

TEST(Law, AsksForTheTenantOnlyWhereARowHasPersonalValuesIfNothingIsForbiddenAltogether) {
  auto topology = three_jurisdictions();
  topology.residencies.pop_back();
  EXPECT_TRUE(law_in("us-east-1", orders(), topology)
                  .ends_with(R"( AND (NEW."email" IS NOT NULL OR NEW."name" IS NOT NULL))"
                             R"( OR (NEW."email" IS NOT NULL OR NEW."name" IS NOT NULL))"
                             R"( AND domicile.guard_label(NEW."tenant_id"::text, NEW."residency", 'orders'))"))
      << law_in("us-east-1", orders(), topology);
  auto nothing_personal = orders();
  nothing_personal.columns.resize(3);
  EXPECT_EQ(law_in("us-east-1", nothing_personal, topology).find("guard_label"), std::string::npos);
}

TEST(Law, IsNoneWhereEveryResidencyMayBeHeldInFull) {
  auto topology = three_jurisdictions();
  for (auto& residency : topology.residencies) residency.holds = {{kEu, Form::full}};
  EXPECT_EQ(law_in("eu-central-1", orders(), topology), "");
  topology.residencies.back().holds = {{kEu, Form::reduced}};
  EXPECT_NE(law_in("eu-central-1", orders(), topology), "") << "one that is reduced is enough";
}

TEST(Law, OfASiteThatHoldsNothingRefusesEveryRow) {
  EXPECT_EQ(law_in("voter-1"), R"(NEW."residency" IS NULL OR NEW."residency" <> ALL ('{}'::text[]))");
}

TEST(Law, TakesADefaultForWhatTheReducedCopyHas) {
  const struct {
    const char *name, *otherwise;
    bool steady;
    const char* clause;
  } cases[] = {
      {"constant", "''::text", true,
       R"((NEW."email" IS NOT NULL AND (NEW."email")::text IS DISTINCT FROM ((''::text)::text)::text OR )"},
      {"not one value", "(now())::text", false, R"((NEW."email" IS NOT NULL OR )"},
      {"none", "", true, R"((NEW."email" IS NOT NULL OR )"},
  };
  for (const auto& c : cases) {
    auto table = orders();
    table.columns[3].otherwise = c.otherwise;
    table.columns[3].steady = c.steady;
    EXPECT_NE(law_in("us-east-1", table).find(c.clause), std::string::npos) << c.name << law_in("us-east-1", table);
  }
}

TEST(Law, NamesOnlyColumnsThatABeforeTriggerMayAskFor) {
  auto table = orders();
  table.columns[3].generated = true;
  EXPECT_EQ(law_in("us-east-1", table).find("email"), std::string::npos);
  table.columns.pop_back();
  EXPECT_EQ(law_in("us-east-1", table).find("()"), std::string::npos) << "no personal column is left";
  EXPECT_TRUE(law_in("us-east-1", table)
                  .ends_with(R"('{"directory","eu","us"}'::text[]) OR domicile.guard_label(NEW."tenant_id"::text, )"
                             R"(NEW."residency", 'orders'))"));
}

TEST(Law, IsSaidToTheGuardsFunctionByNamesWhereNoPersonalColumnHasADefault) {
  EXPECT_EQ(arguments_in("us-east-1"),
            (Words{"tenant_id", "residency", "directory eu us", "directory us", "email", "name"}));
  EXPECT_EQ(arguments_in("eu-central-1"), (Words{"tenant_id", "residency", "directory eu us", "directory eu us"}))
      << "what is held here is held in full: its values are nobody's question";
  EXPECT_EQ(arguments_in("voter-1"), (Words{"tenant_id", "residency", "", ""}));
  auto table = orders();
  table.columns[3].otherwise = "''::text";
  table.columns[3].steady = true;
  EXPECT_EQ(arguments_in("us-east-1", table), Words{}) << "a row that the apply worker filled in would be refused";
  table.columns[3].steady = false;
  EXPECT_EQ(arguments_in("us-east-1", table).size(), 6u) << "readiness refuses it, and so does the law";
}

TEST(Law, IsTheSameInWhateverOrderTheTopologyIsWritten) {
  auto topology = three_jurisdictions();
  const auto law = law_of(topology, "us-east-1", topology.tables[0], orders());
  std::ranges::reverse(topology.residencies);
  std::ranges::reverse(topology.regions);
  std::ranges::reverse(topology.tables[0].personal);
  EXPECT_EQ(law_of(topology, "us-east-1", topology.tables[0], orders()), law);
}

TEST(Law, AResidencyCalledNullIsOne) {
  auto topology = three_jurisdictions();
  topology.residencies[1].name = *ResidencyName::of("null");
  EXPECT_NE(law_in("us-east-1", orders(), topology).find(R"('{"directory","eu","null"}')"), std::string::npos);
}

// What the plan says of it.
std::string said(const Seen& seen, const std::string& region, const topology::Topology& topology) {
  std::string out;
  for (const auto& step : diff(desired_state({topology, region}, seen), seen).steps)
    if (step.act == Act::law_table) out += step.sentence + "\n";
  return out;
}

TEST(Law, IsADifferenceUntilTheTableIsHeldToIt) {
  auto topology = three_jurisdictions();
  Seen seen;
  seen.tables["app.orders"] = orders();
  auto& law = seen.tables["app.orders"].law;
  EXPECT_EQ(said(seen, "us-east-1", topology),
            "hold table app.orders to the law: rows that may not lie here are not stored\n");
  law = law_in("us-east-1");
  EXPECT_EQ(said(seen, "us-east-1", topology), "");
  topology.residencies[2].holds = {{kEu, Form::full}};
  EXPECT_EQ(said(seen, "us-east-1", topology),
            "hold table app.orders to the law of the topology: it is held to another one\n");
  for (auto& residency : topology.residencies) residency.holds[kUs] = Form::full;
  EXPECT_EQ(said(seen, "us-east-1", topology),
            "take the law off table app.orders: this region may hold every residency in full\n");
}

TEST(Law, ChangesWithTheColumnsDefault) {
  const auto topology = three_jurisdictions();
  Seen seen;
  seen.tables["app.orders"] = orders();
  seen.tables["app.orders"].law = law_in("us-east-1");
  seen.tables["app.orders"].columns[4].otherwise = "'nobody'::text";
  EXPECT_NE(said(seen, "us-east-1", topology), "") << "else the apply worker would be refused what it fills in";
}

}  // namespace
}  // namespace domicile::desired
