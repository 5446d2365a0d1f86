#include "cli/command.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/temp_dir.hpp"
#include "cli/registry.hpp"

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
  EXPECT_NE(answer.out.find("reduced  residency, tenant_id, id, amount, created_at\n"), std::string::npos);
}

TEST(Reference, IsWhatTheCodeSays) {
  EXPECT_EQ(*read_file(kRoot + "/docs/reference/topology.md"), ran({"check", "--reference"}).out)
      << "build/domicile check --reference > docs/reference/topology.md";
  EXPECT_EQ(*read_file(kRoot + "/docs/reference/cli.md"), ran({"help", "--reference"}).out)
      << "build/domicile help --reference > docs/reference/cli.md";
}

}  // namespace
}  // namespace domicile::cli
