#include "core/authority/decision.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "core/authority/copy.hpp"
#include "core/authority/most_advanced.hpp"

namespace domicile::authority {
namespace {

constexpr Micros kExpiry = 5'500 * kMillisecond;  // ttl + margin

// What region `b` sees of the residency `eu`: home a, standby b, serving at a in epoch 4, a's beat seen at 0.
struct World {
  Timing timing;
  Rules rules{"eu", "a", {"b"}};
  Local local{"b", 4, "a"};
  std::optional<Record> record = Record{"a", 4, Mode::serving, "s-4", "a", "a", Cause::bootstrap};
  std::map<std::string, Micros> last_life{{"a", 0}, {"b", 0}, {"c", 0}};
  std::set<std::string> without_beat = {};
  Micros record_seen = 0;
  Micros now = kSecond, wall_now = 1'000'000 * kSecond;
  std::string unreadable = {};

  World() {
    local.can_write = local.copy_complete = true;
    local.lag = 100 * kMillisecond;
    record->history = {{4, "a", {}}};
  }

  View view() const {
    View view;
    if (record) view.authorities["eu"] = {*record, to_text(*record)};
    if (!unreadable.empty()) view.unreadable["domicile/authority/eu"] = {unreadable, "{}"};
    for (const auto& [region, when] : last_life) {
      const Beat beat{"boot-" + region, 7, 1, {}};
      if (!without_beat.contains(region)) view.beats[region] = {beat, to_text(beat)};
    }
    return view;
  }

  // A person said yes to what is asked now, as the agent keeps it.
  void approve(const std::string& id) {
    local.approvals.push_back({id, "eu", to_text(*record), "a", view().beats.at("a").text});
  }

  void accept(const std::string& id) { local.approvals.push_back({id, "eu", to_text(*record)}); }

