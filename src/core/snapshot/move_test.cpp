// Tenants on their way to another residency: in the file, and what is decided of them.
#include "core/snapshot/scene.hpp"

namespace domicile::snapshot {
namespace {

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

}  // namespace
}  // namespace domicile::snapshot
