#include "gate/protocol/rows.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace domicile::gate {
namespace {

const LinkTable kOrders{"app", "orders", "residency", {"tenant_id", "residency", "id"}};
const LinkTable kTenants{"domicile", "tenant", "", {"tenant_id", "residency", "tombstone"}};

std::string verdict(const LinkTable& table, std::string_view lines) {
  const auto judged = judge_rows("us", table, lines);
  if (const auto* wrong = std::get_if<Violation>(&judged)) return std::string(name_of(wrong->rule));
  return std::to_string(std::get<std::uint64_t>(judged));
}

TEST(FirstRows, PassWhenEachIsOfTheResidencyAndHasTheLinksColumns) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "0"},
      {"t\tus\t1\n", "1"},
      {"t\tus\t1\nt\\tu\tus\t\\N\n", "2"},
      {"t\tus\t1", "message"},
      {"\n", "shape"},
      {"t\tus\n", "shape"},
      {"t\tus\t1\tname@example.org\n", "shape"},
      {"t\teu\t1\n", "residency"},
      {"t\t\\N\t1\n", "residency"},
      {"us\tus \t1\n", "residency"},
      {"t\tus\t1\nus\teu\tus\n", "residency"},
  };
  for (const auto& [lines, want] : cases) EXPECT_EQ(verdict(kOrders, lines), want) << lines;
  EXPECT_EQ(verdict(kTenants, "t\teu\tf\n"), "1") << "the directory names residencies as data";
  EXPECT_EQ(verdict({"app", "orders", "residency", {"id"}}, "1\n"), "residency-column");
}

TEST(FirstRows, OfOtherColumnsThanTheLinksAreRefusedThoughTheyAreAsMany) {
  const std::pair<std::vector<std::string>, std::string_view> cases[] = {
      {{"tenant_id", "residency", "id"}, ""},
      {{"tenant_id", "residency", "email"}, "column"},
      {{"email", "residency", "id"}, "column"},
      {{"tenant_id", "residency", "id", "email"}, "column"},
      {{"id", "residency", "tenant_id"}, "shape"},
      {{"tenant_id", "residency"}, "shape"},
      {{"tenant_id", "residency", "id", "id"}, "shape"},
      {{}, "shape"},
  };
  for (const auto& [columns, want] : cases) {
    const auto wrong = judge_columns(kOrders, columns);
    EXPECT_EQ(wrong ? name_of(wrong->rule) : "", want) << columns.size();
  }
}

TEST(FirstRows, AViolationNeverNamesAValue) {
  const auto judged = judge_rows("us", kOrders, "canary\tcanary\tcanary\n");
  EXPECT_EQ(std::get<Violation>(judged).what.find("canary"), std::string::npos);
}

RC_GTEST_PROP(FirstRowsProperty, OneRowOfAnotherResidencyAmongManyIsFound, ()) {
  const auto before = *rc::gen::inRange<std::uint64_t>(0, 50), after = *rc::gen::inRange<std::uint64_t>(0, 50);
  std::string lines;
  for (std::uint64_t i = 0; i < before; ++i) lines += "t\tus\t1\n";
  RC_ASSERT(verdict(kOrders, lines) == std::to_string(before));
  lines += "us\teu\tus\n";
  for (std::uint64_t i = 0; i < after; ++i) lines += "t\tus\t1\n";
  RC_ASSERT(verdict(kOrders, lines) == "residency");
}

}  // namespace
}  // namespace domicile::gate
