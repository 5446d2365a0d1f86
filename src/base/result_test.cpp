#include "base/result.hpp"

#include <gtest/gtest.h>

namespace domicile {
namespace {

Result<int> positive(int x) {
  if (x < 0) return fail(Kind::invalid_input, "negative", "use a positive number", "DOM-T001");
  return x;
}
Result<std::string> text(int x) {
  const int y = TRY(positive(x));
  return std::to_string(y);
}
Result<void> outer(int x) {
  auto r = text(x);
  if (!r) return wrap("cannot print", r.error());
  return {};
}

TEST(Result, TryPassesTheValueOn) { EXPECT_EQ(*text(3), "3"); }
TEST(Result, TryReturnsTheError) { EXPECT_EQ(text(-1).error().id, "DOM-T001"); }
TEST(Result, RenderShowsTheChainAndTheInnermostFix) {
  EXPECT_EQ(render(outer(-1).error()),
            "error [DOM-T001]: cannot print\n  because negative\n  fix: use a positive number");
}

}  // namespace
}  // namespace domicile
