#include "engines/postgres/connection.hpp"

#include <gtest/gtest.h>

namespace domicile::postgres {
namespace {

TEST(Quoting, LeavesNoWayOutOfAnIdentifier) {
  EXPECT_EQ(Connection::quote_identifier("plain"), "\"plain\"");
  EXPECT_EQ(Connection::quote_identifier("a\"; DROP"), "\"a\"\"; DROP\"");
}

TEST(Quoting, LeavesNoWayOutOfALiteral) {
  EXPECT_EQ(Connection::quote_literal("it's"), "'it''s'");
  EXPECT_EQ(Connection::quote_literal("a\\'b"), " E'a\\\\''b'");
}

TEST(Open, AServerThatIsNotThereIsUnavailable) {
  const auto opened = Connection::open("host=127.0.0.1 port=1 user=nobody dbname=nothing");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Kind::unavailable);
}

TEST(ErrorText, IsPassedOnOnlyWhereItCanQuoteNoRow) {
  const std::string theirs = "PL/pgSQL function app.check_mail() line 3 at RAISE",
                    own = "PL/pgSQL function domicile.subscription_create(text,text) line 5 at RAISE";
  for (const char* state : {"42P01", "23505", "57P01", "53300", "DM001"}) EXPECT_TRUE(text_holds_no_value(state, ""));
  for (const char* state : {"22P02", "23514", "P0001", "XX000", "38000", "HV000", ""})
    EXPECT_FALSE(text_holds_no_value(state, "")) << state;
  // Somebody's trigger may raise anything, under any code, and its dynamic SQL may quote a row.
  for (const char* state : {"P0001", "23505", "42601", "57014"})
    EXPECT_FALSE(text_holds_no_value(state, theirs)) << state;
  EXPECT_FALSE(text_holds_no_value("P0001", theirs + "\nSQL statement\n" + own));
  EXPECT_TRUE(text_holds_no_value("P0001", own));
  EXPECT_TRUE(text_holds_no_value("42501", own));
  EXPECT_TRUE(text_holds_no_value("23505", "COPY orders, line 3"));
  EXPECT_TRUE(text_holds_no_value("DM001", theirs));
}

TEST(Sqlstate, OnlyOfErrorsThatPostgresRaised) {
  EXPECT_EQ(sqlstate_of(Error{Kind::failed, "x", "", "SQLSTATE 42P01"}), "42P01");
  EXPECT_EQ(sqlstate_of(Error{Kind::failed, "x", "", "DOM-E014"}), "");
}

}  // namespace
}  // namespace domicile::postgres
