#include "core/authority/precheck.hpp"

#include <gtest/gtest.h>

namespace domicile::authority {
namespace {

struct Case {
  Rules rules{"eu", "eu-central-1", {"eu-west-1"}, 10 * kSecond};
  Record record{"eu-central-1", 7, Mode::serving, "s7", "eu-west-1", "eu-central-1", Cause::planned};
  TargetCopy target{"", {Copy::State::following, "eu-central-1", 7, {}}, true, "", 80 * kMillisecond};
  std::vector<Holder> holders;
  bool terminate = false;
  Result<std::vector<std::string>> ask() const {
    return precheck({rules, record, "eu-west-1", target, holders, terminate});
  }
};

TEST(Precheck, LetsASwitchGoAheadAndNamesWhoMayHoldIt) {
  Case c;
  ASSERT_TRUE(c.ask());
  EXPECT_TRUE(c.ask()->empty());
  c.holders = {{4711, 42 * kSecond, "shop"}, {12, 1500 * kMillisecond, "batch"}};
  ASSERT_TRUE(c.ask());
  EXPECT_EQ(
      c.ask()->at(0),
      "open transactions on tenant tables: pid 4711 (shop, 42.0 s), pid 12 (batch, 1.5 s); the switch rolls back if "
      "they hold the fence (--terminate ends them)");
  c.terminate = true;
  EXPECT_NE(c.ask()->at(0).find("will be ended"), std::string::npos);
}

TEST(Precheck, WarnsOfSalvageThatCannotBeWrittenAnyMoreOnceItsKeeperOwns) {
  Case c;
  c.target.salvage_open = 3;
  ASSERT_TRUE(c.ask());
  ASSERT_EQ(c.ask()->size(), 1U);
  EXPECT_EQ(c.ask()->at(0),
            "eu-west-1 keeps 3 salvaged rows of eu that nobody has decided about; once it owns it they can only be "
            "looked at: domicile salvage apply or discard there first");
}

TEST(Precheck, RefusesATargetThatIsNotKnownToBeClose) {
  struct Bad {
    const char* says;
    const char* code;
    void (*change)(Case&);
  };
  const Bad bad[] = {
      {"its copy is unknown: no answer", "DOM-E204", [](Case& c) { c.target.unknown = "no answer"; }},
      {"its copy is resync: lost slot", "DOM-E204",
       [](Case& c) { c.target.copy.state = Copy::State::resync, c.target.copy.why = "lost slot"; }},
      {"does not follow eu-central-1 at epoch 7 (it is none)", "DOM-E204", [](Case& c) { c.target.copy = {}; }},
      {"(it is following, us-east-1 at epoch 7)", "DOM-E204", [](Case& c) { c.target.copy.source = "us-east-1"; }},
      {"(it is following, eu-central-1 at epoch 6)", "DOM-E204", [](Case& c) { c.target.copy.epoch = 6; }},
      {"(it is stopped", "DOM-E204", [](Case& c) { c.target.copy.state = Copy::State::stopped; }},
      {"its first rows are not complete", "DOM-E204", [](Case& c) { c.target.complete = false; }},
      {"its link: the subscription is gone", "DOM-E204",
       [](Case& c) { c.target.trouble = "the subscription is gone"; }},
      {"its lag is unknown", "DOM-E204", [](Case& c) { c.target.lag.reset(); }},
      {"lags by 10001 ms, the bound is the rpo of 10000 ms", "DOM-E204",
       [](Case& c) { c.target.lag = 10'001 * kMillisecond; }},
      {"the schemas differ: app.orders is missing here", "DOM-E205",
       [](Case& c) { c.target.schema_differs = "app.orders is missing here"; }},
      {"its lag is unknown; the schemas differ", "DOM-E205",
       [](Case& c) { c.target.lag.reset(), c.target.schema_differs = "x"; }},
  };
  for (const auto& each : bad) {
    Case c;
    each.change(c);
    const auto answer = c.ask();
    ASSERT_FALSE(answer) << each.says;
    EXPECT_EQ(answer.error().kind, Kind::unsafe) << each.says;
    EXPECT_EQ(answer.error().id, each.code) << each.says;
    EXPECT_NE(answer.error().what.find(each.says), std::string::npos) << answer.error().what;
  }
}

}  // namespace
}  // namespace domicile::authority
