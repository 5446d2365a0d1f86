#include "core/topology/parse.hpp"

#include <gtest/gtest.h>

#include "base/file.hpp"
#include "core/topology/reference.hpp"
#include "core/topology/schema_check.hpp"
#include "core/topology/survivability.hpp"
#include "core/topology/yaml.hpp"

namespace domicile::topology {
namespace {

const Date kToday = *date_of("2026-11-24");

const std::string kGood =
    "domicile: 1\n"                                                                  // 1
    "lease: {ttl: 5s, beat: 1s, margin: 500ms, patience: 10s}\n"                     // 2
    "regions:\n"                                                                     // 3
    "  us-1: {jurisdiction: US}\n"                                                   // 4
    "  eu-1: {jurisdiction: EU}\n"                                                   // 5
    "voters: {v-1: {}}\n"                                                            // 6
    "residencies:\n"                                                                 // 7
    "  directory: {home: us-1, standby: [eu-1], holds: {US: full, EU: full}}\n"      // 8
    "  us: {home: us-1, standby: [eu-1], holds: {US: full, EU: full}}\n"             // 9
    "  eu: {home: eu-1, holds: {EU: full, US: reduced}}\n"                           // 10
    "data:\n"                                                                        // 11
    "  app.orders: {personal: [mail], shared: [id, amount]}\n"                       // 12
    "accept: {eu: outage, by: me, reason: small, until: 2027-01-31}\n"               // 13
    "accept_objects: {app.sums: view, by: you, reason: sums, until: 2027-02-28}\n";  // 14

// kGood with the first `from` replaced by `to`.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

std::string told(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& problem : problems) out += problem.where() + " " + problem.code + " " + problem.cause + "\n";
  return out;
}

TEST(Parse, AGoodFileBecomesATopology) {
  const auto parsed = parse(kGood, "t.yaml", kToday);
  ASSERT_TRUE(parsed) << told(parsed.error());
  EXPECT_EQ(parsed->lease.margin, 500 * kMillisecond);
  EXPECT_EQ(form_at(*parsed, *residency_of(*parsed, "eu"), "us-1"), Form::reduced);
  EXPECT_EQ(form_at(*parsed, *residency_of(*parsed, "eu"), "v-1"), Form::none);
  EXPECT_EQ(residency_of(*parsed, "us")->calm, 600 * kSecond);
  EXPECT_EQ(table_of(*parsed, "app.orders")->tenant, "tenant_id");
  EXPECT_TRUE(may_own(*residency_of(*parsed, "us"), "eu-1"));
  EXPECT_FALSE(may_own(*residency_of(*parsed, "eu"), "us-1"));
  ASSERT_EQ(parsed->accepted_objects.size(), 1u);
  EXPECT_EQ(parsed->accepted_objects[0],
            (AcceptedObject{"app.sums", ObjectKind::view, "you", "sums", *date_of("2027-02-28")}));
}

// Each changes kGood in one place.
const struct WrongFile {
  const char *name, *from;
  std::string to;
  const char *code, *place;
} kWrong[] = {
    {"no YAML", "regions:\n", "regions: [\n", "DOM-E001", nullptr},
    {"tab", "  us-1: {j", "\tus-1: {j", "DOM-E001", nullptr},
    {"lease is a list", "{ttl: 5s, beat: 1s, margin: 500ms, patience: 10s}", "[5s]", "DOM-E002", "2:8"},
    {"region is a value", "{jurisdiction: US}", "US", "DOM-E002", "4:9"},
    {"standby is a value", "standby: [eu-1]", "standby: eu-1", "DOM-E002", "8:36"},
    {"columns are a value", "personal: [mail]", "personal: mail", "DOM-E002", "12:26"},
    {"duration is a list", "ttl: 5s", "ttl: [5s]", "DOM-E002", "2:14"},
    {"key is a list", "  us-1: {j", "  [a]: {}\n  us-1: {j", "DOM-E002", "4:3"},
    {"data is a list", "data:\n", "data: []\nx:\n", "DOM-E002", "11:7"},
    {"alias", "{EU: full, US: reduced}", "&a {EU: full, US: reduced}", "DOM-E003", nullptr},
    {"unknown top key", "voters:", "voter:", "DOM-E004", "6:1"},
    {"unknown lease key", "beat: 1s", "beats: 1s", "DOM-E004", "2:18"},
    {"unknown residency key", "  us: {home", "  us: {rto: 1s, home", "DOM-E004", "9:8"},
    {"voter with settings", "v-1: {}", "v-1: {jurisdiction: EU}", "DOM-E004", "6:16"},
    {"unknown table key", "{personal", "{private: [a], personal", "DOM-E004", "12:16"},
    {"double region", "  eu-1: {j", "  us-1: {jurisdiction: EU}\n  eu-1: {j", "DOM-E005", "5:3"},
    {"double top key", "voters: {v-1: {}}\n", "voters: {v-1: {}}\nvoters: {}\n", "DOM-E005", "7:1"},
    {"double lease key", "ttl: 5s", "ttl: 5s, ttl: 9s", "DOM-E005", "2:18"},
    {"double jurisdiction", "{EU: full, US: reduced}", "{EU: full, EU: none}", "DOM-E005", "10:38"},
    {"no version", "domicile: 1\n", "\n", "DOM-E006", "2:1"},
    {"no home", "home: eu-1, ", "", "DOM-E006", "10:7"},
    {"no jurisdiction", "{jurisdiction: US}", "{}", "DOM-E006", "4:9"},
    {"no signature", "by: me, ", "", "DOM-E006", "13:9"},
    {"version 2", "domicile: 1", "domicile: 2", "DOM-E007", "1:11"},
    {"region with _", "  us-1: {j", "  us_1: {j", "DOM-E008", "4:3"},
    {"jurisdiction in small letters", "jurisdiction: EU", "jurisdiction: eu", "DOM-E008", "5:24"},
    {"reserved residency", "  us: {home", "  salvage: {home", "DOM-E008", "9:3"},
    {"column with capital", "[mail]", "[Mail]", "DOM-E008", "12:27"},
    {"injected column", "[mail]", "['a\"; drop']", "DOM-E008", "12:27"},
    {"duration without unit", "ttl: 5s", "ttl: 5", "DOM-E009", "2:14"},
    {"negative duration", "margin: 500ms", "margin: -1s", "DOM-E009", "2:36"},
    {"endless duration", "patience: 10s", "patience: 99999999999999999999h", "DOM-E009", "2:53"},
    {"unknown form", "US: reduced", "US: some", "DOM-E010", "10:42"},
    {"unknown failover", "  us: {home", "  us: {failover: maybe, home", "DOM-E010", "9:18"},
    {"unknown acceptance", "eu: outage", "eu: loss", "DOM-E010", "13:14"},
    {"unknown home", "eu: {home: eu-1", "eu: {home: eu-9", "DOM-E011", "10:14"},
    {"unknown standby", "us: {home: us-1, standby: [eu-1]", "us: {home: us-1, standby: [eu-1, x]", "DOM-E011", "9:36"},
    {"home is standby", "us: {home: us-1, standby: [eu-1]", "us: {home: us-1, standby: [us-1, eu-1]", "DOM-E012",
     "9:30"},
    {"standby twice", "us: {home: us-1, standby: [eu-1]", "us: {home: us-1, standby: [eu-1, eu-1]", "DOM-E013", "9:36"},
    {"standby reduced", "eu: {home: eu-1", "eu: {home: eu-1, standby: [us-1]", "DOM-E014", "10:30"},
    {"home holds nothing", "{EU: full, US: reduced}", "{US: full}", "DOM-E015", "10:14"},
    {"jurisdiction without region", "US: reduced", "US: reduced, CH: full", "DOM-E016", "10:55"},
    {"two sites", "voters: {v-1: {}}", "voters: {}", "DOM-E017", "4:3"},
    {"voter is region", "{v-1: {}}", "{v-1: {}, us-1: {}}", "DOM-E018", "6:19"},
    {"ttl too short", "ttl: 5s", "ttl: 4s", "DOM-E019", "2:14"},
    {"no beat", "beat: 1s", "beat: 0", "DOM-E019", "2:24"},
    {"no margin", "margin: 500ms", "margin: 0", "DOM-E019", "2:36"},
    {"no patience", "patience: 10s", "patience: 1s", "DOM-E019", "2:53"},
    {"no directory", "  directory: ", "  dir: ", "DOM-E020", "8:3"},
    {"directory not everywhere", "standby: [eu-1], holds: {US: full, EU: full}", "holds: {US: full}", "DOM-E020",
     "8:34"},
    {"personal and shared", "[id, amount]", "[id, mail]", "DOM-E023", "12:47"},
    {"tenant column listed", "[id, amount]", "[id, tenant_id]", "DOM-E024", "12:47"},
    {"table without schema", "  app.orders:", "  orders:", "DOM-E025", "12:3"},
    {"our own table", "  app.orders:", "  domicile.tenant:", "DOM-E025", "12:3"},
    {"outage not accepted", "accept: {eu: outage, by: me, reason: small, until: 2027-01-31}\n", "", "DOM-E026", "10:7"},
    {"acceptance expired", "2027-01-31", "2026-11-23", "DOM-E027", "13:14"},
    {"idle acceptance", "{eu: outage", "{eu: outage, us: outage", "DOM-E028", "13:26"},
    {"no such day", "2027-01-31", "2027-02-30", "DOM-E029", "13:52"},
    {"empty reason", "reason: small", "reason: ''", "DOM-E032", "13:38"},
    {"accepted object of no kind", "app.sums: view", "app.sums: thing", "DOM-E010", "14:28"},
    {"accepted object without a signature", "by: you, ", "", "DOM-E006", "14:17"},
    {"accepted object without a name", "app.sums: view", "'': view", "DOM-E008", "14:18"},
    {"accepted object for no reason", "reason: sums", "reason: ' '", "DOM-E032", "14:51"},
    {"accepted object until no day", "2027-02-28", "2027-02-29", "DOM-E029", "14:64"},
    {"accepted object twice", "app.sums: view, by: you, reason: sums, until: 2027-02-28}",
     "app.sums: view, by: you, reason: sums, until: 2027-02-28, app.sums: view}", "DOM-E005", "14:76"},
    {"accepted object that is mapped", "app.sums: view", "app.orders: table", "DOM-E034", "14:30"},
    {"accepted object whose time is over", "2027-02-28", "2026-11-23", "DOM-E033", "14:28"},
    {"rpo 0 without a standby", "  eu: {home: eu-1, ", "  eu: {home: eu-1, rpo: 0, ", "DOM-E035", "10:25"},
    {"without a standby where no commit waits", "standby: [eu-1], holds: {US: full, EU: full}}\n  eu",
     "standby: [eu-1], without_standby: go_on, holds: {US: full, EU: full}}\n  eu", "DOM-E036", "9:54"},
    {"without a standby something else", "standby: [eu-1], holds: {US: full, EU: full}}\n  eu",
     "standby: [eu-1], rpo: 0, without_standby: wait, holds: {US: full, EU: full}}\n  eu", "DOM-E010", "9:62"},
    {"two documents", "voters:", "---\nvoters:", "DOM-E031", nullptr},
    {"long region", "  us-1: {j", "  us-111111111111111111111111111111: {j", "DOM-E008", "4:3"},
    {"region that ends with -", "  us-1: {j", "  us-: {j", "DOM-E008", "4:3"},
    {"region with two -", "  us-1: {j", "  us--1: {j", "DOM-E008", "4:3"},
    {"voter in capitals", "{v-1: {}}", "{V-1: {}}", "DOM-E008", "6:10"},
    {"jurisdiction that ends with -", "jurisdiction: EU", "jurisdiction: EU-", "DOM-E008", "5:24"},
    {"long jurisdiction", "jurisdiction: EU", "jurisdiction: EEEEEEEEEEEEEEEEE", "DOM-E008", "5:24"},
    {"held in a jurisdiction in small letters", "US: reduced", "us: reduced", "DOM-E008", "10:38"},
    {"accepted for a residency in capitals", "{eu: outage", "{EU: outage", "DOM-E008", "13:10"},
    {"long column", "[mail]", "[mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm]", "DOM-E008",
     "12:27"},
    {"table with a long name",
     "  app.orders:", "  app.oooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo:", "DOM-E025", "12:3"},
    {"table with three parts", "  app.orders:", "  app.orders.x:", "DOM-E025", "12:3"},
};

TEST(Parse, EachWrongFileIsRefusedWithItsCodeAndPlace) {
  for (const auto& c : kWrong) {
    const auto parsed = parse(changed(c.from, c.to), "t.yaml", kToday);
    ASSERT_FALSE(parsed) << c.name;
    bool found = false;
    for (const Problem& problem : parsed.error()) {
      found |= problem.code == c.code && (!c.place || problem.where() == std::string("t.yaml:") + c.place);
      EXPECT_FALSE(problem.cause.empty() || problem.fix.empty()) << c.name;
    }
    EXPECT_TRUE(found) << c.name << " wants " << c.code << " at " << (c.place ? c.place : "any place") << "\n"
                       << told(parsed.error());
  }
}

TEST(Parse, LinkNamesThatAreTooLongOrTheSameAreRefused) {
  const auto code = [](const std::string& text) {
    const auto parsed = parse(text, "t.yaml", kToday);
    std::string codes;
    if (!parsed)
      for (const Problem& problem : parsed.error()) codes += problem.code + " ";
    return codes;
  };
  const std::string long_name(32, 'a');
  EXPECT_NE(code(changed("  us: {home", "  " + long_name + "-: {home")).find("DOM-E008"), std::string::npos);
  EXPECT_EQ(code(changed("  us: {home", "  " + long_name + ": {home")), "");
  std::string text = kGood;
  for (std::size_t at; (at = text.find("eu-1")) != std::string::npos;) text.replace(at, 4, "eu" + std::string(20, 'x'));
  text.replace(text.find("  us: {"), 4, "  " + long_name);
  EXPECT_NE(code(text).find("DOM-E021"), std::string::npos) << code(text);
  // a + (b-c -> d) and a-b + (c -> d) read the same once '-' is '_'.
  const std::string same =
      "domicile: 1\nregions: {b-c: {jurisdiction: EU}, c: {jurisdiction: EU}, d: {jurisdiction: EU}}\n"
      "residencies:\n  directory: {home: c, standby: [d], holds: {EU: full}}\n"
      "  a: {home: b-c, standby: [d], holds: {EU: full}}\n  a-b: {home: c, standby: [d], holds: {EU: full}}\n";
  EXPECT_EQ(code(same), "DOM-E022 ");
}

TEST(Parse, AllProblemsAreToldAtOnceInTheOrderOfTheFile) {
  std::string text = changed("ttl: 5s", "ttl: 1s");
  text.replace(text.find("[mail]"), 6, "[amount]");
  text.replace(text.find("v-1"), 3, "V_1");
  const auto parsed = parse(text, "t.yaml", kToday);
  ASSERT_FALSE(parsed);
  ASSERT_EQ(parsed.error().size(), 3u) << told(parsed.error());
  EXPECT_EQ(parsed.error()[0].line, 2);
  EXPECT_EQ(parsed.error()[1].line, 6);
  EXPECT_EQ(parsed.error()[2].line, 12);
}

TEST(Parse, AnObjectIsAcceptedOnceAndByAnyNameThatADatabaseGives) {
  const std::string one = "{app.sums: view, by: you, reason: sums, until: 2027-02-28}";
  const auto twice = parse(changed(one, "[" + one + ", " + one + "]"), "t.yaml", kToday);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().at(0).code, "DOM-E013");
  const auto function = parse(changed("app.sums: view", "\"app.Export(integer, text)\": function"), "t.yaml", kToday);
  ASSERT_TRUE(function) << told(function.error());
  EXPECT_EQ(function->accepted_objects[0].object, "app.Export(integer, text)");
}

