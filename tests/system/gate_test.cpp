// The gate between two real PostgreSQL: subscriptions stream through it, and what its rules forbid never arrives.
#include "gate/control.hpp"
#include "support/gate_between.hpp"

namespace domicile::gate {
namespace {

TEST_F(GateBetween, ASubscriptionStreamsThroughItAndEachRowIsCounted) {
  write(
      "INSERT INTO app.orders (residency, tenant, amount, email) SELECT 'us', 't', i, 'canary@example.org' FROM "
      "generate_series(1, 100) i");
  bring_up();
  write(
      "INSERT INTO app.orders (residency, tenant, amount, email) SELECT CASE WHEN i % 2 = 0 THEN 'us' ELSE 'eu' END, "
      "'t', i, "
      "'canary@example.org' FROM generate_series(1, 1000) i");
  write("UPDATE app.orders SET amount = amount + 1 WHERE residency = 'us' AND id <= 50");
  write("UPDATE app.orders SET id = id + 100000 WHERE residency = 'us' AND id <= 10");
  write("DELETE FROM app.orders WHERE residency = 'us' AND id BETWEEN 11 AND 20");
  ASSERT_TRUE(caught_up());
  const std::string sum =
      "SELECT count(*) || ':' || md5(string_agg(r::text, '|' ORDER BY id)) FROM (SELECT tenant, id, amount "
      "FROM app.orders WHERE residency = 'us') r";
  EXPECT_EQ(at_target(sum), must(source_.connect().exec(sum)).text(0, 0));
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders WHERE residency <> 'us' OR email IS NOT NULL"), "0");
  std::uint64_t counted = 0;
  for (const auto& transfer : gate_->book().transfers().all())
    if (transfer.table == "app.orders") counted += transfer.rows;
  EXPECT_EQ(counted, 500u + 50 + 10 + 10);
  EXPECT_TRUE(gate_->book().held().empty());
  EXPECT_EQ(log().find("canary"), std::string::npos);
}

TEST_F(GateBetween, AGateThatIsStartedAgainLosesNothing) {
  bring_up();
  for (int round = 0; round < 3; ++round) {
    write("INSERT INTO app.orders (residency, tenant, amount) SELECT 'us', 't', i FROM generate_series(1, 500) i");
    gate_.reset();
    write("INSERT INTO app.orders (residency, tenant, amount) SELECT 'us', 't', i FROM generate_series(1, 500) i");
    open();
    ASSERT_TRUE(caught_up_again());
  }
  EXPECT_EQ(at_target("SELECT count(*) || ':' || count(DISTINCT id) FROM app.orders"), "3000:3000");
}

TEST_F(GateBetween, APublicationThatWasWidenedBehindItsBackCutsTheLinkAndNothingArrives) {
  bring_up();
  write("INSERT INTO app.orders (residency, tenant, amount) VALUES ('us', 't', 1)");
  ASSERT_TRUE(caught_up());
  const std::string slot =
      "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '" + kLinkName + "'";
  write("ALTER PUBLICATION " + kLinkName + " SET TABLE app.orders, domicile.marker WHERE (residency = 'us')");
  write("INSERT INTO app.orders (residency, tenant, amount, email) VALUES ('eu', 't', 2, 'canary@example.org')");
  ASSERT_TRUE(test::eventually([&] { return !gate_->book().held().empty(); }));
  const auto held = gate_->book().held();
  EXPECT_EQ(held[0].link, kLinkName);
  EXPECT_EQ(held[0].rule, "column");
  const auto confirmed = must(source_.connect().exec(slot)).text(0, 0);
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "1");
  EXPECT_EQ(log().find("canary"), std::string::npos);

  // It stays so over restarts, whoever asks.
  gate_.reset();
  open();
  ASSERT_EQ(gate_->book().held().size(), 1u);
  enable_ended_link();
  ASSERT_TRUE(test::eventually([&] { return last_rule() == "held"; }));
  EXPECT_EQ(must(source_.connect().exec(slot)).text(0, 0), confirmed);
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "1");

  // A person has looked: the same log is judged again, and is as unlawful as before.
  must(gate_->book().resume(kLinkName, "somebody", "looked", false));
  enable_ended_link();
  ASSERT_TRUE(test::eventually([&] { return !gate_->book().held().empty(); }));
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "1");
}

