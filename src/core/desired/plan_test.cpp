#include "core/desired/plan.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/desired/readiness.hpp"
#include "core/topology/topology.hpp"

namespace domicile::desired {
namespace {

using topology::Form;
using topology::Identifier;
using topology::Jurisdiction;
using topology::RegionName;
using topology::ResidencyName;

topology::Topology three_regions() {
  const auto region = [](const char* name) { return *RegionName::of(name); };
  const auto id = [](const char* name) { return *Identifier::of(name); };
  const auto us = *Jurisdiction::of("US"), eu = *Jurisdiction::of("EU");
  topology::Topology out;
  out.regions = {{region("us-east-1"), us}, {region("eu-central-1"), eu}, {region("eu-west-1"), eu}};
  out.residencies = {
      {*ResidencyName::of("directory"),
       region("us-east-1"),
       {region("eu-central-1"), region("eu-west-1")},
       {{us, Form::full}, {eu, Form::full}}},
      {*ResidencyName::of("eu"),
       region("eu-central-1"),
       {region("eu-west-1")},
       {{eu, Form::full}, {us, Form::reduced}}},
      {*ResidencyName::of("us"), region("us-east-1"), {region("eu-central-1")}, {{us, Form::full}, {eu, Form::full}}}};
  out.tables = {{id("app"),
                 id("orders"),
                 id("tenant_id"),
                 id("residency"),
                 {id("customer_email")},
                 {id("id"), id("amount")},
                 {}}};
  return out;
}

Seen empty_database() {
  Seen seen;
  seen.server.version = 150020;
  SeenTable orders{"app", "orders", "postgres"};
  orders.columns = {{"id", "bigint", true},
                    {"tenant_id", "text", true},
                    {"residency", "text", true},
                    {"customer_email", "text", false},
                    {"amount", "numeric", false}};
  orders.uniques = {{"orders_pkey", {"residency", "id"}, true}};
  orders.identity = {"id", "residency"};
  seen.tables["app.orders"] = orders;
  return seen;
}

// What `apply` and the agent make of a step, as far as another observation would show it.
void perform(const Step& step, const Desired& want, Seen& seen) {
  switch (step.act) {
    case Act::drop_publication:
      if (seen.slots.contains(step.object)) seen.our_slots.insert(step.object);
      seen.publications.erase(step.object);
      break;
    case Act::change_publication:
    case Act::create_publication:
      seen.publications[step.object] = {
          step.object, true, false, true, "insert, update, delete", want.publications.at(step.object).tables};
      break;
    case Act::install_schema:
      seen.schema_version = kSchemaVersion;
      break;
    case Act::create_role:
    case Act::change_role:
      seen.roles[step.object] = want.roles.at(step.object);
      break;
    case Act::install_guard:
      seen.guard_installed = true;
      break;
    case Act::guard_table:
      seen.tables.at(step.object).guard = GuardState::whole;
      break;
    case Act::law_table:
      seen.tables.at(step.object).law = want.laws.contains(step.object) ? want.laws.at(step.object).condition : "";
      break;
    case Act::set_observe:
      seen.guard_observes = want.observe;
      break;
    case Act::grant_agent:
      seen.tables.at(step.object).agent_granted = true;
      break;
    case Act::disable_subscription:
      seen.subscriptions.at(step.object).enabled = false;
      break;
    case Act::drop_subscription:
      seen.subscriptions.erase(step.object);
      break;
    case Act::drop_slot:
      seen.slots.erase(step.object);
      break;
    case Act::create_slot:
      seen.slots.insert(step.object);
      break;
    case Act::create_subscription:
      seen.subscriptions[step.object] = {step.object, step.object, false, true};
      break;
    case Act::enable_subscription:
      seen.subscriptions.at(step.object).enabled = true;
      break;
  }
}

const PublishedTable& orders_in(const Desired& want, const std::string& publication) {
  for (const auto& table : want.publications.at(publication).tables)
    if (table.table == "app.orders") return table;
  throw std::runtime_error("no orders in " + publication);
}

TEST(Desired, AReducedLinkNamesNoPersonalColumnAndAFullOneAll) {
  const auto topology = three_regions();
  const auto want = desired_state({topology, "eu-central-1"}, empty_database());
  EXPECT_EQ(orders_in(want, "domicile_eu_eu_central_1_us_east_1").columns,
            (std::vector<std::string>{"amount", "id", "residency", "tenant_id"}));
  EXPECT_EQ(orders_in(want, "domicile_eu_eu_central_1_eu_west_1").columns,
            (std::vector<std::string>{"amount", "customer_email", "id", "residency", "tenant_id"}));
  EXPECT_EQ(orders_in(want, "domicile_eu_eu_central_1_us_east_1").filter, "(residency = 'eu'::text)");
}

TEST(Desired, OnlyTheOwnersLinkIsEnabledAndTheReverseOneExists) {
  const auto topology = three_regions();
  const auto want =
      desired_state({topology, "eu-central-1", {{"us", "us-east-1"}, {"eu", "eu-west-1"}}}, empty_database());
  EXPECT_TRUE(want.subscriptions.at("domicile_us_us_east_1_eu_central_1").enabled);
  EXPECT_TRUE(want.subscriptions.at("domicile_eu_eu_west_1_eu_central_1").enabled);
  EXPECT_TRUE(want.slots.contains("domicile_us_eu_central_1_us_east_1"));
  EXPECT_TRUE(want.publications.contains("domicile_salvage_us"));
  const auto west = desired_state({topology, "eu-west-1"}, empty_database());
  EXPECT_FALSE(west.publications.contains("domicile_salvage_us"));  // it can never own it
}

TEST(Diff, WhatOpenSalvageNeedsIsKeptAlthoughTheTopologyForgotIt) {
  auto topology = three_regions();
  auto seen = empty_database();
  const auto before = desired_state({topology, "eu-central-1"}, seen);
  for (const auto& step : diff(before, seen).steps) perform(step, before, seen);
  std::erase_if(topology.residencies, [](const auto& residency) { return residency.name == "us"; });
  const auto kept = diff(desired_state({topology, "eu-central-1", {}, {"us"}}, seen), seen);
  for (const auto& step : kept.steps) EXPECT_EQ(step.object.find("domicile_us_"), std::string::npos) << step.sentence;
  const auto closed = diff(desired_state({topology, "eu-central-1"}, seen), seen);
  EXPECT_TRUE(std::any_of(closed.steps.begin(), closed.steps.end(), [](const Step& step) {
    return step.act == Act::drop_publication && step.object == "domicile_salvage_us";
  }));
}

// A former owner, or one that is not known to be the owner now: what its slots carried is read by these publications.
TEST(Diff, WhatAnEndedEpochCarriedIsNeitherChangedNorDroppedAndSaysWhy) {
  const auto topology = three_regions();
  auto seen = empty_database();
  const auto before = desired_state({topology, "us-east-1"}, seen);
  for (const auto& step : diff(before, seen).steps) perform(step, before, seen);
  const std::string link = "domicile_us_us_east_1_eu_central_1", salvage = "domicile_salvage_us";
  seen.carried = {link};
  auto changed = topology;
  changed.tables[0].shared.pop_back();
  const residency::Owners homes{{"us", "us-east-1"}}, taken{{"us", "eu-central-1"}};
  const auto steps = [&](const Context& context) {
    std::string out;
    for (const auto& step : diff(desired_state(context, seen), seen).steps)
      if (step.object == link || step.object == salvage)
        out += std::string(name_of(step.act)) + " " + step.object + "\n";
    for (const auto& finding : readiness(context, seen))
      if (finding.code == "DOM-P016")
        out += std::string(finding.refuses ? "refused " : "kept ") + finding.object + "\n";
    return out;
  };
  const std::string all = "change-publication " + salvage + "\nchange-publication " + link + "\n";
  const std::string held = "refused " + salvage + "\nrefused " + link + "\n";
  EXPECT_EQ(steps({changed, "us-east-1", homes}), all) << "its owner's, who was asked";
  EXPECT_EQ(steps({changed, "us-east-1", taken}), held);
  EXPECT_EQ(steps({changed, "us-east-1", homes, {}, false, true}), held) << "nobody was asked";
  EXPECT_EQ(steps({topology, "us-east-1", taken}), "") << "nothing is to be done";
  std::erase_if(changed.residencies, [](const auto& residency) { return residency.name == "us"; });
  EXPECT_EQ(steps({changed, "us-east-1", {}}), "kept " + salvage + "\nkept " + link + "\n") << "the topology forgot it";
}

TEST(Diff, AForeignPublicationIsNeverAStep) {
  const auto topology = three_regions();
  auto seen = empty_database();
  seen.publications["theirs"] = {"theirs", false, false, false, "insert", {{"app.orders", {}, ""}}};
  seen.publications["domicile_salvage_eu"] = {"domicile_salvage_eu", false};
  const Context context{topology, "eu-central-1"};
  for (const auto& step : diff(desired_state(context, seen), seen).steps) {
    EXPECT_NE(step.object, "theirs");
    EXPECT_NE(step.object, "domicile_salvage_eu");
  }
  EXPECT_TRUE(refuses(readiness(context, seen)));
}

TEST(Diff, WhatLetsTooMuchOutIsChangedBeforeAnythingElse) {
  const auto topology = three_regions();
  auto seen = empty_database();
  const auto name = "domicile_eu_eu_central_1_us_east_1";
  seen.publications[name] = {
      name, true, false, true, "insert, update, delete", {{"app.orders", {}, "(residency = 'eu'::text)"}}};
  const auto plan = diff(desired_state({topology, "eu-central-1"}, seen), seen);
  EXPECT_EQ(plan.steps[0].act, Act::change_publication);
  EXPECT_NE(plan.steps[0].sentence.find("the columns of app.orders differ"), std::string::npos);
}

TEST(Plan, SurvivesItsJson) {
  const auto topology = three_regions();
  const auto seen = empty_database();
  const auto plan = diff(desired_state({topology, "us-east-1"}, seen), seen);
  EXPECT_EQ(plan_from_json(to_json(plan)).value(), plan);
  EXPECT_FALSE(plan_from_json(Json{{"region", "x"}, {"base", "y"}, {"steps", {{{"act", "erase-all"}}}}}));
}

RC_GTEST_PROP(Diff, PerformingItsStepsLeavesNoStep, ()) {
  const auto topology = three_regions();
  const std::vector<std::string> regions{"us-east-1", "eu-central-1", "eu-west-1"};
  Context context{topology, *rc::gen::elementOf(regions)};
  for (const char* residency : {"directory", "eu", "us"})
    if (*rc::gen::arbitrary<bool>()) context.owners[residency] = *rc::gen::elementOf(regions);
  context.observe = *rc::gen::arbitrary<bool>();
  auto seen = empty_database();
  const auto final_state = desired_state(context, seen);
  // Begin anywhere: each thing absent, foreign to the topology, or wrong in some way.
  if (*rc::gen::arbitrary<bool>()) seen.schema_version = *rc::gen::inRange(0, 3);
  seen.guard_installed = *rc::gen::arbitrary<bool>();
  seen.guard_observes = *rc::gen::arbitrary<bool>();
  seen.tables["app.orders"].guard = *rc::gen::element(GuardState::none, GuardState::broken, GuardState::whole);
  for (const auto& [name, publication] : final_state.publications) {
    const int state = *rc::gen::inRange(0, 4);
    if (state == 0) continue;
    seen.publications[name] = {name,
                               true,
                               false,
                               state != 1,
                               state == 2 ? "insert" : "insert, update, delete",
                               state == 3 ? std::vector<PublishedTable>{} : publication.tables};
  }
  seen.publications["domicile_old_a_b"] = {"domicile_old_a_b", true};
  if (*rc::gen::arbitrary<bool>()) seen.slots.insert("domicile_old_a_b");
  for (const auto& [name, subscription] : final_state.subscriptions)
    if (*rc::gen::arbitrary<bool>()) seen.subscriptions[name] = {name, name, *rc::gen::arbitrary<bool>(), true};
  const auto want = desired_state(context, seen);
  for (const auto& step : diff(want, seen).steps) perform(step, want, seen);
  RC_ASSERT(diff(desired_state(context, seen), seen).steps.empty());
}

TEST(Readiness, EachLackIsNamedWithItsMigration) {
  const auto topology = three_regions();
  const struct {
    const char* name;
    const char* code;
    std::function<void(Seen&, SeenTable&)> spoil;
    const char* migration;
  } cases[] = {
      {"no residency", "DOM-P030", [](Seen&, SeenTable& t) { t.columns.erase(t.columns.begin() + 2); },
       "ADD COLUMN \"residency\" text"},
      {"enum", "DOM-P031", [](Seen&, SeenTable& t) { t.columns[2].type = "app.region"; }, "TYPE text"},
      {"nullable", "DOM-P032", [](Seen&, SeenTable& t) { t.columns[2].not_null = false; }, "SET NOT NULL"},
      {"nullable tenant", "DOM-P035", [](Seen&, SeenTable& t) { t.columns[1].not_null = false; }, "SET NOT NULL"},
      {"column missing", "DOM-P036", [](Seen&, SeenTable& t) { t.columns.pop_back(); }, ""},
      {"generated", "DOM-P037", [](Seen&, SeenTable& t) { t.columns[4].generated = true; }, ""},
      {"unmapped", "DOM-P038",
       [](Seen&, SeenTable& t) {
         t.columns.push_back({"phone", "text"});
       },
       ""},
      {"personal not null", "DOM-P039", [](Seen&, SeenTable& t) { t.columns[3].not_null = true; }, "DROP NOT NULL"},
      {"personal default", "DOM-P044",
       [](Seen&, SeenTable& t) {
         t.columns[3].otherwise = "gen_random_uuid()";
         t.columns[3].steady = false;
       },
       "DROP DEFAULT"},
      {"a trigger after the law's", "DOM-P045", [](Seen&, SeenTable& t) { t.after_law = {"~~mine"}; }, ""},
      {"of a partition", "DOM-P045",
       [](Seen& s, SeenTable& t) {
         auto leaf = t;
         leaf.name = "orders_2026";
         leaf.parent = "app.orders";
         leaf.after_law = {"~~mine"};
         s.tables["app.orders_2026"] = leaf;
       },
       ""},
      {"identity", "DOM-P040", [](Seen&, SeenTable& t) { t.identity = {"id"}; }, "REPLICA IDENTITY USING INDEX"},
      {"identity full", "DOM-P040",
       [](Seen&, SeenTable& t) {
         t.identity = {};
         t.identity_full = true;
       },
       "USING INDEX"},
      {"personal identity", "DOM-P041", [](Seen&, SeenTable& t) { t.identity.push_back("customer_email"); }, ""},
      {"unique", "DOM-P042",
       [](Seen&, SeenTable& t) {
         t.uniques.push_back({"orders_amount_key", {"amount"}});
       },
       "UNIQUE (\"residency\", \"amount\")"},
      {"app owns", "DOM-P050",
       [](Seen&, SeenTable& t) {
         t.owner = "app";
         t.owner_logins = {"app"};
       },
       "OWNER TO"},
      {"app is a member of the owner", "DOM-P050",
       [](Seen&, SeenTable& t) {
         t.owner = "app_owner";
         t.owner_logins = {"app"};
       },
       "REVOKE \"app_owner\" FROM \"app\""},
      {"app owns a partition", "DOM-P050",
       [](Seen& s, SeenTable& t) {
         auto leaf = t;
         leaf.name = "orders_2026";
         leaf.parent = "app.orders";
         leaf.owner = "app";
         leaf.owner_logins = {"app"};
         s.tables["app.orders_2026"] = leaf;
       },
       "ALTER TABLE \"app\".\"orders_2026\" OWNER TO \"postgres\""},
      {"a foreign table as partition", "DOM-P061",
       [](Seen& s, SeenTable& t) {
         auto leaf = t;
         leaf.name = "orders_2026";
         leaf.parent = "app.orders";
         leaf.kind = "foreign table";
         s.tables["app.orders_2026"] = leaf;
       },
       ""},
      {"prepared transactions under the portable guard", "DOM-P005",
       [](Seen& s, SeenTable&) {
         s.guard_form = "portable";
         s.server.max_prepared_transactions = 10;
       },
       "max_prepared_transactions = 0"},
      {"a role of our name", "DOM-P015",
       [](Seen& s, SeenTable&) {
         s.roles["domicile_link_eu_west_1"] = {true, false, false, false, false};
       },
       ""},
      {"missing", "DOM-P010", [](Seen& s, SeenTable&) { s.tables.clear(); }, ""},
      {"unlogged", "DOM-P021", [](Seen&, SeenTable& t) { t.persistence = "unlogged"; }, "SET LOGGED"},
      {"foreign table", "DOM-P020", [](Seen&, SeenTable& t) { t.kind = "foreign table"; }, ""},
      {"PUBLIC may read", "DOM-P052", [](Seen&, SeenTable& t) { t.public_reads = true; }, "FROM PUBLIC"},
      {"wal_level", "DOM-P002", [](Seen& s, SeenTable&) { s.server.wal_level = "replica"; }, "wal_level"},
      {"fsync", "DOM-P003", [](Seen& s, SeenTable&) { s.server.fsync = "off"; }, "fsync"},
      {"all tables", "DOM-P012",
       [](Seen& s, SeenTable&) {
         s.publications["p"] = {"p", false, true};
       },
       "DROP PUBLICATION"},
      {"theirs", "DOM-P013",
       [](Seen& s, SeenTable&) { s.publications["p"] = {"p", false, false, false, "", {{"app.orders"}}}; },
       "DROP TABLE"},
  };
  EXPECT_TRUE(readiness({topology, "us-east-1"}, empty_database()).empty());
  for (const auto& c : cases) {
    auto seen = empty_database();
    c.spoil(seen, seen.tables["app.orders"]);
    const auto findings = readiness({topology, "us-east-1"}, seen);
    const auto found =
        std::find_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.code == c.code; });
    ASSERT_NE(found, findings.end()) << c.name;
    EXPECT_TRUE(found->refuses) << c.name;
    EXPECT_NE(found->migration.find(c.migration), std::string::npos) << c.name << ": " << found->migration;
  }
}

