#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>
#include <set>

#include "core/snapshot/compile.hpp"
#include "core/snapshot/decision.hpp"

namespace domicile::snapshot {
namespace {

// Views want aligned bytes, as a mapping gives them.
struct Aligned {
  explicit Aligned(std::string_view from)
      : size(from.size()), data(static_cast<char*>(std::aligned_alloc(64, (from.size() + 64) / 64 * 64))) {
    std::memcpy(data, from.data(), from.size());
  }
  ~Aligned() { std::free(data); }
  Aligned(const Aligned&) = delete;
  std::size_t size;
  char* data;
};

TenantsSnapshot three_tenants() {
  return {.generation = 7,
          .seed = {1, 2},
          .hosts = {{"acme.example", "acme", "us"},
                    {"www.acme.example", "acme", "us"},
                    {"muster.example", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "eu"}}};
}

AuthoritySnapshot two_residencies(std::string_view here) {
  return {.generation = 3,
          .region = std::string(here),
          .policy_hash = "abc",
          .boot_id = "boot",
          .rows = {{.residency = "us",
                    .owner = "us-east-1",
                    .epoch = 4,
                    .mode = Mode::serving,
                    .lease_end = 1000,
                    .here = Form::full,
                    .tunnel = "127.10.0.1:8444",
                    .forward = "127.10.0.1:8445"},
                   {.residency = "eu",
                    .owner = "eu-central-1",
                    .epoch = 9,
                    .mode = Mode::serving,
                    .lease_end = 1000,
                    .here = here == "us-east-1" ? Form::reduced : Form::full,
                    .tunnel = "127.20.0.1:8444",
                    .forward = "127.20.0.1:8445"}}};
}

TEST(TenantsSnapshot, FindsEveryHostWithItsTenantAndResidencyAndNoOther) {
  const auto bytes = compile(three_tenants());
  ASSERT_TRUE(bytes) << render(bytes.error());
  const Aligned file(*bytes);
  TenantsView view;
  ASSERT_EQ(view.open(file.data, file.size), Flaw::none);
  EXPECT_EQ(view.generation(), 7u);
  for (const auto& [host, id, residency] : three_tenants().hosts) {
    const Found found = view.find(host);
    ASSERT_NE(found.residency, kNone) << host;
    EXPECT_EQ(view.residency(found.residency), residency);
    EXPECT_TRUE(view.same_host(found, host));
    EXPECT_FALSE(view.same_host(found, "other.example"));
    TenantId tenant;
    ASSERT_TRUE(view.tenant(found, tenant));
    EXPECT_EQ(tenant.view(), id);
  }
  EXPECT_EQ(view.find("acme.exampl").residency, kNone);
  EXPECT_EQ(view.find("").residency, kNone);
}

TEST(TenantsSnapshot, AnEmptyDirectoryIsASnapshotThatKnowsNobody) {
  const auto bytes = compile(TenantsSnapshot{});
  ASSERT_TRUE(bytes);
  const Aligned file(*bytes);
  TenantsView view;
  ASSERT_EQ(view.open(file.data, file.size), Flaw::none);
  EXPECT_EQ(view.find("acme.example").residency, kNone);
}

RC_GTEST_PROP(TenantsSnapshot, HoldsAnySetOfHosts, ()) {
  const auto labels = *rc::gen::container<std::set<std::uint32_t>>(rc::gen::arbitrary<std::uint32_t>());
  TenantsSnapshot tenants{.seed = {*rc::gen::arbitrary<std::uint64_t>(), 5}};
  for (const auto label : labels)
    tenants.hosts.push_back({fmt::format("h{}.example", label), fmt::format("t{}", label), label % 2 ? "eu" : "us"});
  const auto bytes = compile(tenants);
  RC_ASSERT(bytes.has_value());
  const Aligned file(*bytes);
  TenantsView view;
  RC_ASSERT(view.open(file.data, file.size) == Flaw::none);
  for (const auto& host : tenants.hosts) {
    const Found found = view.find(host.host);
    RC_ASSERT(found.residency != kNone);
    RC_ASSERT(view.residency(found.residency) == host.residency);
    RC_ASSERT(view.same_host(found, host.host));
  }
  RC_ASSERT(view.find("nobody.example").residency == kNone);
}

TEST(TenantsSnapshot, RefusesWhatContradictsItself) {
  const struct {
    const char* name;
    std::vector<TenantHost> hosts;
  } cases[] = {
      {"host of two tenants", {{"a.example", "a", "us"}, {"a.example", "b", "us"}}},
      {"host twice", {{"a.example", "a", "us"}, {"a.example", "a", "us"}}},
      {"tenant in two residencies", {{"a.example", "a", "us"}, {"b.example", "a", "eu"}}},
      {"upper case", {{"A.example", "a", "us"}}},
      {"port", {{"a.example:80", "a", "us"}}},
      {"final dot", {{"a.example.", "a", "us"}}},
      {"empty host", {{"", "a", "us"}}},
      {"long host", {{std::string(254, 'a'), "a", "us"}}},
      {"empty id", {{"a.example", "", "us"}}},
      {"long id", {{"a.example", std::string(101, 'a'), "us"}}},
      {"no residency", {{"a.example", "a", ""}}},
  };
  for (const auto& c : cases) EXPECT_FALSE(compile(TenantsSnapshot{.hosts = c.hosts})) << c.name;
}

TEST(Snapshots, EveryFlippedBitAndEveryTruncationIsRefused) {
  AuthoritySnapshot moved = two_residencies("us-east-1");
  moved.moves = {{"acme", "eu", true}};
  for (const auto& bytes : {*compile(three_tenants()), *compile(two_residencies("us-east-1")), *compile(moved)}) {
    const auto flaw = [&](const std::string& changed) {
      const Aligned file(changed);
      TenantsView tenants;
      AuthorityView authority;
      return std::pair(tenants.open(file.data, file.size), authority.open(file.data, file.size));
    };
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << i % 8));
      const auto [t, a] = flaw(changed);
      EXPECT_TRUE(t != Flaw::none && a != Flaw::none) << "bit at " << i;
    }
    for (std::size_t size = 0; size < bytes.size(); size += 7) {
      const auto [t, a] = flaw(bytes.substr(0, size));
      EXPECT_TRUE(t != Flaw::none && a != Flaw::none) << size;
    }
    EXPECT_NE(flaw(bytes + "x").first, Flaw::none);
  }
}

