// A hostile peer with every right that its certificate gives gets nothing but its link.
#include <algorithm>
#include <functional>

#include "base/json.hpp"
#include "support/gate_between.hpp"
#include "support/hostile_peer.hpp"

namespace domicile::gate {
namespace {

using bytes::number;
using bytes::text;

class GateHostile : public GateBetween {
 protected:
  GateHostile() {
    auto db = source_.connect();
    must(db.exec("SELECT pg_create_logical_replication_slot('" + kLinkName + "', 'pgoutput')"));
    must(db.exec("SELECT pg_create_logical_replication_slot('other', 'pgoutput')"));
  }
  // Makes the attempt, which is refused by this rule; and the gate's log says so.
  void refused(const std::string& story, const std::string& rule, const std::function<void()>& attempt) {
    SCOPED_TRACE(story);
    const std::size_t before = gate_->book().denials().all().size();
    attempt();
    ++attempts_;
    ASSERT_TRUE(test::eventually([&] { return gate_->book().denials().all().size() > before; }));
    const Denial denial = gate_->book().denials().all().at(before);
    EXPECT_EQ(denial.rule, rule) << denial.what;
    EXPECT_TRUE(test::eventually([&] { return logged(denial); }));
  }
  bool logged(const Denial& denial) const {
    const std::string all = log();
    const auto at = all.find('"' + denial.id + '"');
    const auto end = all.find('\n', at);
    if (end == all.npos) return false;
    const auto begin = all.rfind('\n', at) + 1;
    const Json line = must(parse_json(all.substr(begin, end - begin), "a line of the log"));
    EXPECT_EQ(line.value("event", ""), "gate.refused");
    EXPECT_EQ(line.value("code", ""), denial.rule);
    EXPECT_EQ(line.value("reason", ""), denial.what);
    EXPECT_EQ(line.value("peer", ""), denial.region.empty() ? "unknown" : denial.region);
    return true;
  }
  std::string peer() const { return (certificates_ / "peer").string(); }
  static std::string start_up(const std::string& more = "") {
    return wish(kSession, text("user") + text(kRole) + text("database") + text("postgres") + text("replication") +
                              text("database") + more + '\0');
  }
  // A session that may ask.
  std::unique_ptr<InsideTls> begun() const {
    auto out = std::make_unique<InsideTls>(port_, peer());
    out->say(start_up());
    EXPECT_EQ(out->until("Z"), 'Z');
    return out;
  }
  // One whose link streams. PostgreSQL may need a moment to give up the slot of the last one.
  std::unique_ptr<InsideTls> streaming() const {
    auto out = begun();
    EXPECT_TRUE(test::eventually([&] {
      out->say(frame('Q', text("START_REPLICATION SLOT \"" + kLinkName + "\" LOGICAL 0/0 (proto_version '3', " +
                               "publication_names '\"" + kLinkName + "\"')")));
      return out->until("WZ") == 'W';
    }));
    return out;
  }

  void statements();
  void doors();
  void in_the_clear();
  void before_a_session();
  void in_a_session();
  void in_a_stream();
  void programs();

