// The runbooks' commands, run where they say, against regions in the situation that each page describes.
#include <gtest/gtest.h>

#include <sstream>

#include "support/returned.hpp"

namespace domicile::test {
namespace {

struct Typed {
  std::string at;
  std::vector<std::string> words;
  std::string line;
};

// Words of a line as a shell would part them; only single quotes are used.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, any = false;
  for (const char c : line) {
    if (c == '\'') {
      quoted = !quoted;
      any = true;
    } else if (c == ' ' && !quoted) {
      if (any) words.push_back(std::exchange(word, {}));
      any = false;
    } else {
      word += c;
      any = true;
    }
  }
  if (any) words.push_back(word);
  return words;
}

std::vector<Typed> typed_in(const std::string& page) {
  std::istringstream lines(must(read_file(fs::path(DOMICILE_ROOT) / "docs/runbooks" / page)));
  std::vector<Typed> out;
  std::string line, at;
  bool inside = false;
  while (std::getline(lines, line)) {
    if (line.starts_with("```")) {
      inside = line == "```sh";
      at.clear();
    } else if (inside && line.starts_with("# at ")) {
      at = line.substr(5);
    } else if (inside && !line.empty()) {
      EXPECT_TRUE(line.starts_with("domicile ")) << page << ": " << line;
      EXPECT_FALSE(at.empty()) << page << ": nobody says where: " << line;
      auto words = words_of(line);
      words.erase(words.begin());
      out.push_back({at, std::move(words), line});
    }
  }
  EXPECT_FALSE(out.empty()) << page;
  return out;
}

// What the page tells to type where a switch asks, about `proposal`; whether it asks, and which, is not the page's to
// know.
std::vector<std::string> approval_in(const std::string& page, const std::string& proposal) {
  std::istringstream lines(must(read_file(fs::path(DOMICILE_ROOT) / "docs/runbooks" / page)));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("domicile approve ")) continue;
    auto words = words_of(line);
    words.erase(words.begin());
    words[1] = proposal;
    return words;
  }
  ADD_FAILURE() << page << " tells nobody how to approve";
  return {};
}

// `unsafe` may be the answer where the page is about something that is not as it should be.
void follow(Regions& regions, const std::string& page, const std::function<void(const Typed&, const Outcome&)>& see) {
  for (const auto& typed : typed_in(page)) {
    auto words = typed.words;
    if (words[0] == "link")
      words.insert(words.end(), {"--gate", regions.gate(typed.at).socket()});
    else
      words.insert(words.end(), {"--agent", regions.socket(typed.at).string()});
    if (words[0] == "explain") {
      const auto config = regions.state_folder(typed.at).parent_path() / "agent.yaml";
      words.insert(words.end(), {"--config", config.string(), "--gate", regions.gate(typed.at).socket()});
    }
    const bool calm = (words[0] == "switch" && page != "no-lawful-standby.md") || page == "planned-evacuation.md";
    if (calm) {
      ASSERT_TRUE(regions.settled()) << regions.told();
    }
    const auto done = regions.cli(words);
    SCOPED_TRACE(page + ": " + typed.line);
    see(typed, done);
  }
}

std::vector<std::string> owned_by(Regions& regions, const std::string& region) {
  std::vector<std::string> out;
  for (const char* residency : {"directory", "us", "eu"})
    if (regions.record(residency).owner == region) out.emplace_back(residency);
  return out;
}