TEST(AuthoritySnapshot, RefusesDuplicatesAndNamesThatDoNotFit) {
  AuthoritySnapshot twice = two_residencies("us-east-1");
  twice.rows.push_back(twice.rows[0]);
  EXPECT_FALSE(compile(twice));
  AuthoritySnapshot longer = two_residencies("us-east-1");
  longer.rows[0].owner = std::string(64, 'x');
  EXPECT_FALSE(compile(longer));
}

AuthoritySnapshot with_moves(std::vector<MoveRow> moves) {
  AuthoritySnapshot authority = two_residencies("us-east-1");
  authority.moves = std::move(moves);
  return authority;
}

TEST(Moves, AreReadAsTheyWereWritten) {
  std::vector<MoveRow> most = {{std::string(kMaxTenantId, 't'), std::string(kNameSize - 1, 'r'), true}};
  while (most.size() < kMaxMoves) most.push_back({fmt::format("t{}", most.size()), "eu", most.size() % 2 == 0});
  for (const auto& moves : {std::vector<MoveRow>{}, most}) {
    const auto bytes = compile(with_moves(moves));
    ASSERT_TRUE(bytes) << render(bytes.error());
    ASSERT_LE(bytes->size(), kMaxAuthorityBytes);
    const Aligned file(*bytes);
    AuthorityView view;
    ASSERT_EQ(view.open(file.data, file.size), Flaw::none);
    EXPECT_EQ(view.residencies(), 2);
    std::vector<MoveRow> read;
    for (std::uint16_t i = 0; i < view.moves(); ++i)
      read.push_back({view.move(i).tenant, view.move(i).residency, view.move(i).held != 0});
    EXPECT_EQ(read, moves);
  }
}

// Gateways of before there were moves go on to read files without any.
TEST(Moves, WithoutThemTheBytesAreWhatTheyWereBeforeThereWereAny) {
  const std::string bytes = *compile(two_residencies("us-east-1"));
  EXPECT_EQ(bytes.size(), 1208u);
  EXPECT_EQ(checksum(bytes.data(), bytes.size()), 0x390fd56fd1ea082du);
}

