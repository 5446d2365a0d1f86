#include "gate/protocol/check.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "gate/protocol/pgoutput_bytes.hpp"

namespace domicile::gate {
namespace {

using namespace bytes;

// The reduced link of EU orders into the US: no customer's name or address.
LinkRule reduced() {
  return {"domicile_eu_eu_central_1_us_east_1",
          "eu",
          {{"app", "orders", "residency", {"residency", "tenant_id", "id", "amount"}},
           {"domicile", "marker", "residency", {"residency", "clock_us", "epoch", "lsn", "sequences"}},
           {"domicile", "tenant", "", {"tenant_id", "residency", "tombstone"}}}};
}

const std::vector<std::string> kColumns = {"residency", "tenant_id", "id", "amount"};

// Looks at all of them; the rule that the last one breaks, "" for none. What comes before must pass.
std::string last_of(const std::vector<std::string>& messages) {
  Check check(reduced());
  std::optional<Violation> seen;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    seen = check.look(messages[i]);
    EXPECT_TRUE(!seen || i + 1 == messages.size()) << i << ": " << seen->what;
  }
  return seen ? std::string(name_of(seen->rule)) : "";
}

TEST(Check, ALawfulTransactionPassesAndIsCounted) {
  Check check(reduced());
  const auto row = insert(1, {"eu", "t1", "1", "7"});
  for (const auto& message : {begin(), relation(1, "app", "orders", kColumns), row, update(1, {"eu", "t1", "1", "8"}),
                              update(1, 'K', {"eu", kNull, "1", kNull}, {"eu", "t1", "2", "8"}),
                              removal(1, 'K', {"eu", kNull, "2", kNull}), commit(90, 100)})
    EXPECT_FALSE(check.look(message));
  EXPECT_EQ(check.committed(), 100u);
  EXPECT_FALSE(check.in_transaction());
  EXPECT_EQ(check.passed().at("app.orders").rows, 4u);
  EXPECT_GT(check.passed().at("app.orders").bytes, row.size());
}

TEST(Check, ATableWithoutResidencyPassesWhole) {
  EXPECT_EQ(last_of({begin(), relation(3, "domicile", "tenant", {"tenant_id", "residency", "tombstone"}),
                     insert(3, {"t1", "us", "f"})}),
            "");
}

TEST(Check, WhatDoesNotFitIsNamed) {
  const auto orders = relation(1, "app", "orders", kColumns);
  const std::vector<std::string> good = {"eu", "t1", "1", "7"};
  const struct {
    const char* story;
    std::vector<std::string> messages;
    const char* rule;
  } cases[] = {
      {"no message", {""}, "message"},
      {"an unknown type", {"x"}, "message"},
      {"cut short", {begin().substr(0, 9)}, "message"},
      {"something behind it", {begin() + "x"}, "message"},
      {"a row cut short", {begin(), orders, insert(1, good).substr(0, 20)}, "message"},
      {"a row that says it is huge",
       {begin(), orders, "I" + number(1, 4) + "N" + number(1, 2) + "t" + number(~0U, 4)},
       "message"},
      {"an unknown kind of cell", {begin(), orders, "I" + number(1, 4) + "N" + number(1, 2) + "x"}, "message"},
      {"a delete without an old row", {begin(), orders, "D" + number(1, 4) + "N" + tuple(good)}, "message"},
      {"a streamed transaction", {"S" + number(7, 4) + number(1, 1)}, "kind"},
      {"a prepared transaction", {begin(), "P"}, "kind"},
      {"a logical message", {begin(), "M"}, "kind"},
      {"a begin inside", {begin(), begin()}, "order"},
      {"a commit alone", {commit()}, "order"},
      {"an origin alone", {"O" + number(1, 8) + text("x")}, "order"},
      {"a row after its commit", {begin(), orders, commit(), insert(1, good)}, "order"},
      {"another table", {begin(), relation(2, "app", "customers", {"residency"})}, "table"},
      {"the same name in another schema", {begin(), relation(2, "public", "orders", kColumns)}, "table"},
      {"a personal column", {begin(), relation(1, "app", "orders", {"residency", "id", "customer_email"})}, "column"},
      {"its residency twice", {begin(), relation(1, "app", "orders", {"residency", "residency"})}, "column"},
      {"without its residency", {begin(), relation(1, "app", "orders", {"tenant_id", "id"})}, "residency-column"},
      {"a row of an unknown table", {begin(), insert(1, good)}, "relation"},
      {"a column too many", {begin(), orders, insert(1, {"eu", "t1", "1", "7", "secret"})}, "shape"},
      {"a column too few", {begin(), orders, insert(1, {"eu", "t1", "1"})}, "shape"},
      {"binary", {begin(), orders, insert(1, {"eu", "t1", kBinary, "7"})}, "binary"},
      {"another residency", {begin(), orders, insert(1, {"us", "t1", "1", "7"})}, "residency"},
      {"a longer residency", {begin(), orders, insert(1, {"eu2", "t1", "1", "7"})}, "residency"},
      {"no residency", {begin(), orders, insert(1, {kNull, "t1", "1", "7"})}, "residency"},
      {"a residency that is not told", {begin(), orders, update(1, {kUnchanged, "t1", "1", "7"})}, "residency"},
      {"from another residency", {begin(), orders, update(1, 'K', {"us", kNull, "1", kNull}, good)}, "old-residency"},
      {"to another residency",
       {begin(), orders, update(1, 'K', {"eu", kNull, "1", kNull}, {"us", "t1", "1", "7"})},
       "residency"},
      {"whole, from another residency",
       {begin(), orders, update(1, 'O', {"us", "t1", "1", "7"}, good)},
       "old-residency"},
      {"another's delete", {begin(), orders, removal(1, 'K', {"us", kNull, "1", kNull})}, "old-residency"},
      {"a delete that shows no residency",
       {begin(), orders, removal(1, 'K', {kNull, kNull, "1", kNull})},
       "old-residency"},
      {"an old row with a column more", {begin(), orders, removal(1, 'O', {"eu", "t1", "1", "7", "secret"})}, "shape"},
      {"truncate", {begin(), orders, truncate({1})}, "truncate"},
      {"a table described anew, wrongly",
       {begin(), orders, relation(1, "app", "orders", {"residency", "customer_name"})},
       "column"},
  };
  for (const auto& c : cases) EXPECT_EQ(last_of(c.messages), c.rule) << c.story;
}

TEST(Check, WhatItSaysHoldsNoValue) {
  for (const auto& row : std::vector<std::vector<std::string>>{
           {"canary-residency", "canary-t", "1", "7"}, {"eu", "canary-t", kBinary, "7"}, {"eu", "canary-t", "1"}}) {
    Check check(reduced());
    ASSERT_FALSE(check.look(begin()));
    ASSERT_FALSE(check.look(relation(1, "app", "orders", kColumns)));
    const auto seen = check.look(insert(1, row));
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->what.find("canary"), std::string::npos) << seen->what;
  }
}

// Whatever comes: a row that passes has the link's residency and no column beyond its form.
RC_GTEST_PROP(Check, BytesAtRandomPassOnlyAsWhatTheyAre, ()) {
  Check check(reduced());
  RC_ASSERT(!check.look(begin()));
  RC_ASSERT(!check.look(relation(1, "app", "orders", kColumns)));
  auto message = *rc::gen::element(insert(1, {"eu", "t1", "1", "7"}),
                                   update(1, 'K', {"eu", kNull, "1", kNull}, {"eu", "t1", "1", "7"}),
                                   removal(1, 'K', {"eu", kNull, "1", kNull}));
  const auto at = *rc::gen::inRange<std::size_t>(1, message.size());
  message[at] = *rc::gen::arbitrary<char>();
  if (check.look(message)) return;
  const auto decoded = Decoder().decode(message);
  RC_ASSERT(bool(decoded));
  RC_ASSERT(message.find("eu") != std::string::npos);
}

}  // namespace
}  // namespace domicile::gate
