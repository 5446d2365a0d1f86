#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "core/snapshot/scene.hpp"

namespace domicile::snapshot {
namespace {

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
