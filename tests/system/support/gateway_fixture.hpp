// Two regions on this machine: a real nginx with our modules in each, a tiny application behind it, clients by libcurl.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/http_server.hpp"
#include "base/process.hpp"
#include "base/temp_dir.hpp"
#include "core/snapshot/compile.hpp"
#include "edge/config.hpp"
#include "edge/publish.hpp"
#include "edge/state.hpp"
#include "support/free_ports.hpp"
#include "support/https_client.hpp"
#include "support/tls_client.hpp"

namespace domicile::edge {

using snapshot::Form;
using snapshot::Mode;

using test::free_port;
inline std::string local(int port) { return "127.0.0.1:" + std::to_string(port); }

template <class F>
bool eventually(F condition, Micros patience = 10 * kSecond) {
  const Micros end = monotonic_now() + patience;
  while (monotonic_now() < end) {
    if (condition()) return true;
    usleep(2000);
  }
  return false;
}

inline void openssl(const std::string& directory, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "openssl");
  const auto done = run({.argv = arguments, .directory = directory}, 20 * kSecond);
  if (!done || done->exit_code != 0) ADD_FAILURE() << (done ? done->err : render(done.error()));
}
// An authority, and a certificate of it for a name.
inline void make_authority(const std::string& d) {
  openssl(d, {"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
              "-out", "ca.crt", "-subj", "/CN=test authority", "-days", "2"});
}
inline void make_certificate(const std::string& d, const std::string& name, const std::string& names) {
  openssl(d, {"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out",
              name + ".csr", "-subj", "/CN=" + name});
  std::ofstream(d + "/" + name + ".ext") << "subjectAltName=" << names << "\n";
  openssl(d, {"x509", "-req", "-in", name + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out",
              name + ".crt", "-days", "2", "-extfile", name + ".ext"});
}

struct Region {
  std::string name;
  std::unique_ptr<HttpServer> application;
  GatewayConfig config;
  std::optional<Process> nginx;
  int port = 0, plain = 0;
  snapshot::AuthoritySnapshot authority;
  EdgeState state() const {
    auto state = read_edge_state(config.directory + "/edge.state");
    return state ? *state : EdgeState{};
  }
  std::string errors() const { return read_file(config.directory + "/logs/error.log").value_or(""); }
};

// Connections that somebody has accepted at this port: before, a socket has no inode.
inline int accepted(int port) {
  std::ifstream table("/proc/net/tcp");
  std::string line;
  int count = 0;
  for (std::getline(table, line); std::getline(table, line);) {
    std::istringstream fields(line);
    std::vector<std::string> field;
    for (std::string text; fields >> text;) field.push_back(text);
    count += field[1].ends_with(fmt::format(":{:04X}", port)) && field[3] == "01" && field[9] != "0";
  }
  return count;
}

inline std::vector<pid_t> children_of(pid_t parent) {
  std::ifstream file(fmt::format("/proc/{0}/task/{0}/children", parent));
  std::vector<pid_t> children;
  for (pid_t pid; file >> pid;) children.push_back(pid);
  return children;
}
// Or gone already.
inline bool is_ending(pid_t worker) {
  const std::string title = read_file(fmt::format("/proc/{}/cmdline", worker)).value_or("");
  return title.empty() || title.find("shutting down") != std::string::npos;
}

