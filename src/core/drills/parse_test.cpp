#include "core/drills/parse.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.hpp"

namespace domicile::drills {
namespace {

const fs::path kRoot = DOMICILE_ROOT;

std::string drill(const std::string& steps, const std::string& hold = "{missing: 0}", const std::string& more = "") {
  std::string out = "drill: 1\nname: mine\nabout: a sentence\n" + more + "steps:\n" + steps + "hold: " + hold + "\n";
  return out;
}

Plan parsed(const std::string& text) {
  auto plan = parse(text, "mine.yaml");
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().front().where() + " " + plan.error().front().cause);
  return plan ? *plan : Plan{};
}

TEST(ParseDrill, ReadsWhatTheFileSays) {
  const Plan plan = parsed(
      drill("  - write: 3s\n  - cut: {from: owner, to: standby, one_way: true}\n"
            "  - slow: {from: owner, to: eu-west-1, bytes_per_s: 5000}\n"
            "  - kill_program: {at: owner, program: gateway}\n"
            "  - revoke: {whose: standby, at: owner}\n  - steady\n  - stop\n  - undo\n",
            "{missing: 3, rpo: ttl, rto_p99: 10s, owner: same}",
            "kind: cut\nresidency: eu\nclients: 7\nrate: 70\nfresh: true\nclients_inside: owner\nevery_days: 9\n"));
  EXPECT_EQ(plan.name, "mine");
  EXPECT_EQ(plan.kind, "cut");
  EXPECT_EQ(plan.residency, "eu");
  EXPECT_EQ(plan.clients, 7U);
  EXPECT_EQ(plan.rate, 70U);
  EXPECT_TRUE(plan.fresh);
  EXPECT_EQ(plan.clients_inside, "owner");
  ASSERT_EQ(plan.steps.size(), 8U);
  EXPECT_EQ(plan.steps[0].length, 3 * kSecond);
  EXPECT_TRUE(plan.steps[1].one_way);
  EXPECT_EQ(plan.steps[1].to, "standby");
  EXPECT_EQ(plan.every_days, 9U);
  EXPECT_EQ(plan.steps[1].line, 13);
  EXPECT_EQ(plan.steps[2].bytes_per_s, 5000U);
  EXPECT_EQ(plan.steps[3].program, "gateway");
  EXPECT_EQ(plan.steps[4].to, "standby");
  EXPECT_EQ(plan.hold.missing, 3U);
  EXPECT_EQ(plan.hold.rpo, kTtl);
  EXPECT_EQ(with_ttl(plan.hold, 5 * kSecond).rpo, 5 * kSecond);
  EXPECT_EQ(plan.hold.rto_p50, std::nullopt);
}

TEST(ParseDrill, EachMistakeIsNamedWithItsPlace) {
  const std::string write = "  - write: 3s\n", stop = "  - stop\n", kill = "  - kill: owner\n", undo = "  - undo\n";
  const struct {
    const char* name;
    std::string text;
    const char* code;
    int line;
  } cases[] = {
      {"no YAML", "drill: [", "DOM-E001", 1},
      {"an alias", "drill: &a 1\nname: *a\n", "DOM-E003", 1},
      {"a list", "- a\n", "DOM-E002", 1},
      {"two documents", drill(write + stop) + "---\na: 1\n", "DOM-E031", 9},
      {"another version", "drill: 2\nname: a\nabout: b\nsteps:\n  - write: 1s\n  - stop\nhold: {missing: 0}\n",
       "DOM-E007", 1},
      {"an unknown key", drill(write + stop, "{missing: 0}", "colour: red\n"), "DOM-E004", 4},
      {"a key twice", drill(write + stop, "{missing: 0}", "name: again\n"), "DOM-E005", 4},
      {"no name", "drill: 1\nabout: b\nsteps:\n  - write: 1s\n  - stop\nhold: {missing: 0}\n", "DOM-E006", 1},
      {"a name that is none", drill(write + stop, "{missing: 0}", "residency: Us\n"), "DOM-E008", 4},
      {"no duration", drill("  - write: long\n" + stop), "DOM-E009", 5},
      {"a duration of an hour", drill("  - write: 1h\n" + stop), "DOM-E009", 5},
      {"too many clients", drill(write + stop, "{missing: 0}", "clients: 100000\n"), "DOM-E010", 4},
      {"an unknown step", drill(write + "  - explode: owner\n" + stop), "DOM-E004", 6},
      {"a step without its value", drill("  - write\n" + stop), "DOM-E002", 5},
      {"a value too many", drill(write + "  - stop: now\n"), "DOM-E002", 6},
      {"two steps in one", drill("  - {write: 3s, stop: now}\n"), "DOM-E002", 5},
      {"no steps", drill("", "{missing: 0}"), "DOM-E002", 5},
      {"a cut without its end", drill(write + "  - cut: {from: owner}\n" + stop + undo), "DOM-E006", 6},
      {"a cut from itself", drill(write + "  - cut: {from: owner, to: owner}\n" + stop + undo), "DOM-E010", 6},
      {"a key of another step", drill(write + "  - cut: {from: owner, to: standby, bytes_per_s: 5}\n" + stop + undo),
       "DOM-E004", 6},
      {"a fault that stays", drill(write + kill + stop), "DOM-E801", 5},
      {"a fault after its undo", drill(write + kill + undo + kill + stop), "DOM-E801", 5},
      {"undo of nothing", drill(write + undo + stop), "DOM-E802", 6},
      {"a fault that nobody sees", drill(kill + write + undo + stop), "DOM-E802", 5},
      {"clients that never stop", drill(write), "DOM-E802", 5},
      {"clients that stop twice", drill(write + stop + stop), "DOM-E802", 7},
      {"writing after the end", drill(write + stop + write), "DOM-E802", 7},
      {"steady without a fault", drill(write + "  - steady\n" + stop), "DOM-E802", 6},
      {"follow before undo", drill(write + kill + "  - follow: owner\n" + undo + stop), "DOM-E802", 7},
      {"clients inside of nothing", drill(write + stop, "{missing: 0}", "clients_inside: owner\n"), "DOM-E802", 4},
      {"nothing demanded", drill(write + stop, "{}"), "DOM-E803", 7},
      {"an RTO of nothing", drill(write + stop, "{rto_p50: 7s}"), "DOM-E803", 7},
      {"a pause of nothing", drill(write + stop, "{pause_p99: 1s}"), "DOM-E803", 7},
      {"a halt that nobody waits for", drill(write + kill + undo + stop, "{halt: ttl}"), "DOM-E803", 9},
      {"an owner of no kind", drill(write + stop, "{owner: mine}"), "DOM-E010", 7},
      {"a count that is none", drill(write + stop, "{missing: few}"), "DOM-E010", 7},
  };
  for (const auto& c : cases) {
    const auto plan = parse(c.text, "mine.yaml");
    ASSERT_FALSE(plan) << c.name;
    std::string all;
    bool found = false;
    for (const auto& problem : plan.error()) {
      all += fmt::format("{} {} {}\n", problem.where(), problem.code, problem.cause);
      found |= problem.code == c.code && problem.line == c.line;
      EXPECT_FALSE(problem.fix.empty()) << problem.cause;
      EXPECT_EQ(problem.file, "mine.yaml");
    }
    EXPECT_TRUE(found) << c.name << ": wanted " << c.code << " in line " << c.line << "\n" << c.text << all;
  }
  const auto error = load(drill(write + kill), "mine.yaml").error();
  EXPECT_EQ(error.where, "mine.yaml:5:3");
  EXPECT_EQ(error.id, "DOM-E801");
  EXPECT_THAT(error.what, testing::HasSubstr("and 1 more"));
}

Scene three() {
  return {"us", "us-east-1", "us-east-1", "eu-central-1", {"us-east-1", "eu-central-1", "eu-west-1"}, {}};
}

TEST(Places, MeanSitesOfTheScene) {
  const struct {
    const char* place;
    std::vector<std::string> want;
  } cases[] = {
      {"owner", {"us-east-1"}},     {"standby", {"eu-central-1"}}, {"other", {"eu-central-1"}},
      {"minority", {"eu-west-1"}},  {"clients", {"host"}},         {"majority", {"eu-west-1", "eu-central-1"}},
      {"eu-west-1", {"eu-west-1"}},
  };
  for (const auto& c : cases) EXPECT_EQ(*sites_at(three(), c.place), c.want) << c.place;
  EXPECT_EQ(*sites_at(three(), "everybody", "us-east-1"),
            (std::vector<std::string>{"host", "eu-central-1", "eu-west-1"}));
  EXPECT_EQ(sites_at(three(), "mars").error().id, "DOM-E804");
  Scene voters = three();
  voters.sites = {"us-east-1", "eu-central-1", "eu-north-1"};
  voters.voters = {"eu-north-1"};
  voters.standby = "";
  EXPECT_EQ(*sites_at(voters, "minority"), std::vector<std::string>{"eu-north-1"});
  EXPECT_FALSE(sites_at(voters, "standby"));
}

TEST(DrillFiles, AreReadSayWhatTheyDoAndUndoIt) {
  std::set<Act> used;
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(kRoot / "drills")) {
    ++files;
    const auto plan = parse(read_file(entry.path()).value(), entry.path().string());
    ASSERT_TRUE(plan) << plan.error().front().where() << " " << plan.error().front().cause;
    const std::string name = plan->name + (plan->kind.empty() ? "" : "-" + plan->kind);
    EXPECT_EQ(entry.path().stem().string(), name) << "a drill is found by its file's name";
    const std::string words = explain(*plan, three());
    for (const Step& step : plan->steps) {
      used.insert(step.act);
      if (kind_of(step.act).fault) {
        EXPECT_THAT(explain(step, three()), testing::HasSubstr("Undone by"));
      }
    }
    EXPECT_THAT(words, testing::HasSubstr("us-east-1"));
    EXPECT_THAT(words, testing::HasSubstr("What must hold:\n  "));
  }
  EXPECT_GE(files, 11U);
  EXPECT_EQ(used.size(), step_kinds().size()) << "a step that no drill uses is not tried";
}

