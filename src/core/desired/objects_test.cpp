#include "core/desired/objects.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/desired/value_logs.hpp"

namespace domicile::desired {
namespace {

using topology::Form;
using topology::Identifier;
using topology::Jurisdiction;
using topology::ObjectKind;
using topology::RegionName;
using topology::ResidencyName;

// us in full everywhere; eu reduced in the US; the EU's is nowhere else in full.
topology::Topology two_laws() {
  const auto region = [](const char* name) { return *RegionName::of(name); };
  const auto id = [](const char* name) { return *Identifier::of(name); };
  const auto us = *Jurisdiction::of("US"), eu = *Jurisdiction::of("EU");
  topology::Topology out;
  out.regions = {{region("us-1"), us}, {region("eu-1"), eu}, {region("eu-2"), eu}};
  out.residencies = {{*ResidencyName::of("directory"), region("us-1"), {}, {{us, Form::full}, {eu, Form::full}}},
                     {*ResidencyName::of("eu"), region("eu-1"), {}, {{eu, Form::full}, {us, Form::reduced}}},
                     {*ResidencyName::of("us"), region("us-1"), {}, {{us, Form::full}, {eu, Form::full}}}};
  out.tables = {{id("app"), id("orders"), id("account"), id("law"), {id("mail")}, {id("id")}, {}}};
  return out;
}

std::string told(const std::vector<Finding>& findings) {
  std::string out;
  for (const auto& f : findings)
    out += f.code + (f.refuses ? " refused " : " warning ") + f.object + ": " + f.cause + "\n";
  return out;
}

TEST(Objects, ATableIsOneOfTenantsByTheNamesThatMappedTablesUse) {
  auto topology = two_laws();
  EXPECT_EQ(carrier_columns(topology), (std::vector<std::string>{"account", "law"}));
  topology.tables.clear();
  EXPECT_EQ(carrier_columns(topology), (std::vector<std::string>{"residency", "tenant_id"}));
}

TEST(Objects, WhatCouldCarryRowsOutIsRefusedByNameAndTheRestIsAWarning) {
  const auto topology = two_laws();
  const struct {
    SeenObject object;
    const char* code;
    bool refuses;
    const char* says;
  } cases[] = {
      {{ObjectKind::table, "app.notes", "", {"account"}}, "DOM-P022", true, "column account"},
      {{ObjectKind::table, "app.lines", "", {}, {"app.orders"}}, "DOM-P022", true, "refers to app.orders"},
      {{ObjectKind::table, "app.carts", "unlogged", {"law"}}, "DOM-P022", true, "unlogged"},
      {{ObjectKind::table, "app.cache", "unlogged"}, "DOM-P043", true, "in no WAL"},
      {{ObjectKind::foreign_table, "app.remote", "reports"}, "DOM-P024", true, "server 'reports'"},
      {{ObjectKind::foreign_server, "reports", "postgres_fdw"}, "DOM-P025", true, "postgres_fdw"},
      {{ObjectKind::extension, "dblink"}, "DOM-P025", true, "connections"},
      {{ObjectKind::view, "app.names", "", {}, {"app.orders"}, false, true}, "DOM-P028", true, "every link"},
      {{ObjectKind::view, "app.names", "", {}, {"app.orders"}}, "DOM-P028", false, "app.orders"},
      {{ObjectKind::materialized_view, "app.sums", "", {}, {"app.orders"}}, "DOM-P027", true, "copy of rows"},
      {{ObjectKind::function, "app.get(text)", "plpython3u", {}, {}, false, false}, "DOM-P029", true, "plpython3u"},
      {{ObjectKind::function, "app.get(text)", "sql", {}, {}, true, true}, "DOM-P029", true, "every link may call"},
      {{ObjectKind::function, "app.get(text)", "sql", {}, {}, true, false}, "DOM-P029", false, "as its owner"},
      {{ObjectKind::sequence, "app.numbers", "", {}, {"app.orders"}}, "DOM-P026", true, "does not advance"},
      {{ObjectKind::large_objects, "pg_largeobject"}, "DOM-P023", true, "no residency"},
      {{ObjectKind::slot, "cdc", "wal2json"}, "DOM-P017", true, "wal2json"},
  };
  for (const auto& c : cases) {
    Seen seen;
    seen.objects = {c.object};
    const auto findings = objects({topology, "eu-1"}, seen);
    ASSERT_EQ(findings.size(), 1u) << c.object.name;
    EXPECT_EQ(findings[0].code, c.code) << told(findings);
    EXPECT_EQ(findings[0].refuses, c.refuses) << told(findings);
    EXPECT_EQ(findings[0].object, c.object.name);
    EXPECT_NE(findings[0].cause.find(c.says), std::string::npos) << told(findings);
    EXPECT_EQ(findings[0].advice.find("accept_objects") != std::string::npos, c.refuses) << findings[0].advice;
    // The same, signed: by name and kind, until its day.
    auto accepting = topology;
    accepting.accepted_objects = {{c.object.name, c.object.kind, "me", "known", *topology::date_of("2027-01-31")}};
    Context context{accepting, "eu-1"};
    EXPECT_EQ(told(objects(context, seen)), "");
    context.today = topology::date_of("2027-01-31");
    EXPECT_EQ(told(objects(context, seen)), "") << "its last day";
    context.today = topology::date_of("2027-02-01");
    const auto over = objects(context, seen);
    ASSERT_EQ(over.size(), 1u);
    EXPECT_EQ(over[0].code, c.code);
    EXPECT_NE(over[0].cause.find("accepted until 2027-01-31"), std::string::npos) << told(over);
  }
}

TEST(Objects, SlotsThatNoLinkOfOursMadeAreWarnedOfUntilTheyAreAccepted) {
  auto topology = two_laws();
  Seen seen;
  const std::string link = "domicile_eu_eu_1_us_1", gone = "domicile_old_eu_1_us_1";
  seen.slots = {link, since_slot(link), gone, "cdc", "wal2json", "domicile_eu_us_1_eu_1"};
  seen.carried = {gone};
  seen.objects = {{ObjectKind::slot, "wal2json", "wal2json"}, {ObjectKind::slot, "standby1", "physical"}};
  const auto text = told(objects({topology, "eu-1"}, seen));
  EXPECT_EQ(std::ranges::count(text, '\n'), 4) << text;
  EXPECT_NE(text.find("DOM-P017 refused wal2json: "), std::string::npos) << text;
  EXPECT_NE(text.find("DOM-P019 warning standby1: slot: a physical slot"), std::string::npos) << text;
  EXPECT_NE(text.find("DOM-P019 warning cdc: slot: a slot of pgoutput"), std::string::npos) << text;
  EXPECT_NE(text.find("DOM-P019 warning domicile_eu_us_1_eu_1: "), std::string::npos)
      << "of no link from here: " << text;
  for (const char* name : {"cdc", "standby1", "wal2json", "domicile_eu_us_1_eu_1"})
    topology.accepted_objects.push_back({name, ObjectKind::slot, "me", "known", *topology::date_of("2027-01-31")});
  EXPECT_EQ(told(objects({topology, "eu-1"}, seen)), "");
}

TEST(Objects, AnAcceptanceIsOfOneNameAndKindAndOneThatMeansNothingIsTold) {
  auto topology = two_laws();
  topology.accepted_objects = {{"app.sums", ObjectKind::view, "me", "known", *topology::date_of("2027-01-31")}};
  Seen seen;
  seen.objects = {{ObjectKind::materialized_view, "app.sums", "", {}, {"app.orders"}}};
  const auto text = told(objects({topology, "eu-1"}, seen));
  EXPECT_NE(text.find("DOM-P027 refused app.sums"), std::string::npos) << text;
  EXPECT_NE(text.find("DOM-P095 warning app.sums"), std::string::npos) << text;
}

TEST(Objects, TheyAreAPartOfWhatAPlanIsBoundTo) {
  Seen seen, other;
  other.objects = {{ObjectKind::view, "app.names"}};
  EXPECT_NE(base_hash(seen), base_hash(other));
  other = seen;
  other.settings = {{"log_statement", "all"}};
  EXPECT_NE(base_hash(seen), base_hash(other));
}

TEST(ValueLogs, AreToldWhereTheLogHoldsWhatAnotherRegionMayNot) {
  const auto topology = two_laws();
  Seen seen;
  seen.settings = {{"archive_mode", "on"},
                   {"log_error_verbosity", "default"},
                   {"log_min_error_statement", "error"},
                   {"log_parameter_max_length", "-1"},
                   {"log_statement", "none"},
                   {"log_statement", "all", "ROLE shop"}};
  const auto eu = value_logs({topology, "eu-1"}, seen);
  ASSERT_EQ(eu.size(), 2u) << told(eu);
  EXPECT_EQ(told(eu),
            "DOM-P081 warning archive_mode: the archive of the WAL holds every column: personal columns of eu "
            "may be kept in EU only\n"
            "DOM-P080 warning log: log_error_verbosity = default, log_min_error_statement = error, "
            "log_statement = all (ROLE shop): values of rows can stand in the server's log, and personal "
            "columns of eu may be kept in EU only\n");
  EXPECT_NE(eu[1].migration.find("ALTER SYSTEM SET log_error_verbosity = 'terse';"), std::string::npos);
  EXPECT_NE(eu[1].migration.find("ALTER ROLE shop RESET log_statement;"), std::string::npos);
  // What is full in the US is full everywhere, and what is not never came here.
  EXPECT_EQ(told(value_logs({topology, "us-1"}, seen)), "");
  auto without = topology;
  without.tables[0].personal.clear();
  EXPECT_EQ(told(value_logs({without, "eu-1"}, seen)), "");
}

TEST(ValueLogs, AreSilentWithWhatTheMigrationSets) {
  const auto topology = two_laws();
  Seen seen;
  for (const auto& [name, value] : std::map<std::string, std::string>{{"archive_mode", "off"},
                                                                      {"auto_explain.log_min_duration", "-1"},
                                                                      {"debug_print_plan", "off"},
                                                                      {"log_error_verbosity", "terse"},
                                                                      {"log_min_duration_sample", "-1"},
                                                                      {"log_min_duration_statement", "-1"},
                                                                      {"log_min_error_statement", "panic"},
                                                                      {"log_parameter_max_length", "-1"},
                                                                      {"log_parameter_max_length_on_error", "0"},
                                                                      {"log_statement", "none"},
                                                                      {"log_transaction_sample_rate", "0"}})
    seen.settings.push_back({name, value});
  EXPECT_EQ(told(value_logs({topology, "eu-1"}, seen)), "");
  for (auto& setting : seen.settings) {
    if (setting.name == "archive_mode" || setting.name == "log_parameter_max_length") continue;
    const std::string quiet = std::exchange(setting.value, setting.name == "debug_print_plan" ? "on" : "1");
    const auto loud = value_logs({topology, "eu-1"}, seen);
    ASSERT_EQ(loud.size(), 1u) << setting.name;
    EXPECT_EQ(loud[0].migration, "ALTER SYSTEM SET " + setting.name + " = '" + quiet + "';");
    setting.value = quiet;
  }
}

}  // namespace
}  // namespace domicile::desired