TEST(Moves, AreRefusedWhenTheyContradictEachOtherOrDoNotFit) {
  std::vector<MoveRow> many;
  while (many.size() <= kMaxMoves) many.push_back({fmt::format("t{}", many.size()), "eu", true});
  const struct {
    const char* name;
    std::vector<MoveRow> moves;
  } cases[] = {
      {"a tenant twice", {{"acme", "eu", true}, {"acme", "eu", true}}},
      {"a tenant in two residencies", {{"acme", "eu", true}, {"other", "eu", true}, {"acme", "us", false}}},
      {"too many", many},
      {"empty id", {{"", "eu", true}}},
      {"long id", {{std::string(kMaxTenantId + 1, 'a'), "eu", true}}},
      {"id with a zero", {{std::string("a\0b", 3), "eu", true}}},
      {"no residency", {{"acme", "", true}}},
      {"long residency", {{"acme", std::string(kNameSize, 'r'), true}}},
      {"residency with a zero", {{"acme", std::string("e\0u", 3), true}}},
  };
  for (const auto& c : cases) {
    EXPECT_FALSE(check(c.moves)) << c.name;
    EXPECT_FALSE(compile(with_moves(c.moves))) << c.name;
  }
}

// With the right length and checksum for whatever it holds.
std::string resealed(std::string bytes) {
  constexpr std::size_t skip = offsetof(FileHeader, checksum) + sizeof(std::uint64_t);
  const std::uint64_t length = bytes.size();
  std::memcpy(bytes.data() + offsetof(FileHeader, length), &length, sizeof length);
  const std::uint64_t sum = checksum(bytes.data() + skip, bytes.size() - skip);
  std::memcpy(bytes.data() + offsetof(FileHeader, checksum), &sum, sizeof sum);
  return bytes;
}

TEST(Moves, ThatCannotBeMakeTheWholeFileMalformed) {
  const std::string good = *compile(with_moves({{"acme", "eu", true}}));
  const std::size_t count = sizeof(FileHeader) + offsetof(AuthorityHead, moves);
  const std::size_t entry = good.size() - sizeof(MoveEntry);
  const auto with = [&](std::size_t at, const std::string& bytes) {
    return std::string(good).replace(at, bytes.size(), bytes);
  };
  std::string copies;
  for (std::size_t i = 0; i < kMaxMoves; ++i) copies += good.substr(entry);
  const auto counted = [](std::uint32_t n) { return std::string(reinterpret_cast<const char*>(&n), sizeof n); };
  const struct {
    const char* name;
    std::string bytes;
    Flaw want;
  } cases[] = {
      {"as it was", good, Flaw::none},
      {"one more than there are", with(count, counted(2)), Flaw::malformed},
      {"one less than there are", with(count, counted(0)), Flaw::malformed},
      {"more than there can be", with(count, counted(0xffffffff)), Flaw::malformed},
      {"one too many, all there", with(count, counted(kMaxMoves + 1)) + copies, Flaw::malformed},
      {"half an entry", good.substr(0, good.size() - sizeof(MoveEntry) / 2), Flaw::malformed},
      {"an endless tenant", with(entry, std::string(kTenantSize, 't')), Flaw::malformed},
      {"an endless residency", with(entry + offsetof(MoveEntry, residency), std::string(kNameSize, 'r')),
       Flaw::malformed},
      {"no tenant", with(entry, std::string(1, '\0')), Flaw::malformed},
      {"no residency", with(entry + offsetof(MoveEntry, residency), std::string(1, '\0')), Flaw::malformed},
      {"neither held nor not", with(entry + offsetof(MoveEntry, held), "\2"), Flaw::malformed},
  };
  for (const auto& c : cases) {
    const Aligned file(resealed(c.bytes));
    AuthorityView view;
    EXPECT_EQ(view.open(file.data, file.size), c.want) << c.name;
    EXPECT_EQ(view.empty(), c.want != Flaw::none) << c.name;
  }
}

TEST(AuthoritySnapshot, AnEpochThatFallsIsNoticed) {
  const Aligned now(*compile(two_residencies("us-east-1")));
  AuthoritySnapshot next = two_residencies("us-east-1");
  next.rows[0].epoch = 5;
  next.rows[1].epoch = 8;
  const Aligned lower(*compile(next));
  AuthorityView a, b;
  ASSERT_EQ(a.open(now.data, now.size), Flaw::none);
  ASSERT_EQ(b.open(lower.data, lower.size), Flaw::none);
  EXPECT_TRUE(lowers_an_epoch(a, b)) << "one residency grew, the other fell";
  EXPECT_FALSE(lowers_an_epoch(a, a));
}