TEST(Parse, WithoutADateNoAcceptanceHasExpired) {
  EXPECT_TRUE(parse(changed("2027-01-31", "2001-01-01"), "t.yaml", std::nullopt));
  EXPECT_TRUE(parse(changed("2027-01-31", "2026-11-24"), "t.yaml", kToday)) << "its last day still counts";
}

TEST(Examples, AllOfThemAreLawful) {
  for (const char* name : {"three-regions", "two-regions", "reference"}) {
    const auto path = std::string(DOMICILE_EXAMPLES) + "/" + name + "/topology.yaml";
    const auto text = read_file(path);
    ASSERT_TRUE(text) << path;
    const auto parsed = parse(*text, path, kToday);
    EXPECT_TRUE(parsed) << told(parsed.error());
  }
}

// What an editor sees in a file: it reads 0 and 1 as numbers.
Json json_of(const yaml::Node& node) {
  Json out;
  switch (node.type) {
    case yaml::Node::Type::null:
      break;
    case yaml::Node::Type::scalar:
      out = node.text == "0" ? Json(0) : node.text == "1" ? Json(1) : Json(node.text);
      break;
    case yaml::Node::Type::list:
      out = Json::array();
      for (const auto& item : node.items) out.push_back(json_of(item));
      break;
    case yaml::Node::Type::map:
      out = Json::object();
      for (const auto& [name, value] : node.entries) out[name.text] = json_of(value);
      break;
  }
  return out;
}