TEST(Explain, SaysEachStepInWords) {
  const Plan plan = parsed(read_file(kRoot / "drills/region-loss-cut.yaml").value());
  EXPECT_EQ(explain(plan, three()),
            R"(region-loss cut: The region that owns the residency is cut off with half of the clients inside.

us is owned by us-east-1. 20 clients, each a tenant of its own, write 500 orders a second, half of them inside us-east-1 (owner).

 1. Clients write for 3 s.
 2. Nothing crosses from us-east-1 (owner) to its clients, eu-central-1, eu-west-1 (everybody), nor back any more. Undone by healing the link.
 3. Waits until a region other than us-east-1 serves us.
 4. Waits until clients are served steadily again (three seconds in a row, 99 % within a second).
 5. Clients stop; each write gets its outcome; every marker is read back at whoever owns it then.
 6. Every fault is undone, the last one first.
 7. Waits until every copy in us-east-1 (owner) follows its owner again; what only it had is counted.

What must hold:
  no acknowledged writes lost (neither readable nor salvaged)
  RTO p50 at most 7 s
  RTO p99 at most 10 s
  RPO at most the lease's ttl

It is due every 30 days.

A drill that is killed half-way is undone by its lab, which holds every fault for the drill's process.
)");
}

TEST(DrillsPage, HasEveryStepAndEveryDrill) {
  const std::string page = read_file(kRoot / "docs/drills.md").value();
  for (const StepKind& kind : step_kinds())
    EXPECT_NE(page.find(fmt::format("| `{}` |", kind.name)), page.npos) << kind.name;
  for (const auto& entry : fs::directory_iterator(kRoot / "drills"))
    EXPECT_NE(page.find("`" + entry.path().stem().string() + "`"), page.npos) << entry.path();
}

}  // namespace
}  // namespace domicile::drills