TEST(Readiness, WarningsDoNotRefuseAndAReceiverOfFullRowsMayDemandPersonalColumns) {
  const auto topology = three_regions();
  auto seen = empty_database();
  seen.server.synchronous_commit = "off";
  seen.server.max_prepared_transactions = 10;
  seen.tables["app.orders"].columns[3].not_null = true;
  const auto findings = readiness({topology, "eu-west-1"}, seen);
  EXPECT_EQ(findings.size(), 2u);
  EXPECT_FALSE(refuses(findings));
}

TEST(Readiness, WhereEverythingIsFullDefaultsAndTriggersAreNobodysBusiness) {
  const auto topology = three_regions();
  auto seen = empty_database();
  auto& orders = seen.tables["app.orders"];
  orders.columns[3].otherwise = "gen_random_uuid()";
  orders.columns[3].steady = false;
  orders.after_law = {"~~mine"};
  EXPECT_TRUE(readiness({topology, "eu-west-1"}, seen).empty());
}

TEST(Readiness, AUniqueConstraintIsVouchedForByTheKeyThatTheTopologyKnows) {
  const auto topology = three_regions();
  auto seen = empty_database();
  seen.tables["app.orders"].uniques.push_back({"orders_amount_key", {"amount"}});
  EXPECT_NE(readiness({topology, "us-east-1"}, seen).at(0).advice.find("`globally_unique`"), std::string::npos);
}

}  // namespace
}  // namespace domicile::desired
