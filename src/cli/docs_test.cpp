// docs/reference says what the code says.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <span>
#include <sstream>

#include "agent/config.hpp"
#include "agent/gateway_settings.hpp"
#include "base/file.hpp"
#include "base/temp_dir.hpp"
#include "cli/denial_words.hpp"
#include "core/desired/desired.hpp"
#include "core/topology/codes.hpp"
#include "core/topology/parse.hpp"
#include "gate/config.hpp"
#include "prove/attempt.hpp"

namespace domicile {
namespace {

const fs::path kRoot = DOMICILE_ROOT;

std::string text_of(const fs::path& path) {
  const auto text = read_file(kRoot / path);
  EXPECT_TRUE(text) << path;
  return text.value_or("");
}

// The first group of every match.
std::set<std::string> all(const std::string& text, const char* pattern) {
  const std::regex regex(pattern);
  std::set<std::string> out;
  for (auto it = std::sregex_iterator(text.begin(), text.end(), regex); it != std::sregex_iterator(); ++it)
    out.insert((*it)[1]);
  return out;
}

TEST(ErrorsPage, HasEveryCodeOfTheSourcesAndNoOther) {
  std::set<std::string> used;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "src")) {
    const auto name = entry.path().filename().string();
    const auto ending = entry.path().extension();
    if ((ending != ".cpp" && ending != ".hpp") || name.ends_with("_test.cpp")) continue;
    used.merge(all(text_of(fs::relative(entry.path(), kRoot)), "\"(DOM-E[0-9]{3})\""));
  }
  const std::string page = text_of("docs/reference/errors.md");
  EXPECT_GT(used.size(), 30u);
  EXPECT_EQ(all(page, "\\n\\| `(DOM-E[0-9]{3})` \\|"), used);
#define X(code, name, summary) EXPECT_NE(page.find("| `" code "` | " summary " |\n"), std::string::npos) << code;
  DOMICILE_TOPOLOGY_PROBLEMS(X)
#undef X
}

// Those that a daemon's reader asks for, the three of mutual TLS among them.
std::set<std::string> settings_in(const char* reader) {
  std::set<std::string> asked;
  for (const char* file : {reader, "src/settings/section.cpp"})
    asked.merge(all(text_of(file), "\\.(?:text|text_or|yes|list|section)\\(\"([a-z_]+)\""));
  return asked;
}

TEST(AgentPage, ItsExampleHasEverySettingAndIsRead) {
  const std::string page = text_of("docs/reference/agent.md");
  const auto begin = page.find("```yaml\n") + 8, end = page.find("```", begin);
  ASSERT_LT(begin, end);
  const std::string example = page.substr(begin, end - begin);
  const TempDir directory;
  ASSERT_TRUE(write_file(directory.path() / "agent.yaml", example));
  const auto config = agent::read_agent_config(directory.path() / "agent.yaml");
  ASSERT_TRUE(config) << render(config.error());
  EXPECT_EQ(config->sites.size(), 2u);
  EXPECT_EQ(config->api.roles.at("grafana"), std::vector<std::string>{"view"});

  const auto asked = settings_in("src/agent/config.cpp");
  EXPECT_GT(asked.size(), 15u);
  const auto rows = all(page, "\\n\\| `(?:[a-z*]+\\.)*([a-z_]+)` \\|");
  EXPECT_EQ(rows, asked) << "the table";
  for (const auto& key : asked) EXPECT_TRUE(std::regex_search(example, std::regex("(^|\\s)" + key + ":"))) << key;
}

TEST(GatePage, ItsExampleIsReadAndItsTableHasEverySetting) {
  const std::string page = text_of("docs/reference/gate.md");
  const auto begin = page.find("```yaml\n") + 8, end = page.find("```", begin);
  ASSERT_LT(begin, end);
  const TempDir directory;
  ASSERT_TRUE(write_file(directory.path() / "gate.yaml", page.substr(begin, end - begin)));
  const auto file = gate::read_gate_file(directory.path() / "gate.yaml");
  ASSERT_TRUE(file) << render(file.error());
  EXPECT_EQ(file->port, 5433);
  std::set<std::string> rows;
  for (const auto& row : all(page, "\\n\\| (`[a-z_`, ]+`) \\|")) rows.merge(all(row, "`([a-z_]+)`"));
  EXPECT_EQ(rows, settings_in("src/gate/config.cpp"));
}