// Its log has what the new owner writes, as this region receives it: a peer that has not heard of the switch would pass
// the fence without what it lacks.
TEST_F(GateBetween, ALinkWhoseResidencyAnotherRegionOwnsByNowDoesNotStream) {
  ASSERT_NO_FATAL_FAILURE(bring_up_and_stop());
  const auto journal = [&](const std::string& state) {
    return must(source_.connect().exec("UPDATE domicile.link_journal SET state = '" + state + "' WHERE link = '" +
                                       kLinkName + "' AND side = 'out' RETURNING 1"))
        .size();
  };
  ASSERT_EQ(journal("reverse"), 1);
  write("INSERT INTO app.orders (residency, tenant, amount) VALUES ('us', 't', 2)");
  must(target_.connect().exec("ALTER SUBSCRIPTION " + kLinkName + " ENABLE"));
  ASSERT_TRUE(test::eventually([&] { return last_rule() == "ended"; }));
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "1");
  ASSERT_EQ(journal("ready"), 1);
  ASSERT_TRUE(caught_up_again());
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "2");
}

TEST_F(GateBetween, ARowOfAnotherResidencyIsCutEvenWithTheRightColumns) {
  bring_up();
  write("ALTER PUBLICATION " + kLinkName +
        " SET TABLE app.orders (residency, tenant, id, amount), domicile.marker WHERE (residency = 'us')");
  write("INSERT INTO app.orders (residency, tenant, amount) VALUES ('canary', 't', 2)");
  ASSERT_TRUE(test::eventually([&] { return !gate_->book().held().empty(); }));
  EXPECT_EQ(gate_->book().held()[0].rule, "residency");
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "0");
  EXPECT_EQ(log().find("canary"), std::string::npos);
}

TEST_F(GateBetween, ARowThatIsTooLargeToBeJudgedCutsTheLinkAndIsNotLost) {
  ASSERT_NO_FATAL_FAILURE(bring_up_and_stop());
  gate_.reset();
  largest_row_ = 1U << 20;
  open();
  must(target_.connect().exec("ALTER SUBSCRIPTION " + kLinkName + " ENABLE"));
  write("INSERT INTO app.orders (residency, tenant, amount) VALUES ('us', repeat('x', 2000000), 2)");
  ASSERT_TRUE(test::eventually([&] { return !gate_->book().held().empty(); }));
  EXPECT_EQ(gate_->book().held()[0].rule, "size");
  ASSERT_TRUE(test::eventually([&] { return last_rule() == "held"; }));
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "1");

  gate_.reset();
  largest_row_ = 256U << 20;
  open();
  must(gate_->book().resume(kLinkName, "somebody", "raised largest_row_mb", false));
  ASSERT_TRUE(caught_up_again());
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "2");
  // PostgreSQL's end is no violation.
  const auto said = log().size();
  must(source_.connect().exec("SELECT pg_terminate_backend(pid) FROM pg_stat_replication"));
  ASSERT_TRUE(test::eventually([&] { return log().find("gate.ended", said) != std::string::npos; }));
  EXPECT_TRUE(gate_->book().held().empty());
  ASSERT_TRUE(caught_up_again());
}

TEST_F(GateBetween, ALinkStopsAtAnExactPlaceAndGoesOnFromThere) {
  bring_up();
  write("INSERT INTO app.orders (residency, tenant, amount) VALUES ('us', 't', 1)");
  ASSERT_TRUE(caught_up());
  auto source = source_.connect();
  auto target = target_.connect();
  const auto fence = must(postgres::links::own_position(source));
  must(gate_->book().stop(kLinkName, fence.lsn));
  // The first that ends behind it is what a receiver proves to have reached it by.
  must(postgres::links::commit_marker(source, "us", 1, {}));
  write("INSERT INTO app.orders (residency, tenant, amount) VALUES ('us', 't', 2)");
  ASSERT_TRUE(must(postgres::links::wait_applied(target, kLink, fence, 20 * kSecond)));
  // All of it is in the log by now; what the gate has sent grows no more.
  const auto later = must(postgres::links::own_position(source));
  ASSERT_TRUE(test::eventually([&] { return gate_->book().progress().at(kLinkName).confirmed >= fence.lsn; }));
  EXPECT_LT(gate_->book().progress().at(kLinkName).sent, later.lsn);
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "1");

  // Also for a subscription that comes again.
  must(target.exec("ALTER SUBSCRIPTION " + kLinkName + " DISABLE"));
  ASSERT_TRUE(test::eventually([&] { return !gate_->book().in_use(kLinkName); }));
  must(target.exec("ALTER SUBSCRIPTION " + kLinkName + " ENABLE"));
  ASSERT_TRUE(test::eventually([&] { return gate_->book().in_use(kLinkName); }));
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "1");
  must(gate_->book().go(kLinkName));
  ASSERT_TRUE(caught_up());
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "2");
}