TEST(Runbooks, ALostRegionAndItsReturn) {
  Regions regions;
  while (regions.next_row() < 1'000) {
  }
  for (int i = 1; i <= 3; ++i) ASSERT_EQ(regions.write(kUs, "us", i), "");
  for (const auto& receiver : {kEu, kWest})
    ASSERT_TRUE(eventually([&] { return regions.missing(receiver, "us").empty(); })) << regions.told();
  regions.gate(kUs).signal(SIGSTOP);
  ASSERT_EQ(regions.write(kUs, "us", 11), "");
  {
    auto connection = regions.database(kUs).connect();
    must(connection.exec("UPDATE app.orders SET customer_name = 'ours' WHERE id = 2"));
    must(connection.exec(
        "INSERT INTO app.orders (id, residency, tenant_id, customer_name) VALUES (12, 'us', 'us-1', 'twice')"));
  }
  regions.kill_region(kUs);
  for (const char* residency : {"us", "directory"})
    ASSERT_TRUE(eventually(
        [&] {
          const auto record = regions.record(residency);
          return record.owner != kUs && record.mode == authority::Mode::serving;
        },
        60 * kSecond))
        << regions.told();
  // The page tells it with eu-central-1 as the new owner.
  if (regions.record("us").owner != kEu) {
    ASSERT_TRUE(eventually([&] { return regions.copy_state(kEu, "us") == "following"; })) << regions.told();
    ASSERT_TRUE(eventually([&] { return regions.order_switch("us", kEu).has_value(); })) << regions.told();
    ASSERT_TRUE(regions.serves("us", kEu)) << regions.told();
  }
  {
    auto connection = regions.database(kEu).connect();
    must(connection.exec("UPDATE app.orders SET customer_name = 'theirs' WHERE id = 2"));
  }
  follow(regions, "region-lost.md", [&](const Typed& typed, const Outcome& done) {
    (void)typed;
    EXPECT_TRUE(done.exit_code == 0 || done.exit_code == 5) << done.out << done.err;
    EXPECT_NE(done.out.find("eu-central-1"), std::string::npos) << done.out;
  });

  regions.start_region(kUs);
  for (const char* residency : {"us", "directory"})
    ASSERT_TRUE(eventually([&] { return regions.copy_state(kUs, residency) == "following"; })) << regions.told();
  ASSERT_TRUE(regions.settled()) << regions.told();
  int applied = 0;
  follow(regions, "region-returning.md", [&](const Typed& typed, const Outcome& done) {
    EXPECT_EQ(done.exit_code, 0) << done.out << done.err;
    const auto says = [&](const char* text) { EXPECT_NE(done.out.find(text), std::string::npos) << done.out; };
    const auto& words = typed.words;
    if (words[0] == "salvage" && words[1] == "show") {
      says("missing");
      says("conflict");
    }
    if (words.back() == "--values") says("theirs");
    if (words[1] == "discard") says("1 discarded");
    if (words[0] == "salvage" && words[1] == "apply" && words.back() == "--yes") {
      // The row that is missing; then the conflict, which the owner's later change wins.
      says(applied++ == 0 ? "1 written at the owner" : "1 discarded");
    }
  });
  EXPECT_EQ(applied, 2);
  EXPECT_EQ(orders(regions, kEu).find("twice"), std::string::npos) << "what was discarded is not written";
  EXPECT_EQ(regions.record("us").owner, kUs);
  EXPECT_EQ(regions.missing(kUs, "us"), std::vector<std::int64_t>{}) << "every acknowledged write is readable again";
  const Json list = regions.get(kUs, "/v1/salvage");
  for (const Json& run : list["runs"]) EXPECT_EQ(run["open"], 0) << run;
}

// Widened and put back in one transaction, which no agent sees: nobody but the log knows what was written in it.
TEST(Runbooks, ALinkThatTheGateHasCut) {
  Regions regions;
  const std::string link = "domicile_eu_eu_central_1_us_east_1";
  // The gate's own word: the agent's is a moment old.
  const auto held = [&] { return regions.cli({"link", "list", "--gate", regions.gate(kEu).socket()}).exit_code == 4; };
  {
    auto connection = regions.database(kEu).connect();
    const auto rows = must(connection.exec(
        "SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I (%s) WHERE %s', schemaname, tablename, "
        "pg_catalog.array_to_string(attnames, ', '), rowfilter), ', ') FROM pg_catalog.pg_publication_tables "
        "WHERE pubname = '" +
        link + "'"));
    const std::string as_it_was = rows.text(0, 0);
    const std::int64_t row = regions.next_row();
    must(
        connection.exec(fmt::format("BEGIN; ALTER PUBLICATION {0} SET TABLE app.orders WHERE (residency = 'eu'), "
                                    "domicile.marker WHERE (residency = "
                                    "'eu'); {1}; ALTER PUBLICATION {0} SET TABLE {2}; COMMIT",
                                    link, Regions::insert_sql("eu", row), as_it_was)));
    regions.acknowledged("eu", row);
  }
  ASSERT_TRUE(eventually(held)) << regions.told();
  follow(regions, "link-cut.md", [&](const Typed& typed, const Outcome& done) {
    const auto& words = typed.words;
    if (words[0] == "link" && words[1] == "list") {
      EXPECT_EQ(done.exit_code, 4) << done.out;
      EXPECT_NE(done.out.find("rule column"), std::string::npos) << done.out;
    }
    if (words[0] != "link" || words[1] != "resume") return;
    EXPECT_EQ(done.exit_code, 0) << done.err;
    if (words[3] != "--fresh-slot") {
      EXPECT_TRUE(eventually(held)) << "the same log is judged again; " << regions.told();
      return;
    }
    // Only a comparison brings the row whose log was given up.
    EXPECT_TRUE(eventually([&] { return !held() && regions.missing(kUs, "eu").empty(); })) << regions.told();
    EXPECT_TRUE(eventually([&] { return regions.copy_state(kUs, "eu") == "following"; })) << regions.told();
  });
  EXPECT_FALSE(held()) << regions.told();
}