// Word for word what `domicile explain denial` prints, and no other row.
void expect_rows(const char* file, std::span<const gate::Meaning> words, const char* row, const char* begins) {
  const std::string page = text_of(file);
  std::set<std::string> names;
  for (const auto& each : words) {
    EXPECT_NE(page.find(fmt::format(fmt::runtime(row), each.rule, each.refuses, each.advice)), std::string::npos)
        << file << " " << each.rule;
    names.insert(std::string(each.rule));
  }
  const auto begin = page.find(begins), end = page.find("\n\n", begin);
  ASSERT_NE(begin, std::string::npos) << file;
  EXPECT_EQ(all(page.substr(begin, end - begin), "\n\\| `?([A-Za-z0-9_-]*[a-z0-9])`? \\|"), names) << file;
}

TEST(DenialPages, SayWhatTheCommandSays) {
  expect_rows("docs/gate.md", gate::session_rules(), "\n| `{}` | {} | {} |\n", "| rule | refused is |");
  expect_rows("docs/gate.md", gate::row_rules(), "\n| `{}` | {} | {} |\n", "| rule | does not fit |");
  expect_rows("docs/guard.md", cli::guard_codes(), "\n| {} | {} | {} |\n", "| SQLSTATE | refused because |");
  expect_rows("docs/gateway.md", cli::gateway_reasons(), "\n| `{}` | {} | {} |\n", "| reason | refused because |");
}

TEST(PostgresPage, ItsTableHasTheRolesThatApplyMakesAndTheirAttributes) {
  const auto topology = topology::load(text_of("examples/two-regions/topology.yaml"), "topology.yaml");
  ASSERT_TRUE(topology);
  std::map<std::string, std::string> made, told;
  for (const auto& region : topology->regions)
    for (const auto& [name, role] : desired::desired_state({*topology, region.name.str()}, {}).roles)
      made[name.starts_with(desired::link_role("")) ? desired::link_role("<peer>") : name] =
          fmt::format("{} {}", role.login ? "LOGIN" : "NOLOGIN", role.replication ? "REPLICATION" : "NOREPLICATION");
  const std::string page = text_of("docs/postgres.md");
  const std::regex row("\\n\\| `(domicile_[a-z_<>]+)` \\| ([A-Z ]+) \\|");
  for (auto it = std::sregex_iterator(page.begin(), page.end(), row); it != std::sregex_iterator(); ++it)
    told[(*it)[1]] = (*it)[2];
  EXPECT_EQ(made.size(), 3u);
  EXPECT_EQ(told, made);
}

// docs/leaks.md: what is in their memory would lie in a core dump.
TEST(Units, NoneOfOursLeavesACoreDump) {
  int units = 0;
  for (const auto& entry : fs::directory_iterator(kRoot / "deploy"))
    if (entry.path().extension() == ".service") {
      ++units;
      EXPECT_NE(text_of(fs::relative(entry.path(), kRoot)).find("\nLimitCORE=0\n"), std::string::npos) << entry.path();
    }
  EXPECT_EQ(units, 3);
}

TEST(Readme, ItsAgentYamlIsOneThatStarts) {
  const std::string page = text_of("README.md");
  const auto begin = page.find("   region: us-east-1\n"), end = page.find("   ```", begin);
  ASSERT_LT(begin, end);
  const std::string example = std::regex_replace(page.substr(begin, end - begin), std::regex("(^|\\n)   "), "$1");
  const TempDir directory;
  ASSERT_TRUE(write_file(directory.path() / "agent.yaml", example));
  const auto config = agent::read_agent_config(directory.path() / "agent.yaml");
  ASSERT_TRUE(config) << render(config.error());
  const auto topology = topology::load(text_of("examples/two-regions/topology.yaml"), "topology.yaml");
  ASSERT_TRUE(topology);
  const auto fits = agent::check_fits(*config, *topology);
  EXPECT_TRUE(fits) << render(fits.error());
  const auto gateway = agent::gateway_settings(*config, *topology);
  ASSERT_TRUE(gateway) << render(gateway.error());
  EXPECT_TRUE(edge::render(*gateway));
}