// A world with one change against two_residencies, and what is decided in it.
struct Scene {
  explicit Scene(std::string_view here, std::function<void(AuthorityRow& us, AuthorityRow& eu)> change = {},
                 std::string_view boot = "boot", const std::vector<MoveRow>& moves = {})
      : tenants_file(*compile(three_tenants())), authority_file(make(here, change, moves)) {
    EXPECT_EQ(tenants.open(tenants_file.data, tenants_file.size), Flaw::none);
    EXPECT_EQ(authority.open(authority_file.data, authority_file.size), Flaw::none);
    world.bind(&tenants, &authority, boot);
  }
  static std::string make(std::string_view here, const std::function<void(AuthorityRow&, AuthorityRow&)>& change,
                          const std::vector<MoveRow>& moves) {
    AuthoritySnapshot authority = two_residencies(here);
    authority.moves = moves;
    if (change) change(authority.rows[0], authority.rows[1]);
    return *compile(authority);
  }
  std::pair<Action, Reason> ask(const char* host, bool write, Via via = Via::tls, Micros now = 10) const {
    const Decision d = decide(world, {.host = host, .write = write, .via = via, .now = now});
    return {d.action, d.reason};
  }
  std::pair<Action, Reason> connect(const char* sni, bool tunnelled = false) const {
    const Decision d = decide_connection(world, sni, tunnelled);
    return {d.action, d.reason};
  }
  Aligned tenants_file, authority_file;
  TenantsView tenants;
  AuthorityView authority;
  World world;
};

using enum Action;
constexpr const char *kUs = "acme.example", *kEu = "muster.example";
const auto draining = [](AuthorityRow& us, AuthorityRow&) { us.mode = Mode::draining; };
const auto moving = [](AuthorityRow& us, AuthorityRow&) { us.mode = Mode::moving; };

TEST(Decide, ServesAtTheOwnerWhileTheLeaseLives) {
  const Scene scene("us-east-1");
  EXPECT_EQ(scene.ask(kUs, true), std::pair(serve, Reason::owner_here));
  EXPECT_EQ(scene.ask(kUs, false), std::pair(serve, Reason::owner_here));
  EXPECT_EQ(scene.ask(kUs, true, Via::forwarded), std::pair(serve, Reason::owner_here));
  EXPECT_EQ(scene.ask(kUs, true, Via::tls, 999).first, serve);
  EXPECT_EQ(scene.ask(kUs, true, Via::tls, 1000), std::pair(unavailable_503, Reason::lease_over));
  EXPECT_EQ(scene.ask(kUs, false, Via::tls, 1000), std::pair(unavailable_503, Reason::lease_over));
}

TEST(Decide, StaleReadsAreServedOnlyWhereTheyAreAllowed) {
  const Scene scene("us-east-1", [](AuthorityRow& us, AuthorityRow&) { us.reads_stale = true; });
  EXPECT_EQ(scene.ask(kUs, false, Via::tls, 5000), std::pair(serve, Reason::stale_read));
  EXPECT_EQ(scene.ask(kUs, true, Via::tls, 5000), std::pair(unavailable_503, Reason::lease_over));
}

TEST(Decide, ALeaseOfAnotherBootIsOver) {
  const Scene scene("us-east-1", {}, "another boot");
  EXPECT_EQ(scene.ask(kUs, true), std::pair(unavailable_503, Reason::lease_over));
}

TEST(Decide, AnEuRequestDecryptedInTheUsIsNeverServedThere) {
  const Scene scene("us-east-1");
  for (const bool write : {false, true}) {
    EXPECT_EQ(scene.ask(kEu, write), std::pair(misdirected_421, Reason::unlawful_here));
    EXPECT_EQ(scene.ask(kEu, write, Via::plain), std::pair(refuse_451, Reason::unlawful_here));
    EXPECT_EQ(scene.ask(kEu, write, Via::forwarded), std::pair(refuse_451, Reason::unlawful_here));
  }
  // Not even when the authority should ever name this region as the owner.
  const Scene wrong("us-east-1", [](AuthorityRow&, AuthorityRow& eu) { eu.owner = "us-east-1"; });
  EXPECT_EQ(wrong.ask(kEu, true), std::pair(misdirected_421, Reason::unlawful_here));
  EXPECT_NE(wrong.connect(kEu).first, serve);
}

