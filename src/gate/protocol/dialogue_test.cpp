#include "gate/protocol/dialogue.hpp"

#include <gtest/gtest.h>

#include "gate/protocol/feedback.hpp"
#include "gate/protocol/pgoutput_bytes.hpp"

namespace domicile::gate {
namespace {

using bytes::number;
using bytes::text;

const std::string kLink = "domicile_us_us_east_1_eu_central_1", kOther = "domicile_us_us_east_1_eu_west_1";
const PeerRule kPeer{
    "eu-central-1", "domicile_link_eu_central_1", "app", {kLink, "domicile_directory_us_east_1_eu_central_1"}};

std::string start(const std::string& slot, const std::string& lsn = "0/16B3740", const std::string& publication = "",
                  const std::string& more = "") {
  return "START_REPLICATION SLOT \"" + slot + "\" LOGICAL " + lsn + " (proto_version '3'" + more +
         ", publication_names '\"" + (publication.empty() ? slot : publication) + "\"')";
}

std::string judged(const std::string& text) {
  const auto verdict = judge_statement(kPeer, text);
  if (const auto* refused = std::get_if<Refused>(&verdict)) return std::string(name_of(refused->rule));
  return std::get<Statement>(verdict).kind == Statement::Kind::start ? "start" : "ask";
}

TEST(Dialogue, WhatASubscriptionOfPostgres15SendsPasses) {
  EXPECT_EQ(judged("SELECT pg_catalog.set_config('search_path', '', false);"), "ask");
  EXPECT_EQ(judged("IDENTIFY_SYSTEM"), "ask");
  EXPECT_EQ(judged("SELECT t.pubname FROM\n pg_catalog.pg_publication t WHERE\n t.pubname IN ('" + kLink + "')"),
            "ask");
  EXPECT_EQ(
      judged("SELECT DISTINCT t.schemaname, t.tablename \n, t.attnames\nFROM pg_catalog.pg_publication_tables t\n "
             "WHERE t.pubname IN ('" +
             kLink + "')"),
      "ask");
  const auto verdict = judge_statement(kPeer, start(kLink));
  ASSERT_TRUE(std::holds_alternative<Statement>(verdict));
  EXPECT_EQ(std::get<Statement>(verdict).link, kLink);
  EXPECT_EQ(std::get<Statement>(verdict).from, 0x16B3740u);
}

TEST(Dialogue, EverythingElseIsRefusedByName) {
  const struct {
    std::string text, rule;
  } cases[] = {
      {"", "statement"},
      {"SELECT 1", "statement"},
      {"SELECT * FROM app.orders", "statement"},
      {"SELECT pg_read_file('/etc/passwd')", "statement"},
      {"IDENTIFY_SYSTEM; SELECT 1", "statement"},
      {"identify_system", "statement"},
      {"SELECT pg_catalog.set_config('search_path', '', false); SELECT 1", "statement"},
      {"SELECT pg_catalog.set_config('search_path', 'app', false);", "statement"},
      {"COPY app.orders TO STDOUT", "statement"},
      {"COPY app.orders (customer_email) TO STDOUT", "statement"},
      {"CREATE_REPLICATION_SLOT \"x\" LOGICAL pgoutput (SNAPSHOT 'nothing')", "statement"},
      {"CREATE_REPLICATION_SLOT \"x\" LOGICAL test_decoding", "statement"},
      {"CREATE_REPLICATION_SLOT \"x\" PHYSICAL", "statement"},
      {"DROP_REPLICATION_SLOT \"" + kLink + "\" WAIT", "statement"},
      {"READ_REPLICATION_SLOT \"" + kLink + "\"", "statement"},
      {"SHOW data_directory", "statement"},
      {"BASE_BACKUP", "physical"},
      {"TIMELINE_HISTORY 1", "physical"},
      {"START_REPLICATION 0/0 TIMELINE 1", "physical"},
      {"START_REPLICATION PHYSICAL 0/0", "physical"},
      {"START_REPLICATION SLOT \"" + kLink + "\" PHYSICAL 0/0", "physical"},
      {start(kOther), "slot"},
      {start("domicile_salvage_us"), "slot"},
      {start("pg_16394_sync_16389"), "slot"},
      {start(kLink + "\" LOGICAL 0/0 (\"a"), "option"},
      {start(kLink, "0/16B3740", kOther), "publication"},
      {start(kLink, "0/16B3740", "domicile_salvage_us"), "publication"},
      {start(kLink, "0/16B3740", kLink + "\",\"" + kOther), "publication"},
      {start(kLink, "0/16B3740", "", ", binary 'true'"), "option"},
      {start(kLink, "0/16B3740", "", ", streaming 'on'"), "option"},
      {start(kLink, "0/16B3740", "", ", two_phase 'on'"), "option"},
      {start(kLink, "0/16B3740", "", ", messages 'true'"), "option"},
      {start(kLink) + "; SELECT 1", "option"},
      {start(kLink) + " ", "option"},
      {"START_REPLICATION SLOT \"" + kLink + "\" LOGICAL 0/0 (proto_version '4', publication_names '\"" + kLink +
           "\"')",
       "option"},
      {"START_REPLICATION SLOT \"" + kLink + "\" LOGICAL 0/0", "statement"},
      {"START_REPLICATION SLOT \"" + kLink + "\" LOGICAL zero (proto_version '3')", "statement"},
      {"START_REPLICATION SLOT \"" + kLink + "\" LOGICAL 100000000/0 (proto_version '3')", "statement"},
      {"START_REPLICATION SLOT " + kLink + " LOGICAL 0/0 (proto_version '3')", "physical"},
      {"SELECT t.pubname FROM\n pg_catalog.pg_publication t WHERE\n t.pubname IN ('" + kOther + "')", "publication"},
      {"SELECT t.pubname FROM\n pg_catalog.pg_publication t WHERE\n t.pubname IN ('x') OR t.pubname IN ('" + kLink +
           "')",
       "publication"},
      {"SELECT t.pubname FROM\n pg_catalog.pg_publication t WHERE\n t.pubname IN ('" + kLink + "'); SELECT ('x')",
       "publication"},
  };
  for (const auto& c : cases) EXPECT_EQ(judged(c.text), c.rule) << c.text;
}

std::string startup(std::vector<std::pair<std::string, std::string>> parameters) {
  const auto refused = judge_startup(kPeer, {FirstMessage::Kind::startup, std::move(parameters)});
  return refused ? std::string(name_of(refused->rule)) : "";
}

TEST(Dialogue, ASessionIsALinksOrNone) {
  EXPECT_EQ(startup({{"user", "domicile_link_eu_central_1"},
                     {"replication", "database"},
                     {"database", "app"},
                     {"application_name", kLink},
                     {"options", " -c datestyle=ISO"}}),
            "");
  EXPECT_EQ(startup({{"user", "domicile_link_eu_central_1"}, {"database", "app"}}), "startup") << "an ordinary session";
  EXPECT_EQ(startup({{"user", "domicile_link_eu_central_1"}, {"replication", "true"}}), "physical");
  EXPECT_EQ(startup({{"user", "postgres"}, {"replication", "database"}, {"database", "app"}}), "startup");
  EXPECT_EQ(startup({{"user", "domicile_link_eu_west_1"}, {"replication", "database"}, {"database", "app"}}),
            "startup");
  EXPECT_EQ(startup({{"user", "domicile_link_eu_central_1"}, {"replication", "database"}, {"database", "postgres"}}),
            "startup");
  EXPECT_EQ(
      startup(
          {{"user", "domicile_link_eu_central_1"}, {"replication", "database"}, {"database", "app"}, {"_pq_.x", "1"}}),
      "startup");
  EXPECT_EQ(startup({}), "startup");
}

TEST(Dialogue, AMessageThatASubscriptionDoesNotSendIsRefused) {
  for (const char type : std::string("PBDECSHFpfdc\0z", 14))
    EXPECT_TRUE(std::holds_alternative<Refused>(judge_message(type, false))) << type;
  for (const char type : std::string("QPBDECSHFpfz"))
    EXPECT_TRUE(std::holds_alternative<Refused>(judge_message(type, true))) << type;
  EXPECT_EQ(std::get<PeerMessage>(judge_message('Q', false)), PeerMessage::query);
  EXPECT_EQ(std::get<PeerMessage>(judge_message('d', true)), PeerMessage::copy_data);
  EXPECT_EQ(std::get<PeerMessage>(judge_message('X', true)), PeerMessage::terminate);
}

TEST(Frames, AreTakenWholeOrNotAtAll) {
  const std::string two = frame('Q', text("IDENTIFY_SYSTEM")) + frame('X', "");
  for (std::size_t size = 0; size < 21; ++size) {
    std::string_view part = std::string_view(two).substr(0, size);
    const auto taken = take_frame(part, 100);
    ASSERT_TRUE(taken);
    EXPECT_FALSE(*taken) << size;
    EXPECT_EQ(part.size(), size);
  }
  std::string_view left = two;
  EXPECT_EQ((*take_frame(left, 100))->body, text("IDENTIFY_SYSTEM"));
  EXPECT_EQ((*take_frame(left, 100))->type, 'X');
  EXPECT_TRUE(left.empty());
  for (const std::uint64_t length : {0u, 3u, 101u, 0x7fffffffu, 0xffffffffu}) {
    const std::string lie = "Q" + number(length, 4);
    std::string_view bytes = lie;
    EXPECT_FALSE(take_frame(bytes, 100)) << length;
  }
}

TEST(Frames, TheFirstMessageIsOneOfFour) {
  using Kinds = FirstMessage::Kind;
  const auto of = [](const std::string& body) {
    const std::string whole = number(body.size() + 4, 4) + body;
    std::string_view left = whole;
    return take_first(left);
  };
  EXPECT_EQ((*of(number(80877103, 4)))->kind, Kinds::tls);
  EXPECT_EQ((*of(number(80877104, 4)))->kind, Kinds::gssapi);
  EXPECT_EQ((*of(number(80877102, 4) + number(1, 8)))->kind, Kinds::cancel);
  const auto startup =
      of(number(3 << 16, 4) + text("user") + text("x") + text("replication") + text("database") + '\0');
  ASSERT_TRUE(startup);
  EXPECT_EQ((*startup)->parameters.size(), 2u);
  EXPECT_FALSE(of(number(2 << 16, 4) + '\0'));
  EXPECT_FALSE(of(number(3 << 16, 4) + "user"));
  EXPECT_FALSE(of(number(3 << 16, 4) + text("user")));
  EXPECT_FALSE(of(number(3 << 16, 4) + text("user") + text("x") + '\0' + "more"));
  EXPECT_FALSE(of(std::string(20'000, 'x')));
  EXPECT_FALSE(of(""));
}

TEST(Frames, OfAServersErrorOnlyItsCodeIsTaken) {
  const std::string quoting = error_frame("22P02", "invalid input: canary", "canary");
  std::string_view left = quoting;
  EXPECT_EQ(sqlstate_of_error((*take_frame(left, 200))->body), "22P02");
  for (const std::string& body : {std::string(), std::string("C"), text("Mx"), std::string("C12\0", 4) + '\0'})
    EXPECT_EQ(sqlstate_of_error(body), "XX000");
}

TEST(Feedback, ConfirmsNoMoreThanWasWrittenToTheSubscriber) {
  Feedback feedback;
  const StatusUpdate all{~0ULL, ~0ULL, ~0ULL, 5, true};
  EXPECT_EQ(feedback.clamped(all).flushed, 0u);
  feedback.queued(150, 40);
  feedback.queued(150, 60);
  feedback.queued(200, 80);
  EXPECT_EQ(feedback.clamped(all).flushed, 0u) << "it is on its way";
  feedback.written(39);
  EXPECT_EQ(feedback.clamped(all).flushed, 0u);
  feedback.written(79);
  EXPECT_EQ(feedback.clamped(all).flushed, 150u);
  feedback.written(80);
  EXPECT_EQ(feedback.clamped(all).written, 200u);
  EXPECT_EQ(feedback.clamped({120, 180, 110, 5, false}).flushed, 120u) << "nothing is flushed before it is written";
  EXPECT_EQ(feedback.clamped({120, 110, 100, 5, false}).applied, 100u);
}

TEST(Feedback, AStatusUpdateSurvivesItsWriting) {
  const std::string whole = to_frame({1, 2, 3, 4, true});
  std::string_view left = whole;
  const auto update = status_update((*take_frame(left, 100))->body);
  ASSERT_TRUE(update);
  EXPECT_EQ(update->flushed, 2u);
  EXPECT_TRUE(update->reply);
  EXPECT_FALSE(status_update("h"));
  EXPECT_FALSE(status_update("r123"));
}

}  // namespace
}  // namespace domicile::gate
