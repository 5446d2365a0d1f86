#include "core/tenants/import.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace domicile::tenants {
namespace {

const std::set<std::string> kResidencies = {"eu", "us"};

TEST(Host, IsLowerCasedAndChecked) {
  EXPECT_EQ(host_of("Acme.Example.COM").value(), "acme.example.com");
  EXPECT_EQ(host_of("xn--bcher-kva.example").value(), "xn--bcher-kva.example");
  const std::string long_label(64, 'a');
  for (const std::string& bad :
       {std::string(), std::string("nodomain"), std::string("a..b"), std::string(".a.b"), std::string("a.b."),
        std::string("-a.b"), std::string("a-.b"), std::string("a.b-"), std::string("a_b.c"), std::string("a b.c"),
        std::string("10.0.0.1"), std::string("a.b:80"), std::string("b\xC3\xBC.de"), long_label + ".de",
        std::string("*.example.com"), std::string(260, 'a') + ".de"})
    EXPECT_FALSE(host_of(bad)) << bad;
}

TEST(Csv, ReadsQuotesAnyColumnOrderAndSeveralHosts) {
  const auto checked = check_csv(
      "\xEF\xBB\xBFhosts,tenant,residency\r\n\"A.example.com b.example.com\",acme,eu\r\n\r\nc.example.com,beta,us",
      kResidencies);
  ASSERT_TRUE(checked.problems.empty()) << checked.problems[0].cause;
  ASSERT_EQ(checked.entries.size(), 2u);
  EXPECT_EQ(checked.entries[0], (Entry{"acme", "eu", {"a.example.com", "b.example.com"}, 2}));
  EXPECT_EQ(checked.entries[1], (Entry{"beta", "us", {"c.example.com"}, 4}));
}

TEST(Csv, RefusesEachWrongFileWithLineAndCodeAndKeepsNothing) {
  const std::string head = "tenant,residency,hosts\n";
  const struct {
    const char* name;
    std::string text;
    const char* code;
    int line;
  } cases[] = {
      {"empty file", "", "DOM-T001", 0},
      {"no header", "acme,eu,a.example.com\n", "DOM-T001", 1},
      {"header lacks a column", "tenant,residency\n", "DOM-T001", 1},
      {"column twice", "tenant,tenant,hosts\n", "DOM-T001", 1},
      {"too few fields", head + "acme,eu\n", "DOM-T002", 2},
      {"too many fields", head + "acme,eu,a.example.com,x\n", "DOM-T002", 2},
      {"bad tenant", head + "a b,eu,a.example.com\n", "DOM-T003", 2},
      {"empty tenant", head + ",eu,a.example.com\n", "DOM-T003", 2},
      {"unknown residency", head + "ok,eu,ok.example.com\nacme,mars,a.example.com\n", "DOM-T004", 3},
      {"bad host", head + "acme,eu,a_b.example.com\n", "DOM-T005", 2},
      {"no host", head + "acme,eu,\n", "DOM-T006", 2},
      {"two residencies", head + "acme,eu,a.example.com\nacme,us,a.example.com\n", "DOM-T007", 3},
      {"one host for two", head + "acme,eu,a.example.com\nbeta,eu,A.EXAMPLE.com\n", "DOM-T008", 3},
      {"the same line twice", head + "acme,eu,a.example.com\nacme,eu,a.example.com\n", "DOM-T009", 3},
      {"two hosts in two lines", head + "acme,eu,a.example.com\nacme,eu,b.example.com\n", "DOM-T022", 3},
      {"open quote", head + "\"acme,eu,a.example.com\n", "DOM-T010", 2},
      {"quote inside", head + "ac\"me,eu,a.example.com\n", "DOM-T010", 2},
      {"endless line", head + std::string(70'000, 'a') + "\n", "DOM-T011", 2},
  };
  for (const auto& c : cases) {
    const auto checked = check_csv(c.text, kResidencies);
    ASSERT_FALSE(checked.problems.empty()) << c.name;
    EXPECT_EQ(checked.problems[0].code, c.code) << c.name;
    EXPECT_EQ(checked.problems[0].line, c.line) << c.name;
    EXPECT_TRUE(checked.entries.empty()) << c.name;
  }
}

RC_GTEST_PROP(CsvProperty, NoBytesBreakTheReaderAndWhatItTakesIsLawful, (const std::string& bytes)) {
  const auto checked = check_csv("tenant,residency,hosts\n" + bytes, kResidencies);
  for (const auto& entry : checked.entries) {
    RC_ASSERT(valid_tenant(entry.tenant));
    RC_ASSERT(!entry.hosts.empty());
  }
}

}  // namespace
}  // namespace domicile::tenants
