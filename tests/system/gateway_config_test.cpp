// The nginx.conf that `domicile gateway config` makes of agent.yaml is one that nginx takes, as a customer would do it.
#include <gtest/gtest.h>

#include "base/file.hpp"
#include "base/process.hpp"
#include "base/temp_dir.hpp"
#include "lab/certificates.hpp"
#include "support/free_ports.hpp"

namespace domicile::test {
namespace {

TEST(GatewayConfig, IsWrittenFromAgentYamlAndTakenByNginx) {
  const TempDir folder;
  const auto path = [&](const char* name) { return (folder.path() / name).string(); };
  const auto authority = lab::Authority::make(folder.path());
  ASSERT_TRUE(authority);
  ASSERT_TRUE(authority->issue(path("site"), {"eu-central-1", {"eu-central-1"}, {"127.0.0.1"}}));
  ASSERT_TRUE(authority->issue(path("eu"), {"acme.example", {"acme.example"}, {}}));
  ASSERT_TRUE(write_file(path("topology.yaml"),
                         "domicile: 1\n"
                         "regions: {eu-central-1: {jurisdiction: EU}, eu-west-1: {jurisdiction: EU}}\n"
                         "voters: {eu-north-1: {}}\n"
                         "residencies:\n"
                         "  directory: {home: eu-central-1, standby: [eu-west-1], holds: {EU: full}}\n"
                         "  eu: {home: eu-central-1, standby: [eu-west-1], holds: {EU: full}}\n"));
  const auto ports = free_ports(4);
  const std::string tls = fmt::format("ca: {0}, certificate: {1}.pem, key: {1}.key", path("ca.pem"), path("site"));
  ASSERT_TRUE(write_file(
      path("agent.yaml"),
      fmt::format("region: eu-central-1\ntopology: {0}\nstate: {1}\ngate: {{socket: g.sock}}\n"
                  "etcd: {{endpoints: ['https://127.0.0.1:1'], user: u, password_file: p, {2}}}\n"
                  "api: {{listen: '127.0.0.1:1', socket: {1}.sock, {2}}}\n"
                  "gateway:\n  directory: {3}\n  listen: 127.0.0.1:{5}\n  listen_plain: 127.0.0.1:{6}\n"
                  "  tunnel: 127.0.0.1:{7}\n  forward: 127.0.0.1:{8}\n  application: 127.0.0.1:1\n"
                  "  modules: {9}\n  certificates: {{eu: {{certificate: {4}.pem, key: {4}.key}}}}\n"
                  "sites:\n  eu-west-1: {{api: 'https://127.0.0.1:1', link: 'host=/nowhere', insecure_link: true}}\n"
                  "  eu-north-1: {{api: 'https://127.0.0.1:1'}}\n",
                  path("topology.yaml"), path("state"), tls, path("gateway"), path("eu"), ports[0], ports[1], ports[2],
                  ports[3], DOMICILE_MODULES)));
  const std::vector<std::string> words{DOMICILE_BINARY, "gateway", "config", "--config", path("agent.yaml")};
  const auto printed = run({words}, 10 * kSecond);
  ASSERT_TRUE(printed && printed->exit_code == 0) << printed->err;
  auto with_write = words;
  with_write.emplace_back("--write");
  const auto written = run({with_write}, 10 * kSecond);
  ASSERT_TRUE(written && written->exit_code == 0) << written->err;
  EXPECT_EQ(read_file(folder.path() / "gateway" / "nginx.conf").value_or(""), printed->out);
  Command nginx{
      {"/usr/sbin/nginx", "-t", "-p", path("gateway"), "-c", path("gateway") + "/nginx.conf", "-e", "logs/error.log"}};
  nginx.directory = path("gateway");  // its inner sockets are named from there
  const auto tested = run(nginx, 20 * kSecond);
  ASSERT_TRUE(tested);
  EXPECT_EQ(tested->exit_code, 0) << tested->err << printed->out;
}

}  // namespace
}  // namespace domicile::test