TEST(Schema, TakesWhatTheParserTakes) {
  const auto schema = parse_json(json_schema(), "the schema");
  ASSERT_TRUE(schema);
  std::vector<std::string> files{kGood, changed("voters: {v-1: {}}", "voters: {v-1: }"),
                                 changed("accept: {eu: outage, by: me, reason: small, until: 2027-01-31}",
                                         "accept: [{eu: outage, by: me, reason: small, until: 2027-01-31}]")};
  for (const char* name : {"three-regions", "two-regions", "reference"})
    files.push_back(*read_file(std::string(DOMICILE_EXAMPLES) + "/" + name + "/topology.yaml"));
  for (const auto& text : files) {
    EXPECT_TRUE(parse(text, "t.yaml", kToday)) << text;
    const auto root = yaml::parse(text);
    ASSERT_TRUE(root);
    EXPECT_EQ(misfit(*schema, json_of(*root)), "") << text;
  }
}

TEST(Schema, RefusesEachWrongFileWhoseErrorLiesInOneValue) {
  const auto schema = parse_json(json_schema(), "the schema");
  ASSERT_TRUE(schema);
  // Syntax, what a tree in memory cannot hold (aliases, doubled keys), a day that its month has not, a duration beyond
  // 30 days, and rules between values are the parser's alone.
  const std::set<std::string> of_one_value{"DOM-E002", "DOM-E004", "DOM-E006", "DOM-E007", "DOM-E008",
                                           "DOM-E009", "DOM-E010", "DOM-E013", "DOM-E025", "DOM-E032"};
  const std::set<std::string> beyond{"endless duration", "key is a list"};
  int refused = 0;
  for (const auto& c : kWrong) {
    const auto root = yaml::parse(changed(c.from, c.to));
    if (!root || beyond.contains(c.name)) continue;
    const bool expected = of_one_value.contains(c.code);
    refused += expected ? 1 : 0;
    EXPECT_EQ(!misfit(*schema, json_of(*root)).empty(), expected) << c.name << ": " << misfit(*schema, json_of(*root));
  }
  EXPECT_GT(refused, 40);
}

