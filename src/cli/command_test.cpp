#include "cli/command.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/temp_dir.hpp"
#include "cli/registry.hpp"
#include "core/snapshot/compile.hpp"

namespace domicile::cli {
namespace {

struct Ran {
  int exit;
  std::string out, err;
};

Ran ran(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  Io io{out, err};
  const Exit exit = dispatch(verbs(), arguments, io);
  return {static_cast<int>(exit), out.str(), err.str()};
}

const std::string kRoot = DOMICILE_ROOT;

TEST(Command, WrongUsageIsRefusedWithAWayOut) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"chek"},
      {"check", "--jsn"},
      {"check", "a", "b"},
      {"check", "--json=1", "a"},
      {"check", "--json", "--json", "a"},
      {"check", "a", "--today"},
      {"check", "-j"},
      {"explain"},
      {"lab", "upp"},
      {"explain", "table"},
      {"version", "now"},
      {"help", "chek"},
      {"check"},
      {"check", "a", "--today", "2026-02-30"},
      {"agent"},
      {"agent", "--config", ""},
      {"apply", "--guard", "d"},
      {"drill", "region-loss", "--kind", "fire"},
      {"drill", "region-loss", "--runs", "0"},
      {"drill", "region-loss", "--rate", "fast"},
      {"drill", "planned-switch", "--runs", "-1"},
      {"drill", "planned-switch", "--clients", "1e3"},
      {"drill", "planned-switch", "--base", "x"},
      {"lab", "up", "--base", "x"},
      {"lab", "down", "--base", "50001"},
      {"lab", "once", "--rate=0"},
      {"lab", "slow", "a", "b", "x"},
      {"lab", "slow", "a", "b"},
      {"lab", "flap", "a", "b", "1s"},
      {"lab", "heal", "a"},
      {"lab", "cut", "a"},
      {"explain", "request", "--host", std::string(300, 'a'), "--from", "r"},
      {"explain", "request", "--host", "a.example"},
      {"quorum", "init"},
      {"quorum", "init", "eu"},
      {"status", "--watch"},
      {"status", "--url", "http://a:1"},
      {"switch", "eu"},
      {"tenant", "add", "acme", "acme.example"},
      {"tenant", "list", "--limit", "many"},
      {"gateway", "config", "--write=x"},
  };
  for (const auto& arguments : wrong) {
    const Ran answer = ran(arguments);
    EXPECT_EQ(answer.exit, 64) << testing::PrintToString(arguments);
    EXPECT_TRUE(answer.out.empty());
    EXPECT_FALSE(answer.err.empty());
  }
}

TEST(Command, EveryVerbHasHelpWithExamples) {
  for (const Verb& verb : verbs()) {
    EXPECT_FALSE(verb.examples.empty()) << verb.name;
    EXPECT_NE(usage_of(verb).find("domicile " + verb.name), std::string::npos);
    EXPECT_NE(bash_completion(verbs()).find("'" + verb.name + "'*)"), std::string::npos);
  }
}

TEST(Command, EveryVerbExplainsItselfHoweverItIsAsked) {
  for (const Verb& verb : verbs())
    for (const char* asked : {"-h", "--help"}) {
      std::vector<std::string> arguments;
      std::istringstream words(verb.name);
      for (std::string word; words >> word;) arguments.push_back(word);
      arguments.emplace_back(asked);
      const Ran answer = ran(arguments);
      EXPECT_EQ(answer.exit, 0) << verb.name << " " << asked << answer.err;
      EXPECT_EQ(answer.out, usage_of(verb));
    }
}

TEST(Command, AFirstWordOfSeveralListsThem) {
  for (const auto& asked : {std::vector<std::string>{"lab", "--help"}, {"help", "lab"}}) {
    const Ran answer = ran(asked);
    EXPECT_EQ(answer.exit, 0) << answer.err;
    EXPECT_NE(answer.out.find("  lab up "), std::string::npos);
    EXPECT_EQ(answer.out.find("  tenant add "), std::string::npos);
  }
  EXPECT_NE(ran({"lab"}).err.find("  lab up "), std::string::npos);
  EXPECT_NE(ran({"lab", "upp"}).err.find("'lab upp'"), std::string::npos);
}

TEST(Check, PrintsWhatSurvivesWhat) {
  const Ran answer = ran({"check", kRoot + "/examples/two-regions/topology.yaml", "--today=2026-11-24"});
  EXPECT_EQ(answer.exit, 0) << answer.err;
  EXPECT_NE(answer.out.find("eu-central-1                 serve                        outage by law"),
            std::string::npos)
      << answer.out;
}