TEST(Decide, AnotherLawfulRegionForwardsOnce) {
  const Scene scene("eu-central-1");
  EXPECT_EQ(scene.ask(kUs, true), std::pair(forward, Reason::owner_elsewhere));
  EXPECT_EQ(scene.ask(kUs, true, Via::forwarded), std::pair(misdirected_421, Reason::forwarded_already));
  const Scene nowhere("eu-central-1", [](AuthorityRow& us, AuthorityRow&) { us.forward.clear(); });
  EXPECT_EQ(nowhere.ask(kUs, true), std::pair(unavailable_503, Reason::no_address));
}

TEST(Decide, DuringASwitchWritesWaitAndReadsGoOnAsLongAsTheyMay) {
  const Scene owner("us-east-1", draining), other("eu-central-1", draining);
  EXPECT_EQ(owner.ask(kUs, true), std::pair(hold, Reason::draining));
  EXPECT_EQ(owner.ask(kUs, true, Via::forwarded), std::pair(hold, Reason::draining));
  EXPECT_EQ(owner.ask(kUs, false), std::pair(serve, Reason::owner_here));
  EXPECT_EQ(owner.ask(kUs, false, Via::tls, 1000), std::pair(hold, Reason::draining));
  EXPECT_EQ(other.ask(kUs, true), std::pair(hold, Reason::draining));
  EXPECT_EQ(other.ask(kUs, false), std::pair(forward, Reason::owner_elsewhere));
  for (const auto* region : {"us-east-1", "eu-central-1"}) {
    const Scene scene(region, moving);
    EXPECT_EQ(scene.ask(kUs, true), std::pair(hold, Reason::moving));
    EXPECT_EQ(scene.ask(kUs, false), std::pair(hold, Reason::moving));
    EXPECT_EQ(scene.ask(kUs, true, Via::forwarded), std::pair(misdirected_421, Reason::forwarded_already));
  }
}

TEST(Decide, WithoutAnOwnerOrKnowledgeNothingIsServed) {
  const Scene down("us-east-1", [](AuthorityRow& us, AuthorityRow&) { us.mode = Mode::down; });
  EXPECT_EQ(down.ask(kUs, false), std::pair(unavailable_503, Reason::down));
  const Scene unknown("us-east-1", [](AuthorityRow& us, AuthorityRow&) { us.mode = Mode::unknown; });
  EXPECT_EQ(unknown.ask(kUs, false), std::pair(unavailable_503, Reason::unknown_mode));
  const Scene renamed("us-east-1", [](AuthorityRow& us, AuthorityRow&) { us.residency = "other"; });
  EXPECT_EQ(renamed.ask(kUs, false), std::pair(unavailable_503, Reason::unknown_residency));
  EXPECT_EQ(Scene("us-east-1").ask("nobody.example", false), std::pair(misdirected_421, Reason::unknown_host));
  World empty;
  EXPECT_EQ(decide(empty, {.host = kUs}).action, unavailable_503);
  EXPECT_EQ(decide_connection(empty, kUs, false).action, unavailable_503);
}

constexpr const char* kMuster = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";  // the tenant of kEu

Scene moved(std::string_view here, const char* tenant, const char* residency, bool held,
            const std::function<void(AuthorityRow&, AuthorityRow&)>& change = {}) {
  return Scene(here, change, "boot", {{"somebody else", "eu", true}, {tenant, residency, held}});
}

TEST(DecideMove, AHeldTenantsRequestsWaitWhateverItsResidencyDoes) {
  for (const auto* region : {"us-east-1", "eu-central-1"})
    for (const auto& change : {std::function<void(AuthorityRow&, AuthorityRow&)>{}, {draining}, {moving}}) {
      const Scene scene = moved(region, "acme", "us", true, change);
      for (const char* host : {kUs, "www.acme.example"})
        for (const bool write : {false, true}) {
          EXPECT_EQ(scene.ask(host, write), std::pair(hold, Reason::tenant_moving));
          EXPECT_EQ(scene.ask(host, write, Via::plain), std::pair(hold, Reason::tenant_moving));
          EXPECT_EQ(scene.ask(host, write, Via::tls, 5000), std::pair(hold, Reason::tenant_moving)) << "no lease";
          EXPECT_EQ(scene.ask(host, write, Via::forwarded), std::pair(misdirected_421, Reason::forwarded_already));
        }
      EXPECT_EQ(scene.connect(kUs), std::pair(serve, Reason::tenant_moving)) << "decrypted, and held one by one";
      EXPECT_EQ(scene.connect(kUs, true), std::pair(serve, Reason::tenant_moving));
    }
}

