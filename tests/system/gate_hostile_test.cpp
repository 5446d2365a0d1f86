// A hostile peer with every right that its certificate gives gets nothing but its link.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>

#include "gate/protocol/pgoutput_bytes.hpp"
#include "support/gate_between.hpp"

namespace domicile::gate {
namespace {

TEST_F(GateBetween, AHostilePeerWithItsCertificateGetsNothingButItsLink) {
  must(source_.connect().exec("SELECT pg_create_logical_replication_slot('" + kLinkName + "', 'pgoutput')"));
  must(source_.connect().exec("SELECT pg_create_logical_replication_slot('other', 'pgoutput')"));
  const std::string start = "START_REPLICATION SLOT \"";
  const auto with = [&](const std::string& slot, const std::string& options) {
    return start + slot + "\" LOGICAL 0/0 (" + options + ")";
  };
  const std::string own = "publication_names '\"" + kLinkName + "\"'";
  const struct {
    std::string sql, rule;
  } attempts[] = {
      {"SELECT 1", "statement"},
      {"SELECT * FROM app.orders", "statement"},
      {"SELECT email FROM app.orders", "statement"},
      {"TABLE app.orders", "statement"},
      {"COPY app.orders TO STDOUT", "statement"},
      {"COPY app.orders (email) TO STDOUT", "statement"},
      {"COPY (SELECT email FROM app.orders) TO STDOUT", "statement"},
      {"COPY app.orders TO PROGRAM 'cat'", "statement"},
      {"SELECT pg_read_file('PG_VERSION')", "statement"},
      {"SELECT pg_ls_dir('.')", "statement"},
      {"SELECT pg_logical_slot_peek_changes('other', NULL, NULL)", "statement"},
      {"SELECT pg_logical_slot_get_binary_changes('" + kLinkName + "', NULL, NULL)", "statement"},
      {"SELECT pg_create_logical_replication_slot('mine', 'test_decoding')", "statement"},
      {"SELECT pg_copy_logical_replication_slot('other', 'mine')", "statement"},
      {"SELECT pg_drop_replication_slot('other')", "statement"},
      {"SELECT pg_terminate_backend(1)", "statement"},
      {"SELECT pg_catalog.set_config('search_path', 'app', false);", "statement"},
      {"SELECT pg_catalog.set_config('search_path', '', false); SELECT email FROM app.orders", "statement"},
      {"SET session_replication_role = replica", "statement"},
      {"BEGIN", "statement"},
      {"CREATE TABLE mine (a int)", "statement"},
      {"CREATE PUBLICATION mine FOR ALL TABLES", "statement"},
      {"ALTER PUBLICATION " + kLinkName + " ADD TABLE app.orders", "statement"},
      {"DO $$ BEGIN PERFORM 1; END $$", "statement"},
      {"LISTEN x", "statement"},
      {"SHOW data_directory", "statement"},
      {"CREATE_REPLICATION_SLOT mine LOGICAL pgoutput", "statement"},
      {"CREATE_REPLICATION_SLOT mine LOGICAL test_decoding", "statement"},
      {"CREATE_REPLICATION_SLOT mine TEMPORARY LOGICAL pgoutput (SNAPSHOT 'use')", "statement"},
      {"CREATE_REPLICATION_SLOT mine PHYSICAL", "statement"},
      {"DROP_REPLICATION_SLOT other", "statement"},
      {"DROP_REPLICATION_SLOT \"" + kLinkName + "\" WAIT", "statement"},
      {"READ_REPLICATION_SLOT other", "statement"},
      {"IDENTIFY_SYSTEM; SELECT 1", "statement"},
      {"BASE_BACKUP", "physical"},
      {"BASE_BACKUP (LABEL 'x', PROGRESS, WAL)", "physical"},
      {"TIMELINE_HISTORY 1", "physical"},
      {"START_REPLICATION 0/0", "physical"},
      {"START_REPLICATION PHYSICAL 0/0 TIMELINE 1", "physical"},
      {start + kLinkName + "\" PHYSICAL 0/0", "physical"},
      {with("other", "proto_version '3', " + own), "slot"},
      {with("domicile_salvage_us", "proto_version '3', " + own), "slot"},
      {with(kLinkName, "proto_version '3', publication_names '\"everything\"'"), "publication"},
      {with(kLinkName, "proto_version '3', publication_names '\"" + kLinkName + "\",\"everything\"'"), "publication"},
      {with(kLinkName, "proto_version '1', " + own), "option"},
      {with(kLinkName, "proto_version '3', binary 'true', " + own), "option"},
      {with(kLinkName, "proto_version '3', streaming 'on', " + own), "option"},
      {with(kLinkName, "proto_version '3', two_phase 'on', " + own), "option"},
      {with(kLinkName, "proto_version '3', messages 'true', " + own), "option"},
      {"SELECT t.pubname FROM\n pg_catalog.pg_publication t WHERE\n t.pubname IN ('everything')", "publication"},
      {"SELECT t.pubname FROM\n pg_catalog.pg_publication t WHERE\n t.pubname IN ('" + kLinkName + "') OR true--')",
       "publication"},
  };
  for (const auto& attempt : attempts) {
    const Session session(as("peer", "replication=database"));
    ASSERT_TRUE(session.open()) << session.message();
    EXPECT_EQ(session.ask(attempt.sql), "DM010") << attempt.sql;
    EXPECT_EQ(last_rule(), attempt.rule) << attempt.sql;
  }
  EXPECT_GE(std::size(attempts), 50u);

  const struct {
    std::string conninfo, rule;
  } doors[] = {
      {as("peer"), "startup"},
      {as("peer", "replication=true"), "physical"},
      {as("peer", "replication=database user=postgres"), "startup"},
      {as("peer", "replication=database user=domicile_gate"), "startup"},
      {as("peer", "replication=database user=domicile_link_eu_west_1"), "startup"},
      {as("peer", "replication=database dbname=template1"), "startup"},
      {as("nobody", "replication=database"), "certificate"},
      {as("strange_peer", "replication=database"), "certificate"},
      {fmt::format("host=127.0.0.1 port={} user={} dbname=postgres replication=database sslmode=require", port_, kRole),
       "certificate"},
      {fmt::format("host=127.0.0.1 port={} user={} dbname=postgres replication=database sslmode=disable", port_, kRole),
       "tls"},
      {as("peer", "replication=database ssl_max_protocol_version=TLSv1.2"), "certificate"},
  };
  for (const auto& door : doors) {
    const std::size_t before = gate_->book().denials().all().size();
    const Session session(door.conninfo);
    // A client of TLS 1.3 learns from its first read that its certificate was refused.
    EXPECT_TRUE(!session.open() || session.ask("IDENTIFY_SYSTEM") != "ok") << door.conninfo;
    EXPECT_TRUE(test::eventually([&] { return gate_->book().denials().all().size() > before; })) << door.conninfo;
    EXPECT_EQ(last_rule(), door.rule) << door.conninfo;
  }
  EXPECT_EQ(must(source_.connect().exec("SELECT count(*) FROM pg_replication_slots")).text(0, 0), "2");
}

TEST_F(GateBetween, ASubscriberThatSaysItHasMoreThanItWasSentIsRefusedOverARestartToo) {
  ASSERT_NO_FATAL_FAILURE(bring_up_and_stop());
  gate_.reset();
  write("INSERT INTO app.orders (residency, tenant, amount) VALUES ('us', 't', 2)");
  auto source = source_.connect();
  const auto beyond = authority::lsn_text(must(postgres::links::own_position(source)).lsn + 0x1000000);
  open();
  const Session session(as("peer", "replication=database"));
  EXPECT_NE(session.ask("START_REPLICATION SLOT \"" + kLinkName + "\" LOGICAL " + beyond +
                        " (proto_version '3', publication_names '\"" + kLinkName + "\"')"),
            "ok");
  EXPECT_EQ(last_rule(), "message");
  must(target_.connect().exec("ALTER SUBSCRIPTION " + kLinkName + " ENABLE"));
  ASSERT_TRUE(caught_up());
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "2");
  // A new copy begins at its own slot's place.
  must(gate_->book().pass(kLinkName, "app.orders", "us\tt\t9\t5\n"));
  EXPECT_EQ(gate_->book().progress().count(kLinkName), 0u);
}

TEST_F(GateBetween, OfAServersErrorThePeerLearnsTheCodeAlone) {
  const Session session(as("peer", "replication=database"));
  ASSERT_TRUE(session.open()) << session.message();
  EXPECT_EQ(session.ask("START_REPLICATION SLOT \"" + kLinkName +
                        "\" LOGICAL 0/0 (proto_version '3', publication_names '\"" + kLinkName + "\"')"),
            "42704")
      << "there is no such slot yet";
  EXPECT_EQ(session.message().find(kLinkName), std::string::npos) << session.message();
  EXPECT_EQ(session.ask("IDENTIFY_SYSTEM"), "ok") << "the session goes on";
}

TEST_F(GateBetween, ARevokedCertificateIsRefused) {
  const auto outcome = must(
      run({{"openssl", "x509", "-noout", "-serial", "-in", (certificates_ / "revoked.pem").string()}}, 10 * kSecond));
  revoked_ = outcome.out.substr(7, outcome.out.find('\n') - 7);
  EXPECT_FALSE(Session(as("revoked", "replication=database")).open());
  EXPECT_EQ(last_rule(), "certificate");
  EXPECT_TRUE(Session(as("peer", "replication=database")).open());
}

TEST_F(GateBetween, ProgramsOfPostgresGetNothing) {
  const std::vector<std::vector<std::string>> programs = {
      {"pg_basebackup", "-D", (state_.path() / "copy").string(), "-d", as("peer")},
      {"pg_receivewal", "-D", state_.path().string(), "-d", as("peer")},
      {"pg_recvlogical", "-d", as("peer"), "--slot", "mine", "--create-slot"},
      {"pg_recvlogical", "-d", as("peer"), "--slot", kLinkName, "--start", "-f", "-"},
      {"pg_dump", "-d", as("peer")},
  };
  for (auto argv : programs) {
    argv[0] = "/usr/lib/postgresql/15/bin/" + argv[0];
    const std::size_t before = gate_->book().denials().all().size();
    const auto outcome = must(run({argv}, 20 * kSecond));
    EXPECT_NE(outcome.exit_code, 0) << argv[0];
    EXPECT_GT(gate_->book().denials().all().size(), before) << argv[0];
  }
}

// Bytes that no client of PostgreSQL sends.
struct Raw {
  Fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  explicit Raw(int port) {
    sockaddr_in to{};
    to.sin_family = AF_INET, to.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) throw std::runtime_error("no gate");
  }
  void say(const std::string& bytes) const { (void)!::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  std::string rest() const {  // until it is closed
    std::string all;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;)
      all.append(buffer, static_cast<std::size_t>(n));
    return all;
  }
};

