#include "core/salvage/salvage.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace domicile::salvage {
namespace {

using World = std::map<Key, Row>;

Key key(const std::string& id, const std::string& table = "app.orders") { return {table, {{"id", id}}}; }
Row row(const std::string& name) { return {{"id", "1"}, {"name", name}}; }
Change change(Did did, const std::string& id, const Row& after = {}, std::uint64_t lsn = 1) {
  return {did, key(id), after, lsn, static_cast<Micros>(lsn) * 1000};
}

// As PostgreSQL's own receiver would do it.
void replay(World& world, const Change& change) {
  if (change.did == Did::remove) {
    world.erase(change.key);
    return;
  }
  Row before;
  if (change.did == Did::update) {
    const auto was = change.was.value_or(change.key);
    before = world.at(was);
    world.erase(was);
  }
  for (const auto& [column, value] : change.row) before[column] = value;
  world[change.key] = before;
}

void apply(World& world, const Entry& entry) {
  if (entry.net == Net::came_and_went) return;
  if (entry.net == Net::removed) {
    world.erase(entry.key);
    return;
  }
  for (const auto& [column, value] : entry.row) world[entry.key][column] = value;
}

TEST(Condense, OneEntryForEachRowWithWhatItsChangesComeTo) {
  const auto entries = condense({change(Did::insert, "1", row("a"), 1), change(Did::update, "2", {{"name", "b"}}, 2),
                                 change(Did::update, "1", {{"name", "c"}}, 3), change(Did::remove, "3", {}, 4),
                                 change(Did::insert, "4", row("d"), 5), change(Did::remove, "4", {}, 6)});
  ASSERT_EQ(entries.size(), 4U);
  EXPECT_EQ(entries[0], (Entry{key("1"), Net::inserted, row("c"), 1, 3, 3000, 2}));
  EXPECT_EQ(entries[1], (Entry{key("2"), Net::updated, {{"name", "b"}}, 2, 2, 2000, 1}));
  EXPECT_EQ(entries[2], (Entry{key("3"), Net::removed, {}, 4, 4, 4000, 1}));
  EXPECT_EQ(entries[3], (Entry{key("4"), Net::came_and_went, {}, 5, 6, 6000, 2}));
}

TEST(Condense, ARowThatWasRemovedAndMadeAnewIsAnUpdateWithNothingOfTheOldOne) {
  const auto entries = condense({change(Did::update, "1", {{"name", "old"}, {"note", "x"}}), change(Did::remove, "1"),
                                 change(Did::insert, "1", row("new"))});
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].net, Net::updated);
  EXPECT_EQ(entries[0].row, row("new"));
}

TEST(Condense, ARowThatGetsAnotherKeyIsOneGoneAndOneCome) {
  auto renamed = change(Did::update, "2", row("a"));
  renamed.was = key("1");
  const auto entries = condense({renamed});
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].net, Net::removed);
  EXPECT_EQ(entries[0].key, key("1"));
  EXPECT_EQ(entries[1].net, Net::inserted);
  EXPECT_EQ(entries[1].key, key("2"));
}

TEST(Condense, TheSameKeyInAnotherTableIsAnotherRow) {
  auto other = change(Did::insert, "1", row("b"));
  other.key = key("1", "app.items");
  EXPECT_EQ(condense({change(Did::insert, "1", row("a")), other}).size(), 2U);
}

// Whatever was done to rows that the other side still has as they were, applying what it comes to gives the same.
RC_GTEST_PROP(Condense, ComesToTheSameAsAllChangesInTheirOrder, ()) {
  World base;
  for (const auto& id : *rc::gen::container<std::set<int>>(rc::gen::inRange(0, 6)))
    base[key(std::to_string(id))] = {{"name", "base"}, {"note", "base"}};
  World theirs = base, ours = base;
  std::vector<Change> changes;
  const int count = *rc::gen::inRange(0, 24);
  for (int i = 0; i < count; ++i) {
    const auto at = key(std::to_string(*rc::gen::inRange(0, 6)));
    const bool there = ours.contains(at);
    Change next{Did::insert, at, {}, static_cast<std::uint64_t>(i + 1)};
    if (there) next.did = *rc::gen::element(Did::update, Did::remove);
    if (next.did != Did::remove) next.row["name"] = std::to_string(i);
    if (next.did == Did::insert || (next.did == Did::update && *rc::gen::arbitrary<bool>()))
      next.row["note"] =
          *rc::gen::element(std::optional<std::string>(), std::optional<std::string>(std::to_string(-i)));
    replay(ours, next);
    changes.push_back(next);
  }
  for (const auto& entry : condense(changes)) {
    const auto found = theirs.find(entry.key);
    const Theirs seen{found == theirs.end() ? std::nullopt : std::optional<Row>(found->second)};
    RC_ASSERT(judge(entry, seen) != Verdict::conflict);  // nobody touched anything there
    apply(theirs, entry);
  }
  // A row that was made anew has none of its old columns; here each insert names all of them.
  RC_ASSERT(theirs == ours);
}