TEST(DecideMove, AHeldTenantIsNotDecryptedWhereItsFullFormMayNotLie) {
  const Scene us = moved("us-east-1", kMuster, "eu", true), eu = moved("eu-central-1", kMuster, "eu", true);
  for (const bool tunnelled : {false, true}) {
    EXPECT_EQ(us.connect(kEu, tunnelled), std::pair(hold, Reason::tenant_moving));
    EXPECT_EQ(eu.connect(kEu, tunnelled), std::pair(serve, Reason::tenant_moving));
  }
  EXPECT_EQ(us.ask(kEu, true), std::pair(misdirected_421, Reason::unlawful_here));
  EXPECT_EQ(us.ask(kEu, true, Via::plain), std::pair(refuse_451, Reason::unlawful_here));
  EXPECT_EQ(us.ask(kEu, true, Via::forwarded), std::pair(refuse_451, Reason::unlawful_here));
  EXPECT_EQ(eu.ask(kEu, true), std::pair(hold, Reason::tenant_moving));
}

// tenants.snap still has its old residency.
TEST(DecideMove, AMovedTenantIsTreatedAsOneThatLivesThere) {
  const Scene us("us-east-1"), eu("eu-central-1");
  const struct {
    const char *tenant, *host, *residency, *of_residency;
  } cases[] = {{"acme", kUs, "eu", kEu}, {kMuster, kEu, "us", kUs}};
  for (const auto& c : cases)
    for (const Scene* there : {&us, &eu}) {
      const Scene scene = moved(there->authority.region(), c.tenant, c.residency, false);
      for (const Via via : {Via::tls, Via::plain, Via::forwarded})
        for (const bool write : {false, true})
          for (const Micros now : {10, 5000})
            EXPECT_EQ(scene.ask(c.host, write, via, now), there->ask(c.of_residency, write, via, now)) << c.host;
      for (const bool tunnelled : {false, true})
        EXPECT_EQ(scene.connect(c.host, tunnelled), there->connect(c.of_residency, tunnelled)) << c.host;
      const Decision decision = decide(scene.world, {.host = c.host, .via = Via::tls, .now = 10});
      EXPECT_EQ(scene.authority.entry(decision.residency).residency, std::string_view(c.residency));
    }
  EXPECT_EQ(moved("us-east-1", "acme", "eu", false).connect(kUs).first, tunnel);
  EXPECT_EQ(moved("us-east-1", kMuster, "us", false).ask(kEu, true).first, serve);
  EXPECT_EQ(moved("eu-central-1", kMuster, "us", false).ask(kEu, true).first, forward);
}

TEST(DecideMove, NobodyElseIsTouched) {
  for (const auto* region : {"us-east-1", "eu-central-1"})
    for (const bool held : {false, true}) {
      const Scene plain(region), scene = moved(region, "acme", "eu", held), part = moved(region, "acm", "eu", held);
      EXPECT_EQ(scene.ask(kEu, true), plain.ask(kEu, true));
      EXPECT_EQ(scene.connect(kEu), plain.connect(kEu));
      EXPECT_EQ(scene.ask("nobody.example", true), std::pair(misdirected_421, Reason::unknown_host));
      EXPECT_EQ(scene.connect("nobody.example"), std::pair(misdirected_421, Reason::unknown_host));
      EXPECT_EQ(part.ask(kUs, true), plain.ask(kUs, true)) << "an id that only begins like it";
    }
}

TEST(DecideMove, ToAResidencyThatNobodyKnowsNothingIsServed) {
  for (const bool held : {false, true}) {
    const Scene scene = moved("us-east-1", "acme", "nowhere", held);
    EXPECT_EQ(scene.ask(kUs, false), std::pair(unavailable_503, Reason::unknown_residency));
    EXPECT_EQ(scene.ask(kUs, true, Via::forwarded), std::pair(unavailable_503, Reason::unknown_residency));
    EXPECT_EQ(scene.connect(kUs), std::pair(unavailable_503, Reason::unknown_residency));
  }
  // Nor when it cannot be read who it is, while anybody moves.
  const Scene scene = moved("us-east-1", "acme", "us", true);
  Found torn = scene.tenants.find(kUs);
  torn.record = 0xfffffff0;
  EXPECT_EQ(decide(scene.world, torn, {.host = kUs, .via = Via::tls, .now = 10}).reason, Reason::unknown_residency);
}