TEST_F(GateBetween, WhatIsNoSessionIsRefusedInTheClear) {
  using bytes::number;
  using bytes::text;
  const auto first = [](const std::string& body) { return number(body.size() + 4, 4) + body; };
  const std::string tls = first(number(80877103, 4));
  const struct {
    std::string story, bytes, rule;
  } cases[] = {
      {"a cancel request", first(number(80877102, 4) + number(1, 4) + number(2, 4)), "cancel"},
      {"protocol 2", first(number(2 << 16, 4) + std::string(20, '\0')), "size"},
      {"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "size"},
      {"a length of nothing", number(0, 4), "size"},
      {"a length of a gigabyte", number(1 << 30, 4), "size"},
      {"TLS at once", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), "size"},
      {"a session behind the wish for TLS", tls + first(number(3 << 16, 4) + text("user") + text("x") + '\0'), "tls"},
      {"GSSAPI twice", first(number(80877104, 4)) + first(number(80877104, 4)), "tls"},
      {"a start-up in the clear", first(number(3 << 16, 4) + text("user") + text(kRole) + '\0'), "tls"},
  };
  for (const auto& c : cases) {
    const Raw raw(port_);
    raw.say(c.bytes);
    (void)raw.rest();
    EXPECT_TRUE(test::eventually([&] { return last_rule() == c.rule; })) << c.story << ": " << last_rule();
  }
  // Half open: it says nothing, and nobody waits for it.
  const Raw silent(port_);
  EXPECT_TRUE(Session(as("peer", "replication=database")).open());
  // However many of them there are.
  std::vector<std::unique_ptr<Raw>> crowd;
  for (int i = 0; i < 70; ++i) crowd.push_back(std::make_unique<Raw>(port_));
  EXPECT_TRUE(Session(as("peer", "replication=database")).open());
  EXPECT_TRUE(test::eventually([&] {
    const auto all = gate_->book().denials().all();
    return std::ranges::any_of(all, [](const Denial& denial) { return denial.rule == "busy"; });
  }));
}

}  // namespace
}  // namespace domicile::gate