class Gateway : public testing::Test {
 protected:
  static constexpr const char *kUs = "acme.example", *kEu = "muster.example";

  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to connections that the gateway may have closed
    chmod(dir_.path().c_str(), 0755);
    d_ = dir_.path().string();
    ca_ = d_ + "/ca.crt";
    make_authority(d_);
    make_certificate(d_, "us", "DNS:acme.example,DNS:other.example");
    make_certificate(d_, "eu", "DNS:muster.example");
    for (auto* region : {&us_, &eu_}) {
      region->name = region == &us_ ? "us-east-1" : "eu-central-1";
      make_certificate(d_, region->name, "DNS:" + region->name);
      start_region(*region);
    }
    publish_all();
    for (auto* region : {&us_, &eu_}) {
      auto nginx = Process::start(start_command(region->config));
      ASSERT_TRUE(nginx) << render(nginx.error());
      region->nginx = std::move(*nginx);
      ASSERT_TRUE(obeyed(*region)) << region->errors()
                                   << read_file(region->config.directory + "/logs/nginx.out").value_or("");
    }
  }

  void TearDown() override {
    release_ = true;
    for (auto* region : {&us_, &eu_}) {
      // Told to stop while it ends, a worker of nginx itself calls its open connections an alert.
      if (region->nginx) {
        EXPECT_TRUE(eventually([&] { return std::ranges::none_of(children_of(region->nginx->pid()), is_ending); }));
        region->nginx->stop();
      }
      std::string errors = region->errors();
      if (killed_) errors.erase(0, errors.find("exited on signal 9") + 1), errors.erase(0, errors.find('\n'));
      for (const char* bad : {"[alert]", "[emerg]", "[crit]", "127.0.0.1,", "client:"})
        EXPECT_EQ(errors.find(bad), std::string::npos) << errors;
    }
  }

  void start_region(Region& region) {
    const std::string name = region.name;
    auto server =
        HttpServer::start({.host = "127.0.0.1", .threads = 64}, [this, name](const HttpCall& call) -> HttpReply {
          ++calls_;
          if (const auto marker = call.headers.find("x-marker"); marker != call.headers.end()) {
            const std::lock_guard lock(mutex_);
            ++marked_[marker->second];
          }
          if (call.path == "/slow") eventually([&] { return release_.load(); }, 15 * kSecond);
          return {.body = name + " " + call.method + " " + std::to_string(call.body.size())};
        });
    ASSERT_TRUE(server) << render(server.error());
    region.application = std::make_unique<HttpServer>(std::move(*server));
    region.port = free_port();
    region.plain = free_port();
    region.config = {.directory = d_ + "/" + region.name,
                     .region = region.name,
                     .modules = DOMICILE_MODULES,
                     .listen = local(region.port),
                     .listen_plain = local(region.plain),
                     .tunnel = local(free_port()),
                     .forward = local(free_port()),
                     .application = local(region.application->port()),
                     .region_tls = {ca_, d_ + "/" + region.name + ".crt", d_ + "/" + region.name + ".key"},
                     .user = "nobody nogroup",
                     .server_extra = "    location = /fixed { return 200 escaped; }\n"};
    if (&region == &us_)
      region.config.certificates = {{"us", d_ + "/us.crt", d_ + "/us.key"}};
    else
      region.config.certificates = {{"us", d_ + "/us.crt", d_ + "/us.key"}, {"eu", d_ + "/eu.crt", d_ + "/eu.key"}};
    region.config.wind_down_ms = 4000;  // tests wait for its end
    const auto prepared = prepare(region.config);
    ASSERT_TRUE(prepared) << render(prepared.error());
  }

  static snapshot::TenantsSnapshot tenants(std::uint64_t generation, const std::string& residency_of_us) {
    return {.generation = generation,
            .seed = {3, 4},
            .hosts = {{kUs, "acme", residency_of_us}, {"other.example", "other", "us"}, {kEu, "muster", "eu"}}};
  }
  // us: owned by us-east-1, full everywhere. eu: owned by eu-central-1, reduced in the US.
  void publish_all() {
    const auto bytes = compile(tenants(1, "us"));
    ASSERT_TRUE(bytes);
    for (auto* region : {&us_, &eu_}) {
      ASSERT_TRUE(publish(region->config.directory + "/tenants.snap", *bytes));
      const bool us = region == &us_;
      const Micros live = boottime_now() + 600 * kSecond;
      region->authority = {.region = region->name,
                           .policy_hash = "p",
                           .boot_id = host_boot_id(),
                           .rows = {{.residency = "us",
                                     .owner = "us-east-1",
                                     .epoch = 1,
                                     .mode = Mode::serving,
                                     .lease_end = us ? live : 0,
                                     .here = Form::full,
                                     .tunnel = us_.config.tunnel,
                                     .forward = us_.config.forward},
                                    {.residency = "eu",
                                     .owner = "eu-central-1",
                                     .epoch = 1,
                                     .mode = Mode::serving,
                                     .lease_end = us ? 0 : live,
                                     .here = us ? Form::reduced : Form::full,
                                     .tunnel = eu_.config.tunnel,
                                     .forward = eu_.config.forward}}};
      put(*region);
    }
  }
  void put(Region& region) {
    ++region.authority.generation;
    const auto bytes = compile(region.authority);
    ASSERT_TRUE(bytes) << render(bytes.error());
    ASSERT_TRUE(publish(region.config.directory + "/authority.snap", *bytes));
  }
  bool obeyed(Region& region) {
    return eventually([&] {
      const EdgeState state = region.state();
      return state.workers.size() >= 2 && state.generation_obeyed() == region.authority.generation;
    });
  }
  // The residency us, in both regions, and waited for.
  void set_us(Mode mode, const std::string& owner, std::uint64_t epoch) {
    for (auto* region : {&us_, &eu_}) {
      auto& row = region->authority.rows[0];
      row.mode = mode;
      row.owner = owner;
      row.epoch = epoch;
      row.lease_end = region->name == owner ? boottime_now() + 600 * kSecond : 0;
      row.tunnel = owner == us_.name ? us_.config.tunnel : eu_.config.tunnel;
      row.forward = owner == us_.name ? us_.config.forward : eu_.config.forward;
      put(*region);
    }
    for (auto* region : {&us_, &eu_}) ASSERT_TRUE(obeyed(*region)) << region->errors();
  }
  // Other settings, by a reload; waits until the old workers are gone.
  void reconfigure(Region& region) {
    const auto prepared = prepare(region.config);
    ASSERT_TRUE(prepared) << render(prepared.error());
    std::set<std::int64_t> old;
    for (const auto& worker : region.state().workers) old.insert(worker.pid);
    region.nginx->signal(SIGHUP);
    ASSERT_TRUE(eventually([&] {
      const auto now = region.state().workers;
      for (const auto& worker : now)
        if (old.contains(worker.pid)) return false;
      return now.size() == static_cast<std::size_t>(region.config.workers);
    })) << region.errors();
  }
  // The worker of us_ that has a write of `us` in flight.
  void kill_writer() {
    killed_ = true;
    for (const auto& worker : us_.state().workers)
      if (worker.writes_in_flight.contains("us") && worker.writes_in_flight.at("us") == 1)
        kill(static_cast<pid_t>(worker.pid), SIGKILL);
  }
  static std::uint64_t held(const Region& region) {
    std::uint64_t sum = 0;
    for (const auto& worker : region.state().workers) sum += worker.held;
    return sum;
  }
  Answer ask(const Region& region, const Ask& what) {
    Client client;
    return client.ask(what.plain ? region.plain : region.port, ca_, what);
  }

  TempDir dir_;
  std::string d_, ca_;
  std::atomic<bool> release_ = false;
  std::atomic<int> calls_ = 0;
  std::mutex mutex_;
  std::map<std::string, int> marked_;  // how often the applications saw a request with this X-Marker
  bool killed_ = false;
  Region us_, eu_;
};

}  // namespace domicile::edge
