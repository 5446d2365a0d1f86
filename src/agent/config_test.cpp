#include "agent/config.hpp"

#include <gtest/gtest.h>

#include "agent/gateway_settings.hpp"
#include "base/temp_dir.hpp"
#include "core/topology/parse.hpp"

namespace domicile::agent {
namespace {

const std::string kTls = "sslmode=verify-full sslrootcert=/ca sslcert=/c sslkey=/k";
const std::string kGood =
    "region: eu-1\n"             // 1
    "topology: topology.yaml\n"  // 2
    "state: state\n"             // 3
    "etcd: {endpoints: ['https://10.0.0.1:2379'], user: eu-1, password_file: p, ca: a, certificate: c, key: k}\n"
    "api: {listen: '10.0.0.1:7400', socket: s, ca: a, certificate: c, key: k, roles: {ann: [view]}}\n"
    "sites:\n"                          // 6
    "  us-1:\n"                         // 7
    "    api: https://10.0.0.2:7400\n"  // 8
    "    link: \"host=10.0.0.2 dbname=app user=u " +
    kTls +
    "\"\n"                                       // 9
    "  v-1: {api: 'https://v.example:7400'}\n";  // 10

Result<AgentConfig> read(std::string text, const std::string& from = "", const std::string& to = "") {
  if (!from.empty()) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) text.replace(at, from.size(), to);
  }
  const TempDir folder;
  EXPECT_TRUE(write_file(folder.path() / "agent.yaml", text));
  return read_agent_config(folder.path() / "agent.yaml");
}

TEST(AgentConfig, AGoodFileIsRead) {
  const auto config = read(kGood);
  ASSERT_TRUE(config) << render(config.error());
  EXPECT_EQ(config->api.port, 7400);
  EXPECT_EQ(config->sites.size(), 2u);
}