struct Case {
  const char* name;
  Net net;
  Row ours;
  Theirs theirs;
  Verdict verdict;
};

TEST(Judge, SetsEachRowAgainstTheNewOwners) {
  const Row a{{"name", "a"}}, b{{"name", "b"}}, a_and_more{{"name", "a"}, {"note", "n"}};
  const Case cases[] = {
      {"made here, unknown there", Net::inserted, a, {}, Verdict::missing},
      {"made here, the same made there", Net::inserted, a, {a, true}, Verdict::superseded},
      {"made here, another made there", Net::inserted, a, {b, true}, Verdict::conflict},
      {"made here, there untouched as another", Net::inserted, a, {b, false}, Verdict::conflict},
      {"made here, made and removed there", Net::inserted, a, {{}, true}, Verdict::conflict},
      {"changed here, untouched there", Net::updated, a, {b, false}, Verdict::missing},
      {"changed on both sides", Net::updated, a, {b, true}, Verdict::conflict},
      {"changed to the same on both sides", Net::updated, a, {a_and_more, true}, Verdict::superseded},
      {"changed here, removed there", Net::updated, a, {{}, true}, Verdict::conflict},
      {"changed here, never there", Net::updated, a, {{}, false}, Verdict::conflict},
      {"removed here, untouched there", Net::removed, {}, {a, false}, Verdict::missing},
      {"removed here, changed there", Net::removed, {}, {a, true}, Verdict::conflict},
      {"removed on both sides", Net::removed, {}, {{}, true}, Verdict::superseded},
      {"came and went here", Net::came_and_went, {}, {a, true}, Verdict::superseded},
      {"a column that is not there", Net::updated, {{"gone", "x"}}, {a, false}, Verdict::missing},
      {"NULL is a value",
       Net::updated,
       {{"name", std::nullopt}},
       {Row{{"name", std::nullopt}}, true},
       Verdict::superseded},
      {"NULL is not the empty string",
       Net::updated,
       {{"name", std::nullopt}},
       {Row{{"name", ""}}, true},
       Verdict::conflict},
  };
  for (const auto& c : cases) EXPECT_EQ(judge({key("1"), c.net, c.ours}, c.theirs), c.verdict) << c.name;
}

TEST(Deed, NothingIsAppliedThatNobodyAskedFor) {
  const Entry made{key("1"), Net::inserted, row("a"), 1, 1, 5000, 1};
  const Theirs none{}, other{row("b"), true, 4000}, later{row("b"), true, 5000};
  EXPECT_EQ(deed_of(made, none, Rule::take_ours, false), Deed::wait);
  EXPECT_EQ(deed_of(made, none, Rule::take_theirs, true), Deed::write) << "a rule is for conflicts";
  EXPECT_EQ(deed_of(made, other, Rule::ask, true), Deed::wait);
  EXPECT_EQ(deed_of(made, other, Rule::take_ours, false), Deed::write);
  EXPECT_EQ(deed_of(made, other, Rule::take_theirs, false), Deed::leave);
  EXPECT_EQ(deed_of(made, other, Rule::newer, false), Deed::write);
  EXPECT_EQ(deed_of(made, later, Rule::newer, false), Deed::leave) << "at the same instant the new owner's stands";
  const Entry gone{key("1"), Net::removed, {}, 1, 1, 5000, 1};
  EXPECT_EQ(deed_of(gone, other, Rule::take_ours, false), Deed::remove);
  EXPECT_EQ(deed_of(gone, none, Rule::take_ours, true), Deed::leave);
}

TEST(Rule, HasAName) {
  for (const Rule rule : {Rule::ask, Rule::take_ours, Rule::take_theirs, Rule::newer})
    EXPECT_EQ(rule_of(name_of(rule)), rule);
  EXPECT_EQ(rule_of("ours"), std::nullopt);
  EXPECT_EQ(name_of(Net::came_and_went), "came and went");
  EXPECT_EQ(name_of(Verdict::superseded), "superseded");
}

TEST(Salvage, RowsAndNamesAreReadBackAsTheyWereWritten) {
  const Row row{{"a", "1"}, {"b", std::nullopt}, {"c", "\"\\"}};
  EXPECT_EQ(*row_of(json_of(row)), row);
  for (const char* bad : {"1", "[]", R"({"a": 1})"}) EXPECT_FALSE(row_of(*parse_json(bad, "a test"))) << bad;
  for (const auto net : {Net::inserted, Net::updated, Net::removed, Net::came_and_went})
    EXPECT_EQ(net_of(name_of(net)), net);
  EXPECT_FALSE(net_of("gone"));
}

}  // namespace
}  // namespace domicile::salvage