TEST(Check, SaysWhatIsWrongInBothForms) {
  const std::string file = kRoot + "/examples/two-regions/topology.yaml";
  const Ran text = ran({"check", file, "--today", "2100-01-01"});
  EXPECT_EQ(text.exit, 1);
  EXPECT_NE(text.out.find("outage by law"), std::string::npos) << "what is wrong here changes no answer: " << text.out;
  EXPECT_NE(text.err.find(":20:14: DOM-E027"), std::string::npos) << text.err;
  const Ran json = ran({"check", file, "--today", "2100-01-01", "--json"});
  EXPECT_EQ(json.exit, 1);
  const auto value = parse_json(json.out, "check");
  ASSERT_TRUE(value);
  EXPECT_EQ((*value)["problems"][0]["code"], "DOM-E027");
  EXPECT_EQ((*value)["problems"][0]["line"], 20);
  EXPECT_FALSE((*value)["survivability"].empty());
}

TEST(Check, ForetellsNothingWhereItIsOpenWhoMayOwnWhat) {
  const TempDir folder;
  const auto file = folder.path() / "topology.yaml";
  std::string text = *read_file(kRoot + "/examples/two-regions/topology.yaml");
  const std::string home = "eu: {home: eu-central-1,";
  text.replace(text.find(home), home.size(), "eu: {home: eu-north-9,");
  ASSERT_TRUE(write_file(file, text));
  const Ran answer = ran({"check", file.string(), "--today", "2026-11-24"});
  EXPECT_EQ(answer.exit, 1);
  EXPECT_TRUE(answer.out.empty()) << answer.out;
}

TEST(Check, TheSchemaIsJson) {
  const auto schema = parse_json(ran({"check", "--schema"}).out, "schema");
  ASSERT_TRUE(schema);
  EXPECT_EQ((*schema)["properties"]["lease"]["additionalProperties"], false);
}

TEST(ExplainTable, UnmappedIsRefusedByPolicy) {
  const std::string file = kRoot + "/examples/three-regions/topology.yaml";
  EXPECT_EQ(ran({"explain", "table", "app.secrets", "--topology", file}).exit, 3);
  const Ran answer = ran({"explain", "table", "app.orders", "--topology", file});
  EXPECT_EQ(answer.exit, 0) << answer.err;
  const auto line_with = [&](const std::string& text) {
    const auto at = answer.out.find(text);
    if (at == std::string::npos) return "no line has " + text + " in\n" + answer.out;
    const auto begin = answer.out.rfind('\n', at) + 1;
    return answer.out.substr(begin, answer.out.find('\n', at) - begin);
  };
  EXPECT_TRUE(answer.out.starts_with("LAYER ")) << answer.out;
  const auto law = line_with("us-east-1 holds of eu reduced: residency, tenant_id, id, amount, created_at  ");
  EXPECT_TRUE(law.starts_with("law ") && law.ends_with(" residencies.eu.holds.US")) << law;
  const auto link = line_with("eu-central-1 -> us-east-1, rows of eu, reduced: residency, tenant_id, id, ");
  EXPECT_TRUE(link.starts_with("replication ") && link.ends_with(" publication domicile_eu_eu_central_1_us_east_1"))
      << link;
  EXPECT_TRUE(line_with("guard: DM001, DM002").starts_with("database ")) << answer.out;
  EXPECT_NE(answer.out.find("\npolicy "), std::string::npos);
}

TEST(ExplainRequest, AnUnknownHostHasItsLayersToo) {
  const TempDir folder;
  snapshot::TenantsSnapshot tenants;
  tenants.generation = 1;
  tenants.hosts.push_back({"acme.example", "acme", "eu"});
  snapshot::AuthoritySnapshot authority{1, "us-east-1", "p", "boot", {}};
  for (const char* residency : {"eu", "us"}) {
    snapshot::AuthorityRow row;
    row.residency = residency;
    row.owner = std::string(residency) == "eu" ? "eu-central-1" : "us-east-1";
    row.epoch = 1;
    row.tunnel = row.forward = "192.0.2.1:443";
    authority.rows.push_back(row);
  }
  const auto tenants_bytes = snapshot::compile(tenants), authority_bytes = snapshot::compile(authority);
  ASSERT_TRUE(tenants_bytes && authority_bytes);
  ASSERT_TRUE(write_file(folder.path() / "tenants.snap", *tenants_bytes));
  ASSERT_TRUE(write_file(folder.path() / "authority.snap", *authority_bytes));
  const auto ask = [&](const std::string& host, const std::string& from, const char* form) {
    return ran({"explain", "request", "--host", host, "--from", from, "--gateway", folder.path().string(), "--topology",
                kRoot + "/examples/three-regions/topology.yaml", form});
  };
  const Ran known = ask("acme.example", "us-east-1", "--json");
  EXPECT_EQ(known.exit, 0) << known.err;
  for (const char* from : {"us-east-1", "eu-west-1"}) {
    const Ran answer = ask("nobody.example", from, "--json");
    EXPECT_EQ(answer.exit, 3) << from << answer.err;
    const auto json = parse_json(answer.out, "the layers");
    ASSERT_TRUE(json) << answer.out;
    EXPECT_FALSE((*json)["policy_hash"].get<std::string>().empty());
    EXPECT_EQ((*json)["tenant"], nullptr);
    std::map<std::string, Json> layers;
    for (const Json& layer : (*json)["layers"]) layers[layer["layer"]] = layer;
    EXPECT_EQ(layers["request"]["rule"], "unknown_host") << answer.out;
    EXPECT_NE(layers["request"]["decision"].get<std::string>().find("421"), std::string::npos) << answer.out;
    for (const char* layer : {"directory", "law", "connection", "database"})
      EXPECT_TRUE(layers.contains(layer)) << layer;
  }
}