TEST(Survivability, AnOutageIsByLawOnlyWhereTheLawLetsNobodyElseOwnIt) {
  const std::string unnamed = changed("  us: {home: us-1, standby: [eu-1], ", "  us: {home: us-1, ");
  const auto parsed = parse(unnamed, "t.yaml", kToday);
  ASSERT_FALSE(parsed);
  ASSERT_EQ(parsed.error().size(), 1u) << told(parsed.error());
  EXPECT_EQ(parsed.error()[0].code, "DOM-E026");
  EXPECT_EQ(parsed.error()[0].cause.find("law"), std::string::npos) << parsed.error()[0].cause;
  EXPECT_NE(parsed.error()[0].cause.find("no standby is named"), std::string::npos) << parsed.error()[0].cause;
  EXPECT_NE(parsed.error()[0].fix.find("standby: [eu-1]"), std::string::npos) << parsed.error()[0].fix;
  std::string accepted = unnamed;
  accepted.replace(accepted.find("{eu: outage"), 11, "{eu: outage, us: outage");
  const auto topology = parse(accepted, "t.yaml", kToday);
  ASSERT_TRUE(topology) << told(topology.error());
  for (const Fate& fate : survivability(*topology)) {
    if (fate.residency == "us" && fate.lost == "us-1") {
      EXPECT_EQ(sentence(fate), "outage: no standby named (eu-1 could be)");
    }
    if (fate.residency == "eu" && fate.lost == "eu-1") {
      EXPECT_EQ(sentence(fate), "outage by law");
    }
  }
  const auto by_law =
      parse(changed("accept: {eu: outage, by: me, reason: small, until: 2027-01-31}\n", ""), "t.yaml", kToday);
  ASSERT_FALSE(by_law);
  EXPECT_NE(by_law.error()[0].cause.find("by law no other region may take over"), std::string::npos);
}

