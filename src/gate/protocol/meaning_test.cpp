#include "gate/protocol/meaning.hpp"

#include <gtest/gtest.h>

#include "gate/protocol/check.hpp"
#include "gate/protocol/dialogue.hpp"

namespace domicile::gate {
namespace {

TEST(Meaning, EveryRuleHasOneAndSaysWhatToDo) {
  ASSERT_EQ(session_rules().size(), static_cast<std::size_t>(Refusal::ended) + 1);
  for (int rule = 0; rule <= static_cast<int>(Refusal::ended); ++rule)
    EXPECT_NE(session_rule(name_of(static_cast<Refusal>(rule))), nullptr) << rule;
  ASSERT_EQ(row_rules().size(), static_cast<std::size_t>(Rule::size) + 1);
  for (int rule = 0; rule <= static_cast<int>(Rule::size); ++rule)
    EXPECT_NE(row_rule(name_of(static_cast<Rule>(rule))), nullptr) << rule;
  for (const auto rules : {session_rules(), row_rules()})
    for (const Meaning& each : rules) EXPECT_FALSE(each.refuses.empty() || each.advice.empty()) << each.rule;
}

TEST(Meaning, TheRuleThatCutALinkIsFoundInItsSentence) {
  EXPECT_EQ(cutting_rule("domicile_us_a_b was cut by rule residency-column: column r of t is not in the stream"),
            row_rule("residency-column"));
  EXPECT_EQ(cutting_rule("domicile_us_a_b is held by rule column until a person has looked"), row_rule("column"));
  EXPECT_EQ(cutting_rule("no session here can be cancelled from outside"), nullptr);
  EXPECT_EQ(cutting_rule("cut by rule nonsense: x"), nullptr);
}

}  // namespace
}  // namespace domicile::gate