TEST(AgentConfig, EachWrongFileIsRefusedWithItsCodeAndLine) {
  const std::string link = "host=10.0.0.2 dbname=app user=u " + kTls;
  const struct {
    const char* name;
    std::string from, to;
    const char *code, *line;
  } cases[] = {
      {"no YAML", "region: eu-1", "region: [", "DOM-E600", ""},
      {"an unknown setting", "state: state", "state: state\nstat: x", "DOM-E601", ":4:"},
      {"an empty setting", "user: eu-1", "user: ''", "DOM-E601", ":4:"},
      {"no certificate", "certificate: c, ", "", "DOM-E601", ":4:"},
      {"an empty key", "key: k, roles", "key: '', roles", "DOM-E601", ":5:"},
      {"no endpoint", "['https://10.0.0.1:2379']", "[]", "DOM-E601", ":4:"},
      {"a port that goes on", "10.0.0.1:7400'", "10.0.0.1:7400x'", "DOM-E601", ":5:"},
      {"port 0", "10.0.0.1:7400'", "10.0.0.1:0'", "DOM-E601", ":5:"},
      {"etcd in clear", "https://10.0.0.1:2379", "http://10.0.0.1:2379", "DOM-E604", ":4:"},
      {"etcd in clear on loopback", "https://10.0.0.1:2379", "http://127.0.0.1:2379", "DOM-E604", ":4:"},
      {"etcd in clear as the second", "['https://10.0.0.1:2379']", "['https://a:1', 'http://b:1']", "DOM-E604", ":4:"},
      {"etcd without scheme", "https://10.0.0.1:2379", "10.0.0.1:2379", "DOM-E604", ":4:"},
      {"etcd without port", "https://10.0.0.1:2379", "https://10.0.0.1", "DOM-E604", ":4:"},
      {"a peer in clear", "https://10.0.0.2", "http://10.0.0.2", "DOM-E604", ":8:"},
      {"a peer with another host behind @", "https://10.0.0.2:7400", "https://good:1@10.0.0.2:7400", "DOM-E604", ":8:"},
      {"a peer with a path", "https://v.example:7400", "https://v.example:7400/x:1", "DOM-E604", ":10:"},
      {"a link without sslmode", "sslmode=verify-full ", "", "DOM-E605", ":9:"},
      {"a link that verifies no host", "verify-full", "verify-ca", "DOM-E605", ":9:"},
      {"a link that only prefers TLS", "verify-full", "prefer", "DOM-E605", ":9:"},
      {"a link without TLS", "verify-full", "disable", "DOM-E605", ":9:"},
      {"a link that trusts anybody", " sslrootcert=/ca", "", "DOM-E605", ":9:"},
      {"a link without certificate", " sslcert=/c", "", "DOM-E605", ":9:"},
      {"a link without key", " sslkey=/k", "", "DOM-E605", ":9:"},
      {"a link with an empty key", "sslkey=/k", "sslkey=''", "DOM-E605", ":9:"},
      {"a link over a Unix socket", "host=10.0.0.2", "host=/run/postgresql", "DOM-E605", ":9:"},
      {"a link without host", "host=10.0.0.2 ", "", "DOM-E605", ":9:"},
      {"a link with a second host that is a socket", "host=10.0.0.2", "host=10.0.0.2,/run", "DOM-E605", ":9:"},
      {"a link by service", link, "service=app", "DOM-E605", ":9:"},
      {"a link that is no connection string", link, "host", "DOM-E605", ":9:"},
      {"an insecure link to elsewhere", "link: \"" + link, "insecure_link: true\n    link: \"host=10.0.0.2", "DOM-E606",
       ":10:"},
      {"an insecure link to a name", "link: \"" + link, "insecure_link: true\n    link: \"host=db", "DOM-E606", ":10:"},
      {"an insecure link to a name like loopback", "link: \"" + link,
       "insecure_link: true\n    link: \"host=127.0.0.1.evil.example", "DOM-E606", ":10:"},
      {"an insecure link to a second host", "link: \"" + link, "insecure_link: true\n    link: \"host=/run,db",
       "DOM-E606", ":10:"},
      {"an insecure link to another address", "link: \"" + link,
       "insecure_link: true\n    link: \"host=localhost hostaddr=10.0.0.2", "DOM-E606", ":10:"},
      {"an insecure link by service", "link: \"" + link, "insecure_link: true\n    link: \"service=app", "DOM-E606",
       ":10:"},
      {"insecure, perhaps", "link: \"" + link, "insecure_link: maybe\n    link: \"host=/run", "DOM-E601", ":9:"},
      {"an unknown role", "ann: [view]", "ann: [view, admin]", "DOM-E608", ":5:"},
      {"a role in capitals", "ann: [view]", "ann: [Operate]", "DOM-E608", ":5:"},
      {"the role of agents", "ann: [view]", "ann: [agent]", "DOM-E608", ":5:"},
  };
  for (const auto& c : cases) {
    const auto config = read(kGood, c.from, c.to);
    ASSERT_FALSE(config) << c.name;
    EXPECT_EQ(config.error().id, c.code) << c.name << "\n" << render(config.error());
    EXPECT_NE(config.error().where.find(std::string("agent.yaml") + c.line), std::string::npos)
        << c.name << "\n"
        << render(config.error());
  }
}

TEST(AgentConfig, ALinkMayBeInsecureWhereItCannotLeaveThisHost) {
  const std::string link = "\"host=10.0.0.2 dbname=app user=u " + kTls + "\"";
  for (const std::string host : {"/run/postgresql", "127.0.0.1", "127.9.9.9", "localhost", "::1", "/run,127.0.0.1"}) {
    const auto config = read(kGood, link, "\"host=" + host + " user=u\"\n    insecure_link: true");
    EXPECT_TRUE(config) << host << "\n" << render(config.error());
  }
}

TEST(AgentConfig, NoErrorQuotesAConnectionString) {
  const auto config = read(kGood, "sslkey=/k", "password=geheim nonsense");
  ASSERT_FALSE(config);
  EXPECT_EQ(render(config.error()).find("geheim"), std::string::npos) << render(config.error());
}