TEST_F(GateBetween, LagIsToldByMarkersOnTheOwnersClock) {
  bring_up();
  auto source = source_.connect();
  must(
      source.exec("INSERT INTO domicile.marker (residency, clock_us, epoch, lsn) VALUES ('us', 1000000, 7, '0/0'), "
                  "('eu', 9, 9, '0/0')"));
  ASSERT_TRUE(test::eventually([&] { return gate_->book().progress()[kLinkName].confirmed_clock == 1'000'000; }));
  // A peer that applies nothing confirms nothing.
  auto target = target_.connect();
  must(target.exec("BEGIN; LOCK TABLE domicile.marker IN SHARE MODE"));
  must(source.exec("UPDATE domicile.marker SET clock_us = 3500000 WHERE residency = 'us'"));
  ASSERT_TRUE(test::eventually([&] { return gate_->book().progress()[kLinkName].sent_clock == 3'500'000; }));
  const auto behind = gate_->book().progress()[kLinkName];
  EXPECT_EQ(behind.sent_clock - behind.confirmed_clock, 2'500'000);
  EXPECT_EQ(behind.epoch, 7);
  must(target.exec("COMMIT"));
  ASSERT_TRUE(test::eventually([&] { return gate_->book().progress()[kLinkName].confirmed_clock == 3'500'000; }));
}

TEST_F(GateBetween, FirstRowsAreJudgedCountedAndCutTheLinkLikeAnyOther) {
  EXPECT_EQ(must(gate_->book().pass(kLinkName, "app.orders", "us\tt\t1\t5\nus\tt\t2\t6\n")), 2u);
  EXPECT_EQ(gate_->book().pass(kLinkName, "app.secrets", "us\n").error().id, "table");
  EXPECT_EQ(gate_->book().pass("domicile_eu_eu_us", "app.orders", "us\n").error().id, "table");
  EXPECT_TRUE(gate_->book().held().empty());
  const auto wrong = gate_->book().pass(kLinkName, "app.orders", "us\tt\t3\t5\neu\tcanary\t4\t5\n");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().id, "residency");
  EXPECT_EQ(render(wrong.error()).find("canary"), std::string::npos);
  ASSERT_EQ(gate_->book().held().size(), 1u);
  EXPECT_EQ(gate_->book().pass(kLinkName, "app.orders", "us\tt\t1\t5\n").error().id, "held");
  EXPECT_EQ(gate_->book().transfers().all().at(0).rows, 2u);
}

TEST_F(GateBetween, ItsStreamEndsOnceRowsThatLeftAnotherWayHaveCutALink) {
  bring_up();
  write("INSERT INTO app.orders (residency, tenant, amount) VALUES ('us', 't', 1)");
  ASSERT_TRUE(caught_up());
  ASSERT_TRUE(gate_->book().in_use(kLinkName));
  ASSERT_FALSE(gate_->book().pass(kLinkName, "app.orders", "eu\tcanary\t4\t5\n"));
  write("INSERT INTO app.orders (residency, tenant, amount) VALUES ('us', 't', 2)");
  ASSERT_TRUE(test::eventually([&] { return last_rule() == "held"; }));
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "1");
}

// As many columns, and the place of one has another one's values: their count alone would not tell.
TEST_F(GateBetween, FirstRowsOfAnotherColumnAreRefusedBeforeAnyIsRead) {
  const auto post = [&](const std::string& piece) {
    return answer(*gate_, "", Log(-1, Log::Format::text, Level::error, ""),
                  {.method = "POST", .path = "/v1/first-rows/" + kLinkName + "/app.orders", .body = piece});
  };
  EXPECT_EQ(post("us\tt\t1\t5\n").status, 400) << "nobody says what stands in it";
  EXPECT_TRUE(gate_->book().held().empty());
  EXPECT_EQ(post("[\"residency\",\"tenant\",\"id\",\"amount\"]\nus\tt\t1\t5\n").body, "{\"rows\":1}");
  const auto wrong = post("[\"residency\",\"tenant\",\"id\",\"email\"]\nus\tt\t1\tcanary\n");
  EXPECT_EQ(wrong.status, 403) << wrong.body;
  EXPECT_NE(wrong.body.find("\"column\""), std::string::npos) << wrong.body;
  EXPECT_EQ(wrong.body.find("canary"), std::string::npos) << wrong.body;
  ASSERT_EQ(gate_->book().held().size(), 1u);
  EXPECT_EQ(gate_->book().transfers().all().at(0).rows, 1u);
}

}  // namespace
}  // namespace domicile::gate
