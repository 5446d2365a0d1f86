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

TEST(Sqlstate, OnlyOfErrorsThatPostgresRaised) {
  EXPECT_EQ(sqlstate_of(Error{Kind::failed, "x", "", "SQLSTATE 42P01"}), "42P01");
  EXPECT_EQ(sqlstate_of(Error{Kind::failed, "x", "", "DOM-E014"}), "");
}

}  // namespace
}  // namespace domicile::postgres
