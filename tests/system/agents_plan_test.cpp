// `domicile plan` beside the databases: every site's member of the quorum, its login there and its gateway, as its own
// agent tells them.
#include <gtest/gtest.h>

#include "engines/etcd/base64.hpp"
#include "engines/etcd/etcd_client.hpp"
#include "support/agents_fixture.hpp"

namespace domicile::test {
namespace {

constexpr int kSame = 0, kDiffers = 2, kUnknown = 75;

TEST(AgentsPlan, EverySitesQuorumAndGatewayAreHeldAgainstTheTopologyAndASilentOneIsUnknown) {
  Regions regions({.gateways = true});
  Outcome last;
  const auto says = [&](int code, const std::string& words) {
    return eventually(
        [&] {
          last = regions.cli({"plan", "--agent", regions.socket(kUs).string(), "--detailed-exitcode"});
          return last.exit_code == code && last.out.find(words) != std::string::npos;
        },
        30 * kSecond, 300 * kMillisecond);
  };
  ASSERT_TRUE(says(kSame, "0 not as they should be, 0 unknown")) << last.exit_code << last.out << last.err;
  for (const auto& region : Regions::all())
    EXPECT_NE(last.out.find("user " + region +
                            ": READ domicile/*, READWRITE domicile/authority/*, READWRITE "
                            "domicile/beat/" +
                            region),
              std::string::npos)
        << last.out;

  // Somebody lets eu-west-1 write another region's beat. Only that site's own login may see it, and root.
  etcd::Client root(regions.etcd().access("root"));
  const std::string key = etcd::to_base64("domicile/beat/" + kUs);
  must(root.call("/v3/auth/role/grant", {{"name", kWest}, {"perm", {{"permType", "READWRITE"}, {"key", key}}}},
                 etcd::Effect::writes));
  EXPECT_TRUE(says(kDiffers, "~ etcd: its role may too much: READWRITE domicile/beat/" + kUs))
      << last.exit_code << last.out << last.err;
  must(root.call("/v3/auth/role/revoke", {{"role", kWest}, {"key", key}}, etcd::Effect::writes));
  EXPECT_TRUE(says(kSame, "0 not as they should be")) << last.exit_code << last.out << last.err;

  regions.gateway(kEu).signal(SIGKILL);
  EXPECT_TRUE(says(kDiffers, "~ gateway: no worker of nginx lives")) << last.exit_code << last.out << last.err;
  regions.gateway(kEu).start();
  EXPECT_TRUE(says(kSame, "0 not as they should be")) << last.exit_code << last.out << last.err;

  regions.kill_agent(kWest);
  EXPECT_TRUE(says(kUnknown, "? gateway: unknown: ")) << last.exit_code << last.out << last.err;
  EXPECT_NE(last.out.find("2 unknown"), std::string::npos) << last.out;
  EXPECT_EQ(regions.cli({"plan", "--detailed-exitcode"}).exit_code, kSame) << "the databases alone";
}

}  // namespace
}  // namespace domicile::test