// tenants.snap still has the residency of before, and the gateway goes by the move.
TEST(ExplainRequest, ATenantThatMovesIsExplainedAsTheGatewayTreatsIt) {
  TempDir folder;
  snapshot::TenantsSnapshot tenants;
  tenants.generation = 1;
  tenants.hosts.push_back({"acme.example", "acme", "us"});
  ASSERT_TRUE(write_file(folder.path() / "tenants.snap", *snapshot::compile(tenants)));
  const auto ask = [&](const char* residency, bool held, const char* from) {
    snapshot::AuthoritySnapshot authority{1, "us-east-1", "p", "boot", {}};
    for (const char* name : {"eu", "us"}) {
      snapshot::AuthorityRow row;
      row.residency = name;
      row.owner = std::string(name) == "eu" ? "eu-central-1" : "us-east-1";
      row.epoch = 1;
      row.mode = snapshot::Mode::serving;
      row.here = std::string(name) == "eu" ? snapshot::Form::reduced : snapshot::Form::full;
      row.tunnel = row.forward = "192.0.2.1:443";
      authority.rows.push_back(row);
    }
    authority.moves = {{"acme", residency, held}};
    EXPECT_TRUE(write_file(folder.path() / "authority.snap", *snapshot::compile(authority)));
    const Ran answer =
        ran({"explain", "request", "--host", "acme.example", "--from", from, "--gateway", folder.path().string(),
             "--topology", kRoot + "/examples/three-regions/topology.yaml", "--json"});
    EXPECT_EQ(answer.exit, 0) << answer.err;
    std::map<std::string, Json> layers;
    const auto json = parse_json(answer.out, "the layers");
    EXPECT_TRUE(json) << answer.out;
    if (json)
      for (const Json& layer : (*json)["layers"]) layers[layer["layer"]] = layer;
    return layers;
  };
  for (const char* from : {"us-east-1", "eu-central-1"}) {
    auto held = ask("us", true, from);
    EXPECT_NE(held["directory"]["decision"].get<std::string>().find("residency us"), std::string::npos);
    EXPECT_TRUE(held.contains("move"));
    EXPECT_EQ(held["request"]["rule"], "tenant_moving") << from;
    EXPECT_EQ(held["connection"]["rule"], "tenant_moving") << from;
    EXPECT_EQ(held["database"]["rule"], "guard: DM006");
    auto moved = ask("eu", false, from);
    EXPECT_NE(moved["directory"]["decision"].get<std::string>().find("residency us"), std::string::npos);
    EXPECT_NE(moved["move"]["decision"].get<std::string>().find("residency is eu"), std::string::npos);
    EXPECT_NE(moved["authority"]["decision"].get<std::string>().find("eu-central-1 owns it"), std::string::npos);
    const bool us = std::string(from) == "us-east-1";
    EXPECT_NE(
        moved["connection"]["decision"].get<std::string>().find(us ? "tunnel to eu-central-1" : "decrypt it here"),
        std::string::npos)
        << moved["connection"];
    EXPECT_EQ(moved["request"]["rule"], us ? "unlawful_here" : "owner_here");
  }
}

TEST(Reference, IsWhatTheCodeSays) {
  EXPECT_EQ(*read_file(kRoot + "/docs/reference/topology.md"), ran({"check", "--reference"}).out)
      << "build/domicile check --reference > docs/reference/topology.md";
  EXPECT_EQ(*read_file(kRoot + "/docs/reference/cli.md"), ran({"help", "--reference"}).out)
      << "build/domicile help --reference > docs/reference/cli.md";
}

}  // namespace
}  // namespace domicile::cli