TEST(GatewaySettings, AKeyLiesWhereItsResidencyMayBeOwnedAndNowhereElse) {
  const auto topology = topology::load(
      "domicile: 1\n"
      "regions: {us-1: {jurisdiction: US}, eu-1: {jurisdiction: EU}}\n"
      "voters: {v-1: {}}\n"
      "residencies:\n"
      "  directory: {home: us-1, standby: [eu-1], holds: {US: full, EU: full}}\n"
      "  us: {home: us-1, holds: {US: full, EU: reduced}}\n"
      "  eu: {home: eu-1, holds: {EU: full}}\n"
      "accept: {us: outage, eu: outage, by: me, reason: small, until: 2027-01-31}\n",
      "t.yaml");
  ASSERT_TRUE(topology) << render(topology.error());
  const std::string begin = "gateway:\n  directory: d\n  certificates:\n";
  const std::string own = "    eu: {certificate: eu.pem, key: eu.key}\n";
  const std::string rest = "  listen: 10.0.0.1:443\n  application: 127.0.0.1:80\n  forward: 10.0.0.1:8444\n";
  const auto code = [&](const std::string& gateway) {
    const auto config = read(kGood + gateway);
    EXPECT_TRUE(config) << render(config.error());
    if (!config) return std::string("?");
    const auto settings = gateway_settings(*config, *topology);
    return settings ? std::string() : settings.error().id;
  };
  EXPECT_EQ(code(begin + own + rest), "");
  EXPECT_EQ(code(""), "DOM-E601") << "no gateway";
  EXPECT_EQ(code("gateway: {directory: d}\n"), "DOM-E601") << "what the agent alone needs";
  EXPECT_EQ(code(begin + own + "  listen: 10.0.0.1:443\n"), "DOM-E601") << "no application";
  EXPECT_EQ(code("gateway:\n  directory: d\n" + rest), "DOM-E611") << "its own hosts could not be served";
  EXPECT_EQ(code(begin + own + "    us: {certificate: us.pem, key: us.key}\n" + rest), "DOM-E611") << "reduced here";
  EXPECT_EQ(code(begin + own + "    uk: {certificate: uk.pem, key: uk.key}\n" + rest), "DOM-E611") << "no residency";
  const auto settings = gateway_settings(*read(kGood + begin + own + rest), *topology);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->region, "eu-1");
  EXPECT_EQ(settings->region_tls.ca, "a");
  EXPECT_EQ(settings->tenant_header, "X-Tenant");
}

TEST(AgentConfig, MustFitTheTopology) {
  const auto topology = topology::load(
      "domicile: 1\n"
      "regions: {us-1: {jurisdiction: US}, eu-1: {jurisdiction: EU}}\n"
      "voters: {v-1: {}}\n"
      "residencies:\n"
      "  directory: {home: us-1, standby: [eu-1], holds: {US: full, EU: full}}\n"
      "  us: {home: us-1, standby: [eu-1], holds: {US: full, EU: full}}\n",
      "t.yaml");
  ASSERT_TRUE(topology) << render(topology.error());
  const auto good = read(kGood + "gate: {socket: g.sock}\n");
  ASSERT_TRUE(good);
  EXPECT_TRUE(check_fits(*good, *topology));
  const auto code = [&](auto change) {
    AgentConfig config = *good;
    change(config);
    const auto fits = check_fits(config, *topology);
    return fits ? std::string() : fits.error().id;
  };
  EXPECT_EQ(code([](auto& c) { c.region = "eu-9"; }), "DOM-E602");
  EXPECT_EQ(code([](auto& c) { c.sites.erase("v-1"); }), "DOM-E603");
  EXPECT_EQ(code([](auto& c) { c.sites["us-1"].link.clear(); }), "DOM-E607") << "its rows come here";
  EXPECT_EQ(code([](auto& c) { c.gate_socket.clear(); }), "DOM-E612") << "it may own us, and us-1 follows then";
  EXPECT_EQ(code([](auto& c) {
              c.region = "v-1";
              c.gate_socket.clear();
              c.sites = {{"us-1", {}}, {"eu-1", {}}};
            }),
            "")
      << "a voter gets no rows";
}

}  // namespace
}  // namespace domicile::agent