  int attempts_ = 0;
};

TEST_F(GateHostile, APeerWithItsCertificateGetsNothingButItsLinkAndEachAttemptIsLogged) {
  statements();
  doors();
  in_the_clear();
  before_a_session();
  in_a_session();
  in_a_stream();
  programs();
  EXPECT_GE(attempts_, 60);
  EXPECT_EQ(must(source_.connect().exec("SELECT count(*) FROM pg_replication_slots")).text(0, 0), "2");
  EXPECT_TRUE(gate_->book().held().empty());
}

void GateHostile::statements() {
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
  for (const auto& attempt : attempts)
    refused(attempt.sql, attempt.rule, [&] {
      const Session session(as("peer", "replication=database"));
      ASSERT_TRUE(session.open()) << session.message();
      EXPECT_EQ(session.ask(attempt.sql), "DM010");
      EXPECT_NE(session.message().find("refused by rule " + attempt.rule), std::string::npos) << session.message();
    });
}

void GateHostile::doors() {
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
  for (const auto& door : doors)
    refused(door.conninfo, door.rule, [&] {
      const Session session(door.conninfo);
      // A client of TLS 1.3 learns from its first read that its certificate was refused.
      EXPECT_TRUE(!session.open() || session.ask("IDENTIFY_SYSTEM") != "ok");
    });
}

// What is not whole is left there.
void GateHostile::in_the_clear() {
  const struct {
    std::string story, bytes, rule;
  } cases[] = {
      {"a cancel request", wish(kWantsEnd, number(1, 4) + number(2, 4)), "cancel"},
      {"protocol 2", wish(2 << 16, std::string(20, '\0')), "size"},
      {"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "size"},
      {"a length of nothing", number(0, 4), "size"},
      {"a length of a gigabyte", number(1 << 30, 4), "size"},
      {"TLS at once", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), "size"},
      {"a session behind the wish for TLS", wish(kWantsTls) + wish(kSession, text("user") + text("x") + '\0'), "tls"},
      {"GSSAPI twice", wish(kWantsGssapi) + wish(kWantsGssapi), "tls"},
      {"a start-up in the clear", wish(kSession, text("user") + text(kRole) + '\0'), "tls"},
      {"half a first message", number(8, 4).substr(0, 3), "size"},
      {"half a start-up", wish(kSession, text("user")).substr(0, 12), "size"},
      {"half a handshake", wish(kWantsTls), "certificate"},
  };
  for (const auto& c : cases)
    refused(c.story, c.rule, [&] {
      const Raw raw(port_);
      raw.say(c.bytes);
      raw.leave();
      (void)raw.rest();
    });
}

void GateHostile::before_a_session() {
  const struct {
    std::string story, bytes, rule;
  } cases[] = {
      {"a cancel request", wish(kWantsEnd, number(1, 4) + number(2, 4)), "cancel"},
      {"TLS inside of TLS", wish(kWantsTls), "startup"},
      {"GSSAPI inside of TLS", wish(kWantsGssapi), "startup"},
      {"protocol 2", wish(2 << 16, std::string(20, '\0')), "size"},
      {"nobody's session", wish(kSession, std::string(1, '\0')), "startup"},
      {"a protocol extension", start_up(text("_pq_.x") + text("1")), "startup"},
      {"a start-up of a gigabyte", number(1 << 30, 4) + number(kSession, 4), "size"},
      {"a start-up that is longer than any", start_up(text("options") + text(std::string(10'000, 'x'))), "size"},
      {"a start-up without its end", wish(kSession, text("user") + kRole), "size"},
      {"a start-up that is shorter than it says", start_up().substr(0, 30), "size"},
      {"half a length", number(0, 2), "size"},
  };
  for (const auto& c : cases)
    refused(c.story, c.rule, [&] {
      InsideTls inside(port_, peer());
      inside.say(c.bytes);
      inside.leave();
      inside.to_the_end();
    });
}

void GateHostile::in_a_session() {
  const std::string question = frame('Q', text("IDENTIFY_SYSTEM"));
  const struct {
    std::string story, bytes, rule;
  } cases[] = {
      {"Parse", frame('P', text("") + text("SELECT 1") + number(0, 2)), "message"},
      {"Bind", frame('B', text("") + text("") + number(0, 6)), "message"},
      {"Describe", frame('D', "S" + text("")), "message"},
      {"Execute", frame('E', text("") + number(0, 4)), "message"},
      {"Close", frame('C', "S" + text("")), "message"},
      {"Flush", frame('H', ""), "message"},
      {"Sync", frame('S', ""), "message"},
      {"FunctionCall", frame('F', number(1598, 4) + number(0, 6)), "message"},
      {"CopyData", frame('d', "x"), "message"},
      {"CopyDone", frame('c', ""), "message"},
      {"CopyFail", frame('f', text("no")), "message"},
      {"a password", frame('p', text("secret")), "message"},
      {"a start-up again", start_up(), "size"},
      {"no type", frame('\0', ""), "message"},
      {"nothing asked", frame('Q', ""), "size"},
      {"an empty question", frame('Q', text("")), "statement"},
      {"a question without its end", frame('Q', "IDENTIFY_SYSTEM"), "size"},
      {"a question behind a zero", frame('Q', text("IDENTIFY_SYSTEM") + text("; SELECT 1")), "statement"},
      {"a question longer than any", frame('Q', text(std::string(9000, ' '))), "size"},
      {"a question of a gigabyte", "Q" + number(1 << 30, 4), "size"},
      {"a length of nothing", "Q" + number(0, 4), "size"},
      {"a negative length", "Q" + number(~0U, 4), "size"},
      {"half a question", question.substr(0, 9), "size"},
      {"half a length", question.substr(0, 3), "size"},
  };
  for (const auto& c : cases)
    refused(c.story, c.rule, [&] {
      const auto session = begun();
      session->say(c.bytes);
      session->leave();
      session->to_the_end();
    });
}

void GateHostile::in_a_stream() {
  const struct {
    std::string story, bytes, rule;
  } cases[] = {
      {"a question", frame('Q', text("IDENTIFY_SYSTEM")), "message"},
      {"Parse", frame('P', text("") + text("SELECT 1") + number(0, 2)), "message"},
      {"FunctionCall", frame('F', number(1598, 4) + number(0, 6)), "message"},
      {"CopyFail", frame('f', text("no")), "message"},
      {"a standby's feedback", frame('d', "h" + number(0, 8) + number(1, 4) + number(0, 4)), "message"},
      {"rows", frame('d', "w" + number(0, 24) + "B"), "message"},
      {"a status update that is too short", frame('d', "r" + number(0, 8)), "message"},
      {"a status update that is too long", frame('d', "r" + std::string(34, '\0')), "message"},
      {"a message of a gigabyte", "d" + number(1 << 30, 4), "size"},
      {"a length of nothing", "d" + number(0, 4), "size"},
  };
  for (const auto& c : cases)
    refused("in a stream: " + c.story, c.rule, [&] {
      const auto session = streaming();
      session->say(c.bytes);
      session->to_the_end();
    });
}

void GateHostile::programs() {
  const struct {
    std::vector<std::string> argv;
    std::string rule;
  } programs[] = {
      {{"pg_basebackup", "-D", (state_.path() / "copy").string(), "-d", as("peer")}, "physical"},
      {{"pg_receivewal", "-D", state_.path().string(), "-n", "-d", as("peer")}, "physical"},
      {{"pg_recvlogical", "-d", as("peer"), "--slot", "mine", "--create-slot"}, "statement"},
      {{"pg_recvlogical", "-n", "-d", as("peer"), "--slot", kLinkName, "--start", "-f", "-"}, "statement"},
      {{"pg_dump", "-d", as("peer")}, "startup"},
  };
  for (const auto& program : programs)
    refused(program.argv[0], program.rule, [&] {
      auto argv = program.argv;
      argv[0] = "/usr/lib/postgresql/15/bin/" + argv[0];
      EXPECT_NE(must(run({argv}, 20 * kSecond)).exit_code, 0);
    });
}

TEST_F(GateHostile, WhoeverIsNotWholeBeforeItsTimeIsOverIsRefused) {
  gate_.reset();
  patience_ = 3 * kSecond;
  open();
  const auto in_the_clear = [&](const std::string& bytes) {
    const Raw raw(port_);
    raw.say(bytes);
    (void)raw.rest();
  };
  const auto inside = [&](const std::string& bytes) {
    InsideTls peer_inside(port_, peer());
    peer_inside.say(bytes);
    peer_inside.to_the_end();
  };
  const auto asking = [&](const std::string& bytes) {
    const auto session = begun();
    session->say(bytes);
    session->to_the_end();
  };
  const std::string question = frame('Q', text("IDENTIFY_SYSTEM"));
  const struct {
    std::string story;
    std::function<void()> attempt;
  } cases[] = {
      {"nothing is said", [&] { in_the_clear(""); }},
      {"half a first message", [&] { in_the_clear(number(8, 4)); }},
      {"half a handshake",
       [&] {
         const Raw raw(port_);
         raw.say(wish(kWantsTls));
         EXPECT_EQ(raw.next(), 'S');
         raw.say(std::string("\x16\x03\x01", 3));
         (void)raw.rest();
       }},
      {"nothing inside of TLS", [&] { inside(""); }},
      {"half a start-up", [&] { inside(start_up().substr(0, 20)); }},
      {"nothing asked", [&] { asking(""); }},
      {"half a question", [&] { asking(question.substr(0, 7)); }},
      {"nothing behind an answer", [&] { asking(question); }},
      {"a first message byte by byte",
       [&] {
         const Raw raw(port_);
         const std::string slow = wish(kSession, std::string(5000, 'x'));
         for (std::size_t said = 0; said < slow.size() && raw.hears(); ++said) {
           raw.say(slow.substr(said, 1));
           ::usleep(50'000);
         }
       }},
  };
  for (const auto& c : cases)
    refused(c.story, "silent", [&] {
      const Micros begun_at = monotonic_now();
      c.attempt();
      EXPECT_GE(monotonic_now() - begun_at, patience_);
    });
}

TEST_F(GateHostile, ACrowdWithoutCertificatesKeepsNobodyOutAndItsOldestIsToldWhy) {
  std::vector<std::unique_ptr<Raw>> crowd;
  refused("too many", "busy", [&] {
    for (int i = 0; i < 70; ++i) crowd.push_back(std::make_unique<Raw>(port_));
  });
  EXPECT_NE(crowd.front()->rest().find("refused by rule busy"), std::string::npos);
  const Session session(as("peer", "replication=database"));
  EXPECT_TRUE(session.open()) << session.message();
}

TEST_F(GateHostile, ARegionWithTooManySessionsIsToldSoAndKeepsNoOtherOut) {
  gate_.reset();
  per_peer_ = 3;
  patience_ = test::kPatient;  // for those that ask nothing
  open();
  std::vector<std::unique_ptr<Session>> sessions;
  for (int i = 0; i < per_peer_; ++i) {
    sessions.push_back(std::make_unique<Session>(as("peer", "replication=database")));
    ASSERT_TRUE(sessions.back()->open()) << sessions.back()->message();
  }
  refused("one more", "busy", [&] {
    const Session more(as("peer", "replication=database"));
    EXPECT_FALSE(more.open());
    EXPECT_NE(more.message().find("refused by rule busy"), std::string::npos) << more.message();
  });
  EXPECT_EQ(gate_->book().denials().all().back().region, "eu-central-1");
  const Session neighbour(as("neighbour", "replication=database user=" + kNeighbour));
  EXPECT_TRUE(neighbour.open()) << neighbour.message();
  sessions.pop_back();
  EXPECT_TRUE(test::eventually([&] { return Session(as("peer", "replication=database")).open(); }));
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
  revoke("revoked");
  EXPECT_FALSE(Session(as("revoked", "replication=database")).open());
  EXPECT_EQ(last_rule(), "certificate");
  EXPECT_TRUE(Session(as("peer", "replication=database")).open());
}

TEST_F(GateBetween, ACertificateThatIsRevokedMeanwhileEndsItsStream) {
  bring_up();
  write("INSERT INTO app.orders (residency, tenant, amount) VALUES ('us', 't', 1)");
  ASSERT_TRUE(caught_up());
  revoke("peer");
  ASSERT_TRUE(test::eventually(
      [&] { return log().find("was revoked while " + kLinkName + " streamed") != std::string::npos; }));
  write("INSERT INTO app.orders (residency, tenant, amount) VALUES ('us', 't', 2)");
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "1");
  revoke("nobody");
  ASSERT_TRUE(caught_up_again());
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "2");
}

}  // namespace
}  // namespace domicile::gate
