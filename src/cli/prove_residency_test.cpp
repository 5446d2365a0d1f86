#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/temp_dir.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

// Whoever reads the line finds it however a proof ends; here none can begin, and no lab is asked for.
TEST(ProveResidency, TellsItsLineWhereItCannotBegin) {
  const TempDir folder;
  const std::string everywhere = (folder.path() / "everywhere.yaml").string();
  ASSERT_TRUE(write_file(
      everywhere,
      "domicile: 1\nregions: {a: {jurisdiction: EU}, b: {jurisdiction: US}, c: {jurisdiction: EU}}\nresidencies:\n"
      "  directory: {home: a, standby: [b, c], holds: {EU: full, US: full}}\n"
      "  all: {home: a, standby: [b], holds: {EU: full, US: full}}\n"
      "data: {app.orders: {personal: [p], shared: [id]}}\n"));
  const struct {
    std::vector<std::string> words;
    Exit exit;
    const char* why;
  } cases[] = {
      {{"--topology", "/nowhere"}, Exit::failed, "/nowhere"},
      {{"--residency", "nobody"}, Exit::failed, "no residency nobody"},
      {{"--from", "nowhere"}, Exit::failed, "no region nowhere"},
      {{"--topology", everywhere}, Exit::refused, "nothing to prove"},
  };
  for (const auto& c : cases)
    for (const bool json : {true, false}) {
      std::vector<std::string> words{"prove", "residency", "--base", "49000"};
      words.insert(words.end(), c.words.begin(), c.words.end());
      if (json) words.emplace_back("--json");
      std::ostringstream out, err;
      Io io{out, err};
      EXPECT_EQ(dispatch(verbs(), words, io), c.exit) << c.why;
      EXPECT_NE(err.str().find(c.why), std::string::npos) << err.str();
      if (!json) {
        EXPECT_EQ(out.str(), "");
        continue;
      }
      EXPECT_EQ(std::ranges::count(out.str(), '\n'), 1) << c.why;
      const auto line = parse_json(out.str(), "the proof");
      ASSERT_TRUE(line) << out.str();
      EXPECT_EQ((*line)["held"], false);
      EXPECT_EQ((*line)["attempted"], 0);
      EXPECT_TRUE((*line)["searched_bytes"].is_null());
      EXPECT_NE(dump((*line)["trouble"]).find(c.why), std::string::npos) << out.str();
    }
}

}  // namespace
}  // namespace domicile::cli