TEST(GatewayPage, HasEveryDirectiveAndVariableAndNoOther) {
  std::set<std::string> directives, variables;
  for (const char* file : {"http.cpp", "stream.cpp", "worker.cpp"}) {
    const std::string source = text_of(fs::path("src/edge/module") / file);
    // Commands stand alone behind a brace, with their place behind them; variables in lists.
    for (const auto& name : all(source, "\\{literal\\(\"(domicile[a-z_]*)\"\\), NGX_(?:HTTP|STREAM|MAIN)_"))
      directives.insert(name);
    const auto list = source.find("ngx_str_t names[] = {");
    if (list == std::string::npos) continue;
    variables.merge(all(source.substr(list, source.find("};", list) - list), "literal\\(\"(domicile_[a-z]+)\"\\)"));
  }
  const std::string page = text_of("docs/gateway.md");
  EXPECT_GT(directives.size(), 10u);
  EXPECT_GT(variables.size(), 6u);
  EXPECT_EQ(all(page, "\\n\\| `(domicile[a-z_]*)` \\|"), directives);
  EXPECT_EQ(all(page, "\\n\\| `\\$(domicile_[a-z]+)` \\|"), variables);
}

TEST(MetricsPage, HasEveryMetricAndNoOther) {
  const auto made = all(text_of("src/agent/metrics.cpp"), "\"(domicile_[a-z_]+)\"");
  EXPECT_GT(made.size(), 5u);
  EXPECT_EQ(all(text_of("docs/reference/metrics.md"), "\\n\\| `(domicile_[a-z_]+)` \\|"), made);
}

TEST(ApiPage, HasEveryRouteAndNoOther) {
  const auto routes = all(text_of("src/agent/api.cpp"), "\"(/(?:v1/[a-z/-]*[a-z]|healthz|readyz|metrics))/?\"");
  EXPECT_GT(routes.size(), 8u);
  EXPECT_EQ(all(text_of("docs/reference/api.md"), "`(?:GET|PUT|POST) (/(?:v1/)?[a-z/-]*[a-z])(?:/[A-Z]+)?`"), routes);
}

TEST(ProofPage, HasEveryAttemptAndItsRulesAndNoOther) {
  std::string rows;
  for (const auto& attempt : prove::all_attempts()) {
    std::string rules;
    for (const auto& rule : attempt.rules) rules += (rules.empty() ? "`" : ", `") + rule + "`";
    rows += fmt::format("| `{}` | {} | {} |\n", attempt.id, attempt.what, rules);
  }
  const std::string page = text_of("docs/prove.md"), head = "| id | attempt | by rule |\n| --- | --- | --- |\n";
  const auto begin = page.find(head) + head.size();
  EXPECT_EQ(page.substr(begin, page.find("\n\n", begin) + 1 - begin), rows);
}

// Two types of one name in one namespace are one type to the linker, which takes either's code for both.
TEST(House, NoTwoTypesOfANamespaceShareAName) {
  const std::regex opened("^namespace ([A-Za-z_:]+) \\{"), hidden("^namespace \\{"), shown("^\\}  // namespace$");
  const std::regex type("^(?:struct|class|enum class) (\\w+)(?: final)?(?: :[^:].*)? \\{");
  std::map<std::string, fs::path> first;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "src")) {
    if (entry.path().extension() != ".hpp" && entry.path().extension() != ".cpp") continue;
    std::istringstream lines(text_of(fs::relative(entry.path(), kRoot)));
    std::string space;
    bool inside = false;  // of an unnamed namespace
    std::smatch match;
    for (std::string line; std::getline(lines, line);) {
      if (std::regex_search(line, match, opened)) space = match[1];
      if (std::regex_search(line, hidden)) inside = true;
      if (std::regex_search(line, shown)) inside = false;
      if (inside || !std::regex_search(line, match, type)) continue;
      const auto [known, fresh] = first.try_emplace(space + "::" + match[1].str(), entry.path());
      EXPECT_TRUE(fresh || known->second == entry.path())
          << known->first << " in " << known->second << " and " << entry.path();
    }
  }
  EXPECT_GT(first.size(), 100u);
}

}  // namespace
}  // namespace domicile
