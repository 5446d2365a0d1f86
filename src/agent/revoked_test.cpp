#include "base/revoked.hpp"

#include <gtest/gtest.h>

#include "agent/api.hpp"
#include "base/temp_dir.hpp"

namespace domicile::agent {
namespace {

TEST(Revoked, ASerialNumberIsReadInEachFormThatToolsPrint) {
  const struct {
    const char *name, *text, *serial;
  } cases[] = {
      {"as openssl prints it", "serial=4F3A00", "4F3A00"},
      {"small letters", "4f3a00", "4F3A00"},
      {"bytes with colons", "4f:3a:00", "4F3A00"},
      {"leading zeros", "004F3A00", "4F3A00"},
      {"comment behind it", "serial=4F  # lost laptop", "4F"},
      {"spaces and a carriage return", "  4F \r", "4F"},
      {"zero", "00", "0"},
  };
  for (const auto& c : cases) {
    const auto list = parse_revoked(c.text);
    ASSERT_TRUE(list) << c.name;
    EXPECT_EQ(*list, std::set<std::string>{c.serial}) << c.name;
  }
  EXPECT_EQ(*parse_revoked("# nobody\n\n  \n"), std::set<std::string>{});
  EXPECT_EQ(*parse_revoked("serial=1\n#\n2"), (std::set<std::string>{"1", "2"}));
}

TEST(Revoked, WhatIsNoSerialNumberIsAnErrorThatNamesItsLine) {
  for (const char* line : {"serial=", "serial=xyz", "serial 4F", "Serial Number: 4f", "4F 3A", "ann", ":4f",
                           "4f:", "4f::3a", "-----BEGIN X509 CRL-----", "0x4F", "serial=serial=4F", "4F,3A", "-1"}) {
    const auto list = parse_revoked(std::string("4F\n") + line + "\n");
    ASSERT_FALSE(list) << line;
    EXPECT_EQ(list.error().id, "DOM-E609") << line;
    EXPECT_NE(list.error().what.find("line 2"), std::string::npos) << list.error().what;
  }
}

class RolesTest : public testing::Test {
 protected:
  // Reads the list anew: a Roles of its own for each question.
  std::set<Role> of(const std::string& name, const std::string& serial) const {
    HttpCall call;
    call.peer_name = name;
    call.peer_serial = serial;
    return Roles(config()).of(call);
  }
  const AgentConfig& config() const { return config_; }
  RolesTest() {
    config_.api.roles["ann"] = {"view", "operate"};
    config_.sites["eu-1"] = {};
    config_.api.revoked_file = folder_.path() / "revoked";
  }
  void list(const std::string& text) { ASSERT_TRUE(write_file(config_.api.revoked_file, text)); }

  TempDir folder_;
  AgentConfig config_;
};

TEST_F(RolesTest, ARevokedCertificateHasNoneAndOthersKeepTheirs) {
  list("serial=0A4F\n");
  EXPECT_TRUE(of("ann", "0A4F").empty());
  EXPECT_TRUE(of("eu-1", "0A4F").empty()) << "a site's as well";
  EXPECT_EQ(of("ann", "0B"), (std::set<Role>{Role::view, Role::operate}));
  EXPECT_TRUE(of("nobody", "0B").empty());
}

TEST_F(RolesTest, ASitePassesSwitchesOnAndApprovesNothing) {
  list("");
  EXPECT_EQ(of("eu-1", "0B"), (std::set<Role>{Role::agent, Role::view, Role::operate}));
}

TEST_F(RolesTest, NobodyFromElsewhereHasOneWhileTheListWasNeverRead) {
  EXPECT_TRUE(of("ann", "0B").empty()) << "it does not exist";
  EXPECT_TRUE(of("eu-1", "0B").empty());
  list("0B is Ann's\n");
  EXPECT_TRUE(of("ann", "01").empty()) << "it cannot be understood";
  HttpCall local;
  local.local = true;
  EXPECT_EQ(Roles(config()).of(local).size(), 4u) << "the host's operator can look after it";
  EXPECT_NE(Roles(config()).trouble().find("line 1"), std::string::npos);
  config_.api.revoked_file.clear();
  EXPECT_EQ(of("ann", "0B").size(), 2u) << "no list is configured";
}

}  // namespace
}  // namespace domicile::agent