  Decision answer() const {
    const View view = this->view();
    Observed observed;
    for (const auto& [region, when] : last_life) observed.lives[region] = {"boot-" + region, 7, when};
    if (record) observed.sights["eu"] = {record->epoch, record->mode, record->switch_id, record->to, record_seen};
    return decide({timing, rules, local, view, observed, now, wall_now, "fresh"});
  }
};

World owner() {
  World w;
  w.local.region = "a";
  w.local.opened = 4;
  return w;
}
World expired() {
  World w;
  w.now = kExpiry;
  return w;
}
World draining(const std::string& to) {
  World w;
  w.record->mode = Mode::draining;
  w.record->to = to;
  w.record->cause = Cause::planned;
  w.record->switch_id = "s-5";
  return w;
}
World moving(const std::string& to, Cause cause) {
  World w = draining(to);
  w.record->mode = Mode::moving;
  w.record->epoch = 5;
  w.record->cause = cause;
  w.record->fence = Position{"1", 1, 10};
  return w;
}
World with(World w, const std::function<void(World&)>& change) {
  change(w);
  return w;
}

struct Row {
  const char* name;
  World world;
  Act act;
  const char* why;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }
class Decide : public testing::TestWithParam<Row> {};

TEST_P(Decide, As) {
  const Row& row = GetParam();
  const Decision d = row.world.answer();
  EXPECT_EQ(static_cast<int>(d.act), static_cast<int>(row.act)) << row.name << ": " << d.why;
  EXPECT_NE(d.why.find(row.why), std::string::npos) << row.name << ": " << d.why;
  EXPECT_EQ(d.swap.has_value(), d.act == Act::swap) << row.name;
  EXPECT_EQ(d.look_again.has_value(), d.act == Act::wait) << row.name;
  EXPECT_EQ(d.proposal.id.empty(), d.act != Act::ask) << row.name;
  if (!d.swap) return;
  // No swap ever lowers an epoch, opens anything by itself, or names another record than the one that was read.
  const Epoch before = row.world.record ? row.world.record->epoch : 0;
  EXPECT_GE(d.swap->next.epoch, before) << row.name;
  EXPECT_NE(static_cast<int>(d.swap->next.mode), static_cast<int>(Mode::serving)) << row.name;
  EXPECT_EQ(d.swap->next.switch_id, "fresh") << row.name;
  if (row.world.record) {
    EXPECT_EQ(d.swap->expected, to_text(*row.world.record)) << row.name;
  }
  EXPECT_FALSE(d.swap->next.fence) << row.name << ": only a planned switch has a fence";
}

const Row kWithoutRecord[] = {
    {"the home begins", with(owner(), [](World& w) { w.record.reset(), w.local.known_epoch = 0; }), Act::swap, "home"},
    {"a standby does not begin", with(World(), [](World& w) { w.record.reset(), w.local.known_epoch = 0; }),
     Act::nothing, "its home begins"},
    {"a home that cannot commit does not begin",
     with(owner(), [](World& w) { w.record.reset(), w.local.known_epoch = 0, w.local.can_write = false; }),
     Act::nothing, "does not commit"},
    {"a home whose disk knows an epoch does not begin again", with(owner(), [](World& w) { w.record.reset(); }),
     Act::nothing, "distrusted"},
    {"a record that cannot be parsed moves nothing", with(expired(), [](World& w) { w.unreadable = "unknown mode"; }),
     Act::nothing, "cannot be read"},
};

const Row kDistrusted[] = {
    {"the quorum is behind this disk", with(expired(), [](World& w) { w.local.known_epoch = 5; }), Act::nothing,
     "distrusted"},
    {"an owner does not renew from it", with(owner(), [](World& w) { w.local.known_epoch = 5; }), Act::nothing,
     "distrusted"},
    {"same epoch, another owner", with(expired(), [](World& w) { w.local.known_owner = "c"; }), Act::nothing,
     "distrusted"},
    {"moving to another target than the disk knows for that epoch",
     with(moving("b", Cause::automatic), [](World& w) { w.local.known_epoch = 5, w.local.known_owner = "c"; }),
     Act::nothing, "distrusted"},
    {"moving to the target that the disk knows",
     with(moving("b", Cause::automatic), [](World& w) { w.local.known_epoch = 5, w.local.known_owner = "b"; }),
     Act::open, ""},
    {"an epoch whose owner the disk does not know", with(owner(), [](World& w) { w.local.known_owner = ""; }),
     Act::renew, ""},
};

const Row kUnlawful[] = {
    {"an owner by record that may not own does not renew",
     with(owner(), [](World& w) { w.rules.home = "x", w.rules.standbys = {"y"}; }), Act::nothing, "may not own"},
    {"nor open it as a target", with(moving("b", Cause::automatic), [](World& w) { w.rules.standbys = {"c"}; }),
     Act::nothing, "may not own"},
    {"nor open it because a person said so", with(moving("b", Cause::planned), [](World& w) { w.rules.standbys = {}; }),
     Act::nothing, "may not own"},
};

const Row kOwner[] = {
    {"renews what it opened", owner(), Act::renew, "owner"},
    {"after a restart asks the sites", with(owner(), [](World& w) { w.local.opened.reset(); }), Act::reopen,
     "not yet opened"},
    {"an older epoch that it opened is not this one", with(owner(), [](World& w) { w.local.opened = 3; }), Act::reopen,
     "not yet opened"},
    {"a short trouble of the database keeps it",
     with(owner(), [](World& w) { w.local.can_write = false, w.now = 10 * kSecond - 1; }), Act::renew, ""},
    {"a long one gives it up", with(owner(), [](World& w) { w.local.can_write = false, w.now = 10 * kSecond; }),
     Act::swap, "giving it up"},
    {"one whose disk lacks what it told gives it up at once",
     with(owner(), [](World& w) { w.local.opened.reset(), w.local.behind = "old"; }), Act::swap, "old: giving it up"},
    {"an epoch that does not open for patience is given up",
     with(owner(), [](World& w) { w.local.opened.reset(), w.local.cannot_open_since = 0, w.now = 10 * kSecond; }),
     Act::swap, "could not open"},
    {"not before patience",
     with(owner(), [](World& w) { w.local.opened.reset(), w.local.cannot_open_since = 1, w.now = 10 * kSecond; }),
     Act::reopen, ""},
    {"its own expired life does not matter to itself", with(owner(), [](World& w) { w.now = 60 * kSecond; }),
     Act::renew, ""},
};

const Row kTakeOver[] = {
    {"a living owner is waited for", with(World(), [](World& w) { w.now = kExpiry - 1; }), Act::wait, "owned by a"},
    {"a dead one is taken over", expired(), Act::swap, "taking it over"},
    {"not where law does not allow it", with(expired(), [](World& w) { w.rules.standbys = {"c"}; }), Act::nothing,
     "no lawful target"},
    {"not with a copy that is no prefix", with(expired(), [](World& w) { w.local.resync = true; }), Act::nothing,
     "resync"},
    {"not with half a copy", with(expired(), [](World& w) { w.local.copy_complete = false; }), Act::nothing,
     "not complete"},
    {"not with a database that does not commit", with(expired(), [](World& w) { w.local.can_write = false; }),
     Act::nothing, "does not commit"},
    {"resync is not cured by an approval", with(expired(), [](World& w) { w.local.resync = true, w.approve("eu-5"); }),
     Act::nothing, "resync"},
    {"an unknown lag asks", with(expired(), [](World& w) { w.local.lag.reset(); }), Act::ask, "unknown"},
    {"a lag of the rpo is within it", with(expired(), [](World& w) { w.local.lag = 10 * kSecond; }), Act::swap, ""},
    {"a lag over the rpo asks", with(expired(), [](World& w) { w.local.lag = 10 * kSecond + 1; }), Act::ask, "rpo"},
    {"a residency that always asks", with(expired(), [](World& w) { w.rules.automatic = false; }), Act::ask, "asks"},
    {"a second automatic switch within the calm asks",
     with(expired(), [](World& w) { w.record->automatic_at = w.wall_now - 599 * kSecond; }), Act::ask,
     "a short while ago"},
    {"after the calm it goes by itself",
     with(expired(), [](World& w) { w.record->automatic_at = w.wall_now - 600 * kSecond; }), Act::swap, ""},
    {"a wall clock that went back asks",
     with(expired(), [](World& w) { w.record->automatic_at = w.wall_now + kSecond; }), Act::ask, "a short while ago"},
    {"no calm", with(expired(), [](World& w) { w.rules.calm = 0, w.record->automatic_at = w.wall_now; }), Act::swap,
     ""},
    {"approved in spite of an unknown lag", with(expired(), [](World& w) { w.local.lag.reset(), w.approve("eu-5"); }),
     Act::swap, ""},
    {"an approval of another epoch is none", with(expired(), [](World& w) { w.local.lag.reset(), w.approve("eu-4"); }),
     Act::ask, "unknown"},
    {"an owner that nobody looked at yet is not expired",
     with(expired(), [](World& w) { w.last_life.erase("a"), w.now = 1'000 * kSecond; }), Act::wait, "owned by a"},
    {"the home takes back from a dead standby",
     with(expired(), [](World& w) { w.local.region = "a", w.record->owner = "b", w.local.known_owner = "b"; }),
     Act::swap, "taking it over"},
};

// With rpo 0: the record says that `region` has everything of `epoch`.
World covered(World w, const std::string& region, Epoch epoch = 4) {
  w.rules.rpo = 0;
  w.record->covered = Covered{epoch, region};
  return w;
}
const Row kCovered[] = {
    {"a standby that has everything takes over", covered(expired(), "b"), Act::swap, "taking it over"},
    {"whatever its lag", with(covered(expired(), "b"), [](World& w) { w.local.lag = 60 * kSecond; }), Act::swap, ""},
    {"also where the lag is unknown", with(covered(expired(), "b"), [](World& w) { w.local.lag.reset(); }), Act::swap,
     ""},
    {"nobody has everything: it asks", with(expired(), [](World& w) { w.rules.rpo = 0, w.local.lag = 0; }), Act::ask,
     "does not say"},
    {"another one has everything: it asks", covered(expired(), "c"), Act::ask, "does not say"},
    {"of another epoch it means nothing", covered(expired(), "b", 3), Act::ask, "does not say"},
    {"approved it goes", with(covered(expired(), "c"), [](World& w) { w.approve("eu-5"); }), Act::swap, ""},
    {"not with a copy that is no prefix", with(covered(expired(), "b"), [](World& w) { w.local.resync = true; }),
     Act::nothing, "resync"},
    {"not while the owner lives", with(covered(World(), "b"), [](World& w) { w.now = kExpiry - 1; }), Act::wait, ""},
    {"of several it asks nobody whether he has more",
     with(covered(expired(), "b"),
          [](World& w) {
            w.rules.standbys = {"b", "c"};
          }),
     Act::swap, ""},
    {"one that lacks something compares as ever once approved",
     with(covered(expired(), "c"),
          [](World& w) {
            w.rules.standbys = {"b", "c"}, w.approve("eu-5");
          }),
     Act::compare_positions, ""},
    {"a residency that always asks", with(covered(expired(), "b"), [](World& w) { w.rules.automatic = false; }),
     Act::ask, "asks"},
    {"while it drains as well", with(covered(draining("c"), "b"), [](World& w) { w.now = kExpiry; }), Act::swap,
     "died while it drained"},
    {"not of the epoch before a fence",
     with(covered(moving("c", Cause::planned), "b"), [](World& w) { w.now = kExpiry; }), Act::ask, "does not say"},
    {"with another rpo it means nothing",
     with(covered(expired(), "b"), [](World& w) { w.rules.rpo = kSecond, w.local.lag = 2 * kSecond; }), Act::ask,
     "rpo"},
    {"an owner with nothing to say renews", covered(owner(), "b"), Act::renew, ""},
    {"one whose standby does not confirm says nothing where writes wait",
     with(covered(owner(), "b"), [](World& w) { w.local.cover.lost = true; }), Act::renew, ""},
};

World of_two(std::optional<bool> ahead, Micros now) {
  World w = expired();
  w.rules.standbys = {"b", "c"};
  w.local.most_advanced = ahead;
  w.now = now;
  return w;
}
const Row kOfSeveral[] = {
    {"several standbys compare first", of_two({}, kExpiry), Act::compare_positions, ""},
    {"the most advanced goes", of_two(true, kExpiry), Act::swap, "taking it over"},
    {"the other waits for its turn", of_two(false, kExpiry + 2 * kSecond - 1), Act::wait, "goes first"},
    {"and goes when the first did not", of_two(false, kExpiry + 2 * kSecond), Act::swap, ""},
    {"its turn after a giving up counts from the record",
     with(of_two(false, kExpiry + 2 * kSecond - 1),
          [](World& w) { w.record->mode = Mode::draining, w.record->to = "", w.last_life["a"] = 60 * kSecond; }),
     Act::wait, "goes first"},
};

const Row kDraining[] = {
    {"the owner drains", with(draining("b"), [](World& w) { w.local.region = "a", w.local.opened = 4; }), Act::drain,
     "planned switch to b"},
    {"the owner goes back when it takes too long",
     with(draining("b"), [](World& w) { w.local.region = "a", w.now = 10 * kSecond; }), Act::swap, "did not end"},
    {"the owner goes back when its database died for patience",
     with(draining("b"),
          [](World& w) {
            w.local.region = "a", w.local.can_write = false, w.record_seen = 9 * kSecond, w.now = 10 * kSecond;
          }),
     Act::swap, "did not end"},
    {"the target waits for the owner", draining("b"), Act::wait, "drains"},
    {"the target takes over from an owner that died", with(draining("b"), [](World& w) { w.now = kExpiry; }), Act::swap,
     "died while it drained"},
    {"a standby that is no target does as well", with(draining("c"), [](World& w) { w.now = kExpiry; }), Act::swap,
     "died while it drained"},
    {"nobody cuts in while the owner lives",
     with(draining("b"), [](World& w) { w.now = 60 * kSecond, w.last_life["a"] = 59 * kSecond; }), Act::wait, "drains"},
    {"given up: the owner waits for its database",
     with(draining(""), [](World& w) { w.local.region = "a", w.local.can_write = false; }), Act::nothing, "given up"},
    {"given up: the owner takes it back", with(draining(""), [](World& w) { w.local.region = "a"; }), Act::swap,
     "commits again"},
    {"given up: others wait ttl + margin", with(draining(""), [](World& w) { w.now = kExpiry - 1; }), Act::wait,
     "gave it up"},
    {"given up: then take it although the owner beats",
     with(draining(""), [](World& w) { w.now = kExpiry, w.last_life["a"] = kExpiry; }), Act::swap,
     "did not take it back"},
    {"given up with a disk of the past: the standbys go first",
     with(draining(""), [](World& w) { w.local.region = "a", w.local.behind = "old", w.now = kExpiry; }), Act::wait,
     "old"},
    {"given up with a disk of the past: then a person is asked",
     with(draining(""), [](World& w) { w.local.region = "a", w.local.behind = "old", w.now = 60 * kSecond; }), Act::ask,
     "accept"},
    {"given up with a disk of the past: accepted",
     with(draining(""),
          [](World& w) { w.local.region = "a", w.local.behind = "old", w.now = 60 * kSecond, w.accept("eu-5"); }),
     Act::swap, "accepts"},
    {"a disk of the past ends a planned switch",
     with(draining("b"), [](World& w) { w.local.region = "a", w.local.behind = "old"; }), Act::swap, "giving it up"},
    {"given up: not with a copy in resync",
     with(draining(""), [](World& w) { w.now = kExpiry, w.local.resync = true; }), Act::nothing, "resync"},
};

const Row kMoving[] = {
    {"the target opens", moving("b", Cause::automatic), Act::open, "target"},
    {"the target opens however late", with(moving("b", Cause::planned), [](World& w) { w.now = 600 * kSecond; }),
     Act::open, ""},
    {"a target whose copy turned out to be no prefix does not open",
     with(moving("b", Cause::planned), [](World& w) { w.local.resync = true; }), Act::nothing, "resync"},
    {"it did not open: its owner does not take it back with a disk of the past",
     with(moving("b", Cause::automatic),
          [](World& w) { w.local.region = "a", w.local.behind = "old", w.local.resync = true, w.now = 600 * kSecond; }),
     Act::ask, "accept"},
    {"others wait for the target", with(moving("c", Cause::automatic), [](World& w) { w.now = kExpiry - 1; }),
     Act::wait, "moving to c"},
    {"a dead target is replaced by the next lawful standby",
     with(moving("c", Cause::automatic), [](World& w) { w.now = kExpiry; }), Act::swap, "did not open"},
    {"a living target that is too slow as well",
     with(moving("c", Cause::automatic), [](World& w) { w.now = 10 * kSecond, w.last_life["c"] = w.now; }), Act::swap,
     "did not open"},
    {"a living target has until patience",
     with(moving("c", Cause::automatic), [](World& w) { w.now = 10 * kSecond - 1, w.last_life["c"] = w.now; }),
     Act::wait, "moving to c"},
    {"a planned one goes back to a living owner: others wait",
     with(moving("c", Cause::planned), [](World& w) { w.now = 10 * kSecond, w.last_life["a"] = w.now; }), Act::wait,
     "its owner takes it back"},
    {"a planned one whose owner died as well goes on",
     with(moving("c", Cause::planned), [](World& w) { w.now = 10 * kSecond; }), Act::swap, "did not open"},
    {"the owner takes it back",
     with(moving("c", Cause::planned), [](World& w) { w.local.region = "a", w.now = kExpiry; }), Act::swap,
     "did not open"},
    {"the owner does not before the time",
     with(moving("c", Cause::planned), [](World& w) { w.local.region = "a", w.now = kExpiry - 1; }), Act::wait, ""},
    {"an owner that cannot commit does not",
     with(moving("c", Cause::planned),
          [](World& w) { w.local.region = "a", w.now = kExpiry, w.local.can_write = false; }),
     Act::nothing, "does not commit"},
    {"an owner in resync does not, and says so",
     with(moving("c", Cause::planned), [](World& w) { w.local.region = "a", w.now = kExpiry, w.local.resync = true; }),
     Act::nothing, "resync"},
    {"an adopted target waits until every older lease is over",
     with(moving("b", Cause::adopted), [](World& w) { w.now = kExpiry - 1; }), Act::wait, "older lease"},
    {"and opens then", with(moving("b", Cause::adopted), [](World& w) { w.now = kExpiry; }), Act::open, ""},
    {"an adopted target that waits so long is not overtaken, nor where its life seems over",
     with(moving("c", Cause::adopted), [](World& w) { w.now = 10 * kSecond + kExpiry - 1; }), Act::wait, "moving to c"},
    {"only once it had its patience behind that",
     with(moving("c", Cause::adopted), [](World& w) { w.now = 10 * kSecond + kExpiry; }), Act::swap, "did not open"},
    {"an adopted target is a person's choice, resync or not",
     with(moving("b", Cause::adopted), [](World& w) { w.now = kExpiry, w.local.resync = true; }), Act::open, ""},
};

std::string row_name(const testing::TestParamInfo<Row>& info) {
  std::string name;
  for (const char c : std::string(info.param.name)) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(WithoutRecord, Decide, testing::ValuesIn(kWithoutRecord), row_name);
INSTANTIATE_TEST_SUITE_P(Distrusted, Decide, testing::ValuesIn(kDistrusted), row_name);
INSTANTIATE_TEST_SUITE_P(Unlawful, Decide, testing::ValuesIn(kUnlawful), row_name);
INSTANTIATE_TEST_SUITE_P(Owner, Decide, testing::ValuesIn(kOwner), row_name);
INSTANTIATE_TEST_SUITE_P(TakeOver, Decide, testing::ValuesIn(kTakeOver), row_name);
INSTANTIATE_TEST_SUITE_P(Covered, Decide, testing::ValuesIn(kCovered), row_name);
INSTANTIATE_TEST_SUITE_P(OfSeveral, Decide, testing::ValuesIn(kOfSeveral), row_name);
INSTANTIATE_TEST_SUITE_P(Draining, Decide, testing::ValuesIn(kDraining), row_name);
INSTANTIATE_TEST_SUITE_P(Moving, Decide, testing::ValuesIn(kMoving), row_name);

// An owner's first word about a standby changes nothing else of the record. One that it takes back takes an epoch, in
// which the old standby's name stands until that is open.
TEST(DecideCover, AnOwnerSaysWhoHasEverything) {
  struct {
    const char* name;
    World world;
    const char* says;  // null: nothing; empty: the word of before ends
  } cases[] = {
      {"proven", with(owner(), [](World& w) { w.rules.rpo = 0, w.local.cover.proven = "b"; }), "b"},
      {"another one takes its place", with(covered(owner(), "b"), [](World& w) { w.local.cover.proven = "c"; }), ""},
      {"of an older epoch", with(covered(owner(), "b", 3), [](World& w) { w.local.cover.proven = "b"; }), "b"},
      {"still proven", with(covered(owner(), "b"), [](World& w) { w.local.cover.proven = "b"; }), nullptr},
      {"not proven any more, and not lost", covered(owner(), "b"), nullptr},
      {"lost, and writes wait", with(covered(owner(), "b"), [](World& w) { w.local.cover.lost = true; }), nullptr},
      {"lost, and it goes on", with(covered(owner(), "b"), [](World& w) { w.local.cover.lost = w.rules.go_on = true; }),
       ""},
      {"lost, but another one has everything",
       with(covered(owner(), "b"),
            [](World& w) { w.local.cover.lost = w.rules.go_on = true, w.local.cover.proven = "c"; }),
       ""},
      {"somebody took the wait away", with(covered(owner(), "b"), [](World& w) { w.local.cover.broken = true; }), ""},
      {"the rpo is another one now", with(covered(owner(), "b"), [](World& w) { w.rules.rpo = kSecond; }), ""},
      {"never where commits need not wait", with(owner(), [](World& w) { w.local.cover.proven = "b"; }), nullptr},
      {"not before this process has opened it",
       with(owner(), [](World& w) { w.rules.rpo = 0, w.local.cover.proven = "b", w.local.opened.reset(); }), nullptr},
  };
  for (const auto& c : cases) {
    const Decision d = c.world.answer();
    ASSERT_EQ(d.act == Act::swap, c.says != nullptr) << c.name << ": " << d.why;
    if (c.says == nullptr) continue;
    EXPECT_EQ(covered_by(d.swap->next), c.says) << c.name;
    EXPECT_EQ(d.swap->expected, to_text(*c.world.record)) << c.name;
    Record before = *c.world.record, after = d.swap->next;
    if (covered_by(after).empty()) {
      EXPECT_EQ(after.epoch, before.epoch + 1) << c.name;
      EXPECT_EQ(after.to, "a") << c.name;
      EXPECT_EQ(after.cause, Cause::takeback) << c.name;
      EXPECT_EQ(covered_until_open(*record_of(to_text(after))), "b") << c.name;
      EXPECT_EQ(to_text(serving_record(after, 0)).find("covered"), std::string::npos) << c.name;
    } else {
      before.covered.reset(), after.covered.reset();
      EXPECT_EQ(after, before) << c.name;
    }
  }
}

TEST(DecideSwap, ATakeoverComparesTheDeadOwnersBeat) {
  const Swap swap = *expired().answer().swap;
  EXPECT_EQ(swap.beat_of, "a");
  EXPECT_EQ(swap.expected_beat, to_text(Beat{"boot-a", 7, 1, {}}));
  EXPECT_EQ(swap.next.owner, "a") << "the last owner stays named until the target serves";
  EXPECT_EQ(swap.next.to, "b");
  EXPECT_EQ(swap.next.epoch, 5);
  EXPECT_EQ(swap.next.cause, Cause::automatic);
}

TEST(DecideSwap, AnOwnerThatNeverBeatMustStillHaveNoBeat) {
  World w = expired();
  w.without_beat = {"a"};
  const Swap swap = *w.answer().swap;
  EXPECT_EQ(swap.beat_of, "a");
  EXPECT_FALSE(swap.expected_beat);
}

TEST(DecideSwap, WhereTheRecordAloneDecidesNoBeatIsCompared) {
  EXPECT_EQ(with(draining(""), [](World& w) { w.now = kExpiry; }).answer().swap->beat_of, "");
  EXPECT_EQ(with(moving("c", Cause::automatic), [](World& w) { w.now = kExpiry; }).answer().swap->beat_of, "");
}

TEST(DecideSwap, AnApprovedOneSaysSo) {
  World w = expired();
  w.approve("eu-5");
  EXPECT_EQ(w.answer().swap->next.cause, Cause::approved);
}

TEST(DecideSwap, GoingBackCountsOnFromTheRecord) {
  const auto rollback =
      *with(draining("b"), [](World& w) { w.local.region = "a", w.now = 10 * kSecond; }).answer().swap;
  EXPECT_EQ(rollback.next.epoch, 5) << "from draining: epoch + 1";
  EXPECT_EQ(rollback.next.to, "a");
  EXPECT_EQ(rollback.next.cause, Cause::rollback);
  const auto later =
      *with(moving("c", Cause::planned), [](World& w) { w.local.region = "a", w.now = kExpiry; }).answer().swap;
  EXPECT_EQ(later.next.epoch, 6) << "from moving: epoch + 2 of the epoch that was left";
  EXPECT_EQ(later.next.to, "a");
  const auto takeback = *with(draining(""), [](World& w) { w.local.region = "a"; }).answer().swap;
  EXPECT_EQ(takeback.next.cause, Cause::takeback);
}

TEST(DecideSwap, GivingUpKeepsTheEpochAndNamesNoTarget) {
  const auto swap = *with(owner(), [](World& w) { w.local.can_write = false, w.now = 10 * kSecond; }).answer().swap;
  EXPECT_EQ(swap.next.mode, Mode::draining);
  EXPECT_EQ(swap.next.epoch, 4);
  EXPECT_EQ(swap.next.to, "");
}

TEST(ServingRecord, NamesTheTargetAndRemembersTheFence) {
  Record moving{"a", 5, Mode::moving, "s", "a", "b", Cause::planned, Position{"1", 1, 10}};
  moving.history = {{4, "a", {}}};
  const Record serving = serving_record(moving, 99);
  EXPECT_EQ(serving.owner, "b");
  EXPECT_EQ(serving.epoch, 5);
  EXPECT_EQ(serving.mode, Mode::serving);
  EXPECT_FALSE(serving.fence);
  EXPECT_EQ(serving.automatic_at, 0) << "a planned switch is no automatic one";
  EXPECT_EQ(serving.history, (std::vector<Opened>{{4, "a", {}}, {5, "b", Position{"1", 1, 10}}}));
}

TEST(ServingRecord, RemembersAfterATakeoverHowMuchTheNewOwnerHad) {
  const Position stood{"1", 1, 90};
  Record moving{"a", 5, Mode::moving, "s", "a", "b", Cause::automatic};
  moving.history = {{4, "a", {}}};
  const Record taken = serving_record(moving, 99, stood);
  EXPECT_EQ(taken.history.back(), (Opened{5, "b", {}, stood}));
  EXPECT_EQ(*record_of(to_text(taken)), taken);
  for (const Cause cause : {Cause::planned, Cause::adopted, Cause::broken_glass, Cause::rollback}) {
    moving.cause = cause;
    EXPECT_FALSE(serving_record(moving, 99, stood).history.back().base)
        << name_of(cause) << ": its fence says it, or nobody knows whose history this is";
  }
}

TEST(ServingRecord, RemembersAfterATakeoverWhatTheLostOwnerHadTold) {
  const Marker told{7, 95, 4};
  Record moving{"a", 5, Mode::moving, "s", "a", "b", Cause::automatic};
  moving.history = {{4, "a", {}}};
  const Record taken = serving_record(moving, 99, {}, told);
  EXPECT_EQ(taken.history.back().told, told);
  EXPECT_EQ(*record_of(to_text(taken)), taken);
  EXPECT_FALSE(serving_record(moving, 99, {}, Marker{7, 95, 3}).history.back().told) << "of an epoch before";
  moving.cause = Cause::planned;
  EXPECT_FALSE(serving_record(moving, 99, {}, told).history.back().told) << "its owner was asked";
}

TEST(ServingRecord, RemembersTheLastEpochsOnlyAndWhenItWentByItself) {
  Record moving{"a", 20, Mode::moving, "s", "a", "b", Cause::automatic};
  for (Epoch e = 12; e < 20; ++e) moving.history.push_back({e, "a", {}});
  const Record serving = serving_record(moving, 99);
  EXPECT_EQ(serving.automatic_at, 99);
  ASSERT_EQ(serving.history.size(), kHistory);
  EXPECT_EQ(serving.history.front().epoch, 13);
  EXPECT_EQ(serving.history.back(), (Opened{20, "b", {}}));
}

TEST(ServingRecord, AnOwnerThatGoesOnAgainAndAgainPushesNothingOut) {
  const Position at{"7", 1, 100};
  Record record{"a", 4, Mode::serving, "s", "a", "a", Cause::bootstrap};
  record.history = {{4, "a", {}}};
  const auto opens = [&](const std::string& to, Cause cause) {
    record.from = record.owner, record.to = to, record.cause = cause;
    ++record.epoch;
    record = serving_record(record, 99, at);
  };
  opens("b", Cause::automatic);
  for (int i = 0; i < 20; ++i) opens("b", Cause::takeback);
  const std::vector<Opened> all{{4, "a", {}}, {5, "b", {}, at}, {25, "b", {}}};
  EXPECT_EQ(record.history, all) << "whom it took it from, and where it stood, stay";
  // A copy that was away since one of those epochs goes on.
  const Copy away{Copy::State::stopped, "b", 11, {}};
  EXPECT_EQ(next_copy_step(away, record, "c").act, CopyAct::follow);
}

TEST(PlannedDrain, RefusesWhatMustNotBe) {
  const World w;
  struct {
    const char* name;
    Mode mode;
    std::string to, id;
  } cases[] = {{"while draining", Mode::draining, "b", "DOM-E201"},
               {"while moving", Mode::moving, "b", "DOM-E201"},
               {"where law does not allow it", Mode::serving, "x", "DOM-E202"},
               {"to nowhere", Mode::serving, "", "DOM-E202"},
               {"to the owner", Mode::serving, "a", "DOM-E203"}};
  for (const auto& c : cases) {
    Record r = *w.record;
    r.mode = c.mode;
    const auto answer = planned_drain(r, w.rules, c.to, "id");
    ASSERT_FALSE(answer) << c.name;
    EXPECT_EQ(answer.error().id, c.id) << c.name;
  }
}

TEST(PlannedDrain, KeepsTheEpochUntilTheFence) {
  const World w;
  const Record draining = *planned_drain(*w.record, w.rules, "b", "id");
  EXPECT_EQ(draining.epoch, 4);
  EXPECT_EQ(draining.to, "b");
  const Record moving = planned_moving(draining, {"1", 1, 77});
  EXPECT_EQ(moving.epoch, 5);
  EXPECT_EQ(moving.owner, "a");
  EXPECT_EQ(moving.switch_id, "id");
  EXPECT_EQ(moving.fence->lsn, 77U);
}

TEST(Adopted, IsAboveEverythingAndRemembersThatTheHistoryIsNotKnown) {
  const Record r = adopted_record(9, "b", "id");
  EXPECT_EQ(r.epoch, 10);
  EXPECT_EQ(r.mode, Mode::moving);
  EXPECT_EQ(r.to, "b");
  EXPECT_EQ(r.history, (std::vector<Opened>{{9, "", {}}}));
  EXPECT_EQ(*record_of(to_text(r)), r);
}

// The owner came back before the swap and was lost again, in the same epoch and under the same record.
TEST(Approval, IsOfOneLossAndNotOfALaterOneAtTheSameEpoch) {
  World w = expired();
  w.local.lag.reset();
  const auto asked = w.answer();
  ASSERT_EQ(static_cast<int>(asked.act), static_cast<int>(Act::ask)) << asked.why;
  EXPECT_EQ(asked.proposal.id, "eu-5");
  w.local.approvals = {asked.proposal};
  EXPECT_EQ(static_cast<int>(w.answer().act), static_cast<int>(Act::swap));
  w.local.approvals[0].beat = to_text(Beat{"boot-a", 6, 1, {}});
  EXPECT_EQ(static_cast<int>(w.answer().act), static_cast<int>(Act::ask));
}

TEST(MostAdvanced, OfTheStandbysThatAnsweredAndUnknownIsNeverFirst) {
  const Rules rules{"eu", "a", {"b", "c"}};
  const Copy of_a{Copy::State::following, "a", 4, {}};
  const Position here{"1", 1, 100};
  const auto said = [&](std::uint64_t lsn, const char* system = "1", std::int64_t timeline = 1) {
    return StandbySays{"c", true, "a", 4, Position{system, timeline, lsn}};
  };
  const auto with_epoch = [](StandbySays says, Epoch epoch) { return says.epoch = epoch, says; };
  const auto no_candidate = [](StandbySays says) { return says.candidate = false, says; };
  const struct {
    const char* name;
    std::optional<Position> own;
    std::vector<StandbySays> others;
    bool want;
  } cases[] = {
      {"nobody else answers", here, {}, true},
      {"the other is behind", here, {said(99)}, true},
      {"the other is ahead", here, {said(101)}, false},
      {"equal, and named first", here, {said(100)}, true},
      {"the own position is unknown", {}, {said(1)}, false},
      {"the own position is unknown and nobody answers", {}, {}, false},
      {"another timeline cannot be compared", here, {said(1, "1", 2)}, false},
      {"another cluster cannot be compared", here, {said(1, "2")}, false},
      {"a copy of another epoch is no candidate", here, {with_epoch(said(900), 3)}, true},
      {"who says that it is none is none", here, {no_candidate(said(900))}, true},
      {"a candidate without a position is not known to be behind", here, {{"c", true, "a", 4, {}}}, false},
  };
  for (const auto& c : cases) EXPECT_EQ(most_advanced(rules, "b", of_a, c.own, c.others), c.want) << c.name;
  EXPECT_FALSE(most_advanced(rules, "c", of_a, here, {{"b", true, "a", 4, here}})) << "equal, and named later";
}

}  // namespace
}  // namespace domicile::authority