TEST(DecideMove, AWriteThatWasUnderWayIsToldAsDoneWhileItsLeaseLives) {
  for (const bool held : {false, true}) {
    const Scene scene = moved("us-east-1", "acme", "us", held);
    EXPECT_TRUE(outcome_known(scene.world, "us", 4, 999));
    EXPECT_FALSE(outcome_known(scene.world, "us", 4, 1000));
  }
}

TEST(World, KnowsWhoMovesAndWhoIsHeld) {
  const Scene nobody("us-east-1"), scene = moved("us-east-1", "acme", "us", false);
  EXPECT_EQ(nobody.world.move_of("acme"), nullptr);
  EXPECT_FALSE(nobody.world.holds("acme"));
  ASSERT_NE(scene.world.move_of("acme"), nullptr);
  EXPECT_EQ(scene.world.move_of("acme")->residency, scene.authority.find("us"));
  EXPECT_FALSE(scene.world.holds("acme"));
  EXPECT_TRUE(scene.world.holds("somebody else"));
  EXPECT_EQ(scene.world.move_of("other"), nullptr);
  World world = scene.world;
  world.bind(&nobody.tenants, &nobody.authority, "boot");
  EXPECT_EQ(world.move_of("acme"), nullptr) << "the move is over";
  world.bind(&scene.tenants, &scene.authority, "boot");
  world.bind(&scene.tenants, nullptr, "boot");
  EXPECT_FALSE(world.holds("somebody else")) << "the file that it stood in may be gone";
}

TEST(DecideConnection, GoesHomeBySniWithoutBeingDecrypted) {
  const Scene us("us-east-1");
  EXPECT_EQ(us.connect(kUs).first, serve);
  EXPECT_EQ(us.connect(kEu), std::pair(tunnel, Reason::owner_elsewhere));
  EXPECT_EQ(us.connect(kEu, true).first, refuse_451) << "never from one tunnel into another";
  EXPECT_EQ(us.connect("nobody.example").first, misdirected_421);
  const Scene eu("eu-central-1");
  EXPECT_EQ(eu.connect(kUs).first, tunnel);
  EXPECT_EQ(eu.connect(kUs, true).first, serve) << "decrypted here and then forwarded or held";
  const Scene eu_moving("us-east-1", [](AuthorityRow&, AuthorityRow& row) { row.mode = Mode::moving; });
  EXPECT_EQ(eu_moving.connect(kEu), std::pair(hold, Reason::moving));
  const Scene eu_down("us-east-1", [](AuthorityRow&, AuthorityRow& row) { row.mode = Mode::down; });
  EXPECT_EQ(eu_down.connect(kEu), std::pair(unavailable_503, Reason::down));
  EXPECT_EQ(Scene("us-east-1", moving).connect(kUs).first, serve);
}

TEST(OutcomeKnown, OnlyUnderTheSameLiveLease) {
  const Scene scene("us-east-1");
  EXPECT_TRUE(outcome_known(scene.world, "us", 4, 999));
  EXPECT_FALSE(outcome_known(scene.world, "us", 4, 1000));
  EXPECT_FALSE(outcome_known(scene.world, "us", 3, 999));
  EXPECT_FALSE(outcome_known(scene.world, "eu", 9, 999)) << "owned elsewhere";
  EXPECT_TRUE(outcome_known(Scene("us-east-1", draining).world, "us", 4, 999));
}

TEST(HostName, IsReducedToItsUsualForm) {
  const struct {
    const char *given, *want;
  } cases[] = {{"ACME.Example", "acme.example"},
               {"acme.example:8443", "acme.example"},
               {"acme.example.", "acme.example"},
               {"acme.example.:1", "acme.example"},
               {"", ""},
               {".", ""},
               {":80", ""},
               {"[::1]:80", "["}};
  for (const auto& c : cases) {
    HostName name;
    normalise(c.given, name);
    EXPECT_EQ(name.view(), c.want) << c.given;
  }
}

}  // namespace
}  // namespace domicile::snapshot
