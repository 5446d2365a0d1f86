#include "prove/judge.hpp"

#include <gtest/gtest.h>

#include "census/plant.hpp"

namespace domicile::prove {
namespace {

const census::Canary kCanary{"gateway.host", "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5"};

Attempt attempt() {
  Attempt out;
  out.id = "gateway.host";
  out.what = "a host";
  out.rules = {"host_is_not_sni", "DM001"};
  return out;
}

TEST(Judge, OnlyARuleThatIsThereForItRefuses) {
  const std::string value = kCanary.value;
  const struct {
    const char* name;
    Outcome outcome;
    Verdict verdict;
    bool held;  // the canary was in what came back
  } cases[] = {
      {"its rule", refused_by("host_is_not_sni", "e-1"), Verdict::refused, false},
      {"its other rule", refused_by("DM001"), Verdict::refused, false},
      {"lawful by its rule", lawful_by("DM001"), Verdict::lawful, false},
      {"lawful by another rule", lawful_by("reduced"), Verdict::unknown, false},
      {"lawful, with the canary", lawful_by("DM001", value), Verdict::passed, true},
      {"another rule", refused_by("23505"), Verdict::unknown, false},
      {"a rule without a name", refused_by(""), Verdict::unknown, false},
      {"nobody answered", in_trouble("connection refused"), Verdict::unknown, false},
      {"nothing refused it", went_through("fine"), Verdict::passed, false},
      {"nothing at all", Outcome{}, Verdict::passed, false},
      {"an answer with the canary", went_through("x" + value), Verdict::passed, true},
      {"a refusal that holds the canary", refused_by("DM001", "", "no: " + value), Verdict::passed, true},
      {"trouble that holds the canary", {false, false, "", "", value + value, "broken"}, Verdict::passed, true},
      {"the canary in base64", refused_by("DM001", "", census::to_base64("  " + value + "  ")), Verdict::passed, true},
      {"the canary in hex", refused_by("DM001", "", census::to_hex(value)), Verdict::passed, true},
      {"half of the canary", refused_by("DM001", "", value.substr(0, 15)), Verdict::refused, false},
  };
  for (const auto& c : cases) {
    const Judged judged = judge(attempt(), c.outcome, kCanary);
    EXPECT_EQ(judged.verdict, c.verdict) << c.name << ": " << judged.why;
    EXPECT_EQ(judged.bytes >= census::kCanaryLength, c.held) << c.name;
    EXPECT_EQ(judged.why.empty(), holds(c.verdict)) << c.name;
  }
}

TEST(Judge, NeverTellsTheCanary) {
  for (const Outcome& outcome :
       {refused_by("rule " + kCanary.value), in_trouble("met " + kCanary.value + " and " + kCanary.value),
        went_through(kCanary.value)}) {
    const Judged judged = judge(attempt(), outcome, kCanary);
    EXPECT_EQ(dump(json_of(judged)).find(kCanary.value), std::string::npos) << dump(json_of(judged));
  }
}

TEST(Judge, IsReadBackAsItWasWritten) {
  const Judged judged = judge(attempt(), refused_by("host_is_not_sni", "e-17"), kCanary);
  const Judged lawful = judge(attempt(), lawful_by("DM001"), kCanary);
  for (const Judged& each : {judged, lawful}) {
    const auto again = judged_of(json_of(each));
    ASSERT_TRUE(again) << render(again.error());
    EXPECT_EQ(*again, each);
  }
  for (const char* broken : {R"({})", R"({"id":"x","layer":"cellar","verdict":"refused"})",
                             R"({"id":"x","layer":"gateway","verdict":"perhaps"})", R"([])"})
    EXPECT_FALSE(judged_of(*parse_json(broken, "test"))) << broken;
}

}  // namespace
}  // namespace domicile::prove