TEST(Survivability, EachLossHasItsAnswer) {
  const auto parsed = parse(kGood, "t.yaml", kToday);
  ASSERT_TRUE(parsed);
  std::map<std::string, std::string> told;
  for (const Fate& fate : survivability(*parsed)) told[fate.residency + " / " + fate.lost] = sentence(fate);
  EXPECT_EQ(told.size(), 15u);
  EXPECT_EQ(told["eu / eu-1"], "outage by law");
  EXPECT_EQ(told["eu / us-1"], "serve");
  EXPECT_EQ(told["us / us-1"], "switch to eu-1");
  EXPECT_EQ(told["directory / v-1"], "serve");
  EXPECT_EQ(told["us / quorum minority"], "serve");
  EXPECT_EQ(told["us / quorum majority"], "writes stop when leases end");
}

TEST(Survivability, WhoseCommitsWaitNeedsAStandbyToGoOn) {
  const auto of = [](const std::string& keys) {
    const auto parsed = parse(changed("  us: {home: us-1, ", "  us: {home: us-1, " + keys), "t.yaml", kToday);
    EXPECT_TRUE(parsed) << told(parsed.error());
    std::map<std::string, std::string> out;
    if (parsed)
      for (const Fate& fate : survivability(*parsed)) out[fate.residency + " / " + fate.lost] = sentence(fate);
    return out;
  };
  auto stops = of("rpo: 0, "), goes_on = of("rpo: 0, without_standby: go_on, ");
  EXPECT_EQ(stops["us / us-1"], "switch to eu-1, then writes wait");
  EXPECT_EQ(stops["us / eu-1"], "writes wait for a standby");
  EXPECT_EQ(stops["us / v-1"], "serve");
  EXPECT_EQ(goes_on["us / us-1"], "switch to eu-1");
  EXPECT_EQ(goes_on["us / eu-1"], "serve");
}

}  // namespace
}  // namespace domicile::topology
