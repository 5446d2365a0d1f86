#include "agent/bodies.hpp"

#include <gtest/gtest.h>

namespace domicile::agent {
namespace {

TEST(Bodies, ASwitchComesBackAsItWasPassedOn) {
  const auto body = switch_body(R"({"residency":"us","to":"eu-central-1","reason":"drill","terminate":true,"x":1})");
  ASSERT_TRUE(body);
  EXPECT_EQ(body->to, "eu-central-1");
  EXPECT_EQ(body->by, "");
  EXPECT_TRUE(body->terminate);
  EXPECT_EQ(switch_body(dump(json_of(*body))), *body);
}

template <class Body>
std::string kind(const Result<Body>& body) {
  return body ? "taken" : std::string(name_of(body.error().kind));
}

TEST(Bodies, WhatIsWrongWithOneIsTheAskersMistake) {
  for (const char* bad : {"", "no json", "[]", "7", "null", "{}", R"({"residency": 1, "session": 1, "reason": 1})"}) {
    EXPECT_EQ(kind(epoch_body(bad)), "invalid_input") << bad;
    EXPECT_EQ(kind(switch_body(bad)), "invalid_input") << bad;
    EXPECT_EQ(kind(approval_body(bad)), "invalid_input") << bad;
    EXPECT_EQ(kind(adopt_body(bad)), "invalid_input") << bad;
    EXPECT_EQ(kind(glass_body(bad)), "invalid_input") << bad;
    EXPECT_EQ(kind(rows_body(bad)), "invalid_input") << bad;
    EXPECT_EQ(kind(session_body(bad)), "invalid_input") << bad;
  }
  EXPECT_EQ(kind(epoch_body(R"({"epoch": "1", "owner": "a"})")), "invalid_input");
  EXPECT_EQ(kind(switch_body(R"({"residency": "us", "to": "a", "reason": ""})")), "invalid_input");
  EXPECT_EQ(kind(switch_body(R"({"residency": "us", "to": "a", "reason": "r", "terminate": 1})")), "invalid_input");
  EXPECT_EQ(kind(approval_body(R"({"proposal": "us-2", "reason": ""})")), "invalid_input");
  EXPECT_EQ(kind(adopt_body(R"({"owner": "a", "reason": "r"})")), "invalid_input") << "an owner of everything";
  EXPECT_EQ(kind(glass_body(R"({"residency": "us", "attest": {"a": ""}})")), "invalid_input");
  EXPECT_EQ(kind(glass_body(R"({"residency": "us", "attest": ["a"]})")), "invalid_input");
  for (const char* columns : {"{}", R"({"a": "id"})", R"("id")", "[1]", "null"})
    EXPECT_EQ(kind(rows_body(fmt::format(R"({{"session": "s", "schema": "s", "name": "n", "columns": {}}})", columns))),
              "invalid_input")
        << columns;
}

}  // namespace
}  // namespace domicile::agent