TEST(Runbooks, TheQuorumIsLost) {
  Regions regions;
  const auto glass = [&] { return regions.status(kEu, "eu").contains("glass"); };
  for (const auto& member : {kUs, kWest}) regions.etcd().kill(member);
  // Leases run out first; until then the question itself is refused.
  ASSERT_TRUE(eventually(
      [&] {
        return regions
                   .cli({"break-glass", "eu", "--by", "A. Muster", "--reason", "a question", "--dry-run", "--agent",
                         regions.socket(kEu).string()})
                   .exit_code == 0;
      },
      60 * kSecond))
      << regions.told();
  EXPECT_EQ(regions.writable("eu"), std::vector<std::string>{});
  bool opened = false, adopted = false;
  follow(regions, "quorum-lost.md", [&](const Typed& typed, const Outcome& done) {
    const auto& words = typed.words;
    if (words[0] == "status") {
      EXPECT_EQ(done.exit_code, 5) << done.out << done.err;
      EXPECT_EQ(done.out.find("GLASS BROKEN") != std::string::npos, opened) << done.out;
      if (!opened) return;
      for (const auto& member : {kUs, kWest}) regions.etcd().start(member);
      regions.etcd().await_healthy();
      EXPECT_TRUE(eventually([&] { return regions.status(kEu, "eu").value("distrusted", "") != ""; }))
          << regions.told();
    } else if (words[0] == "break-glass") {
      EXPECT_EQ(done.exit_code, 0) << done.err;
      EXPECT_EQ(glass(), words.back() == "--yes");
      if (words.back() != "--yes") return;
      opened = true;
      EXPECT_TRUE(eventually([&] { return regions.write(kEu, "eu").empty(); })) << regions.told();
    } else if (words[1] == "adopt") {
      EXPECT_EQ(done.exit_code, 0) << done.err;
      adopted = true;
    }
  });
  EXPECT_TRUE(adopted);
  EXPECT_TRUE(regions.serves("eu", kEu, 2)) << regions.told();
  EXPECT_TRUE(eventually([&] { return !glass(); })) << regions.told();
  EXPECT_EQ(regions.missing(kEu, "eu"), std::vector<std::int64_t>{});
}

TEST(Runbooks, NoLawfulStandby) {
  Regions regions;
  ASSERT_EQ(regions.write(kEu, "eu"), "");
  ASSERT_TRUE(eventually([&] { return regions.missing(kWest, "eu").empty(); })) << regions.told();
  regions.kill_database(kWest);
  regions.kill_region(kEu);
  ASSERT_TRUE(eventually([&] { return regions.status(kUs, "eu").value("owner_expired", false); })) << regions.told();
  std::string proposal;
  follow(regions, "no-lawful-standby.md", [&](const Typed& typed, const Outcome& done) {
    const auto& words = typed.words;
    if (words[0] == "explain") {
      EXPECT_NE(done.out.find("customer_name"), std::string::npos) << done.out;
    } else if (words[0] == "switch") {
      EXPECT_NE(done.exit_code, 0) << done.out;
      EXPECT_EQ(regions.record("eu").owner, kEu);
      regions.database(kWest).start();
      EXPECT_TRUE(eventually(
          [&] {
            proposal = regions.status(kWest, "eu").value("proposal", "");
            return !proposal.empty() || regions.record("eu").owner == kWest;
          },
          60 * kSecond))
          << regions.told();
    } else if (typed.at == kWest && words.back() != "--json") {
      EXPECT_EQ(done.out.find("domicile approve " + proposal) != std::string::npos, !proposal.empty()) << done.out;
      if (!proposal.empty()) {
        auto yes = approval_in("no-lawful-standby.md", proposal);
        yes.insert(yes.end(), {"--agent", regions.socket(kWest).string()});
        const auto said = regions.cli(yes);
        EXPECT_EQ(said.exit_code, 0) << said.out << said.err;
      }
      EXPECT_TRUE(regions.serves("eu", kWest, 2)) << regions.told();
    }
  });
  EXPECT_TRUE(regions.serves("eu", kWest)) << regions.told();
  EXPECT_EQ(regions.missing(kWest, "eu"), std::vector<std::int64_t>{});
}

TEST(Runbooks, APlannedEvacuation) {
  Regions regions;
  bool emptied = false;
  follow(regions, "planned-evacuation.md", [&](const Typed& typed, const Outcome& done) {
    EXPECT_EQ(done.exit_code, 0) << done.out << done.err;
    emptied = emptied || owned_by(regions, kUs).empty();
    (void)typed;
  });
  EXPECT_TRUE(emptied);
  EXPECT_EQ(owned_by(regions, kUs), (std::vector<std::string>{"directory", "us"}));
}

}  // namespace
}  // namespace domicile::test
