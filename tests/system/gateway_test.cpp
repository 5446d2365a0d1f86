// Real nginx with our modules: two regions on this machine, a tiny application behind each, clients by libcurl.
#include <curl/curl.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
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
#include "support/tls_client.hpp"

namespace domicile::edge {
namespace {

using snapshot::Form;
using snapshot::Mode;

int free_port() {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t size = sizeof address;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}
std::string local(int port) { return "127.0.0.1:" + std::to_string(port); }

template <class F>
bool eventually(F condition, Micros patience = 10 * kSecond) {
  const Micros end = monotonic_now() + patience;
  while (monotonic_now() < end) {
    if (condition()) return true;
    usleep(2000);
  }
  return false;
}

void openssl(const std::string& directory, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "openssl");
  const auto done = run({.argv = arguments, .directory = directory}, 20 * kSecond);
  if (!done || done->exit_code != 0) ADD_FAILURE() << (done ? done->err : render(done.error()));
}
// An authority, and a certificate of it for a name.
void make_authority(const std::string& d) {
  openssl(d, {"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
              "-out", "ca.crt", "-subj", "/CN=test authority", "-days", "2"});
}
void make_certificate(const std::string& d, const std::string& name, const std::string& names) {
  openssl(d, {"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out",
              name + ".csr", "-subj", "/CN=" + name});
  std::ofstream(d + "/" + name + ".ext") << "subjectAltName=" << names << "\n";
  openssl(d, {"x509", "-req", "-in", name + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out",
              name + ".crt", "-days", "2", "-extfile", name + ".ext"});
}

struct Answer {
  long status = 0;
  long version = 0;
  CURLcode code = CURLE_OK;
  std::string body, headers;
};
struct Ask {
  std::string host, path = "/", method = "GET", body = {};
  std::vector<std::string> headers = {};
  std::string host_header = {};
  bool http2 = false, plain = false;
};

class Client {
 public:
  Client() : curl_(curl_easy_init()) {}
  ~Client() { curl_easy_cleanup(curl_); }
  Client(const Client&) = delete;
  Answer ask(int port, const std::string& ca, const Ask& ask) {
    curl_easy_reset(curl_);
    Answer answer;
    const std::string url = fmt::format("{}://{}:{}{}", ask.plain ? "http" : "https", ask.host, port, ask.path);
    const std::string where = fmt::format("{}:{}:127.0.0.1", ask.host, port);
    curl_slist* resolve = curl_slist_append(nullptr, where.c_str());
    curl_slist* headers = nullptr;
    if (!ask.host_header.empty()) headers = curl_slist_append(headers, ("Host: " + ask.host_header).c_str());
    for (const auto& header : ask.headers) headers = curl_slist_append(headers, header.c_str());
    headers = curl_slist_append(headers, "Expect:");
    headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
    curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl_, CURLOPT_RESOLVE, resolve);
    curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl_, CURLOPT_CAINFO, ca.c_str());
    curl_easy_setopt(curl_, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_, CURLOPT_CUSTOMREQUEST, ask.method.c_str());
    if (!ask.body.empty()) {
      curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE, static_cast<long>(ask.body.size()));
      curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, ask.body.c_str());
    }
    curl_easy_setopt(curl_, CURLOPT_HTTP_VERSION,
                     static_cast<long>(ask.http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    // An nginx that is started meanwhile must not inherit the connection.
    curl_easy_setopt(
        curl_, CURLOPT_SOCKOPTFUNCTION,
        +[](void*, curl_socket_t fd, curlsocktype) { return fcntl(fd, F_SETFD, FD_CLOEXEC); });
    const auto append = +[](char* data, std::size_t size, std::size_t count, std::string* to) {
      to->append(data, size * count);
      return size * count;
    };
    curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &answer.body);
    curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, append);
    curl_easy_setopt(curl_, CURLOPT_HEADERDATA, &answer.headers);
    answer.code = curl_easy_perform(curl_);
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_easy_getinfo(curl_, CURLINFO_HTTP_VERSION, &answer.version);
    curl_slist_free_all(resolve);
    curl_slist_free_all(headers);
    return answer;
  }

 private:
  CURL* curl_;
};

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

// An application that answers one connection: with an upgrade and an echo, or with an endless event stream.
struct RawApplication {
  explicit RawApplication(bool upgrade) : listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener.get(), 8) != 0)
      std::abort();
    getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    thread = std::jthread([this, upgrade] {
      Fd peer(accept(listener.get(), nullptr, nullptr));
      char buffer[4096];
      std::string request;
      ssize_t n;
      while (request.find("\r\n\r\n") == request.npos && (n = read(peer.get(), buffer, sizeof buffer)) > 0)
        request.append(buffer, static_cast<std::size_t>(n));
      say(peer, upgrade ? "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
                        : "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
      while ((n = read(peer.get(), buffer, sizeof buffer)) > 0)
        say(peer, "echo " + std::string(buffer, static_cast<std::size_t>(n)));
    });
  }
  ~RawApplication() { shutdown(listener.get(), SHUT_RDWR); }
  static void say(const Fd& to, const std::string& text) { (void)!write(to.get(), text.data(), text.size()); }
  Fd listener;
  int port = 0;
  std::atomic<bool> seen_by_client = false;
  std::jthread thread;
};

// Sends one request over TLS and reads until the other side ends it; `seen` as soon as what was asked for is there.
std::string raw_tls_exchange(int port, const std::string& host, const std::string& ca, bool upgrade,
                             std::atomic<bool>& seen) {
  CURL* curl = curl_easy_init();
  const std::string where = fmt::format("{}:{}:127.0.0.1", host, port);
  curl_slist* resolve = curl_slist_append(nullptr, where.c_str());
  curl_easy_setopt(curl, CURLOPT_URL, fmt::format("https://{}:{}", host, port).c_str());
  curl_easy_setopt(curl, CURLOPT_RESOLVE, resolve);
  curl_easy_setopt(curl, CURLOPT_CAINFO, ca.c_str());
  curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
  std::string all;
  if (curl_easy_perform(curl) == CURLE_OK) {
    std::string request = "GET / HTTP/1.1\r\nHost: " + host + "\r\n";
    request += upgrade ? "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" : "\r\n";
    std::size_t n = 0;
    curl_easy_send(curl, request.data(), request.size(), &n);
    char buffer[4096];
    bool said = !upgrade;
    for (const Micros end = monotonic_now() + 20 * kSecond; monotonic_now() < end;) {
      const CURLcode code = curl_easy_recv(curl, buffer, sizeof buffer, &n);
      if (code == CURLE_AGAIN) {
        usleep(1000);
        continue;
      }
      if (code != CURLE_OK || n == 0) break;
      all.append(buffer, n);
      if (!said && all.find("101") != all.npos) curl_easy_send(curl, "hello", 5, &n), said = true;
      if (all.find(upgrade ? "echo hello" : "data: 1") != all.npos) seen = true;
    }
  }
  curl_slist_free_all(resolve);
  curl_easy_cleanup(curl);
  return all;
}

// An application that takes requests and closes the connection without an answer.
struct SilentApplication {
  SilentApplication() : listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener.get(), 8) != 0)
      std::abort();
    getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    thread = std::jthread([this] {
      for (;;) {
        Fd peer(accept(listener.get(), nullptr, nullptr));
        char buffer[4096];
        if (!peer || read(peer.get(), buffer, sizeof buffer) < 0) return;
      }
    });
  }
  ~SilentApplication() { shutdown(listener.get(), SHUT_RDWR); }
  Fd listener;
  int port = 0;
  std::jthread thread;
};

bool has(const Answer& answer, const std::string& header) { return answer.headers.find(header) != std::string::npos; }

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
      if (region->nginx) region->nginx->stop();
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
    const auto prepared = prepare(region.config);
    ASSERT_TRUE(prepared) << render(prepared.error());
  }

  // us: owned by us-east-1, full everywhere. eu: owned by eu-central-1, reduced in the US.
  void publish_all() {
    const auto tenants = compile(snapshot::TenantsSnapshot{
        .generation = 1,
        .seed = {3, 4},
        .hosts = {{kUs, "acme", "us"}, {"other.example", "other", "us"}, {kEu, "muster", "eu"}}});
    ASSERT_TRUE(tenants);
    for (auto* region : {&us_, &eu_}) {
      ASSERT_TRUE(publish(region->config.directory + "/tenants.snap", *tenants));
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
  bool killed_ = false;
  Region us_, eu_;
};

TEST_F(Gateway, EveryDecisionIsSeenByAClient) {
  for (const bool http2 : {false, true}) {
    const Answer served = ask(us_, {.host = kUs, .http2 = http2});
    EXPECT_EQ(served.body, "us-east-1 GET 0") << served.code;
    EXPECT_EQ(served.version, http2 ? CURL_HTTP_VERSION_2_0 : CURL_HTTP_VERSION_1_1);
    // The US has no certificate for it: an answer proves that the connection went to the EU undecrypted.
    const Answer tunnelled =
        ask(us_, {.host = kEu, .method = "POST", .body = std::string(200000, 'x'), .http2 = http2});
    EXPECT_EQ(tunnelled.body, "eu-central-1 POST 200000") << tunnelled.code << tunnelled.headers;
    const Answer header = ask(us_, {.host = kUs, .headers = {"X-Tenant: muster"}, .http2 = http2});
    EXPECT_EQ(header.status, 400);
    EXPECT_EQ(ask(us_, {.host = kUs, .headers = {"X-Tenant: acme"}, .http2 = http2}).status, 200);
    for (const char* other : {"other.example", kEu, "nobody.example"}) {
      const Answer contradiction = ask(us_, {.host = kUs, .host_header = other, .http2 = http2});
      EXPECT_EQ(contradiction.status, 421) << other;
    }
  }
  EXPECT_EQ(ask(us_, {.host = "nobody.example"}).code, CURLE_SSL_CONNECT_ERROR);
  EXPECT_EQ(ask(us_, {.host = kEu, .plain = true}).status, 451);
  EXPECT_EQ(ask(us_, {.host = kUs, .plain = true}).body, "us-east-1 GET 0");
  EXPECT_EQ(ask(eu_, {.host = kUs, .method = "POST", .body = "ab", .plain = true}).body, "us-east-1 POST 2");
  EXPECT_EQ(ask(eu_, {.host = kUs}).body, "us-east-1 GET 0") << "tunnelled the other way";
}

TEST_F(Gateway, NoLocationEscapesTheDecision) {
  EXPECT_EQ(ask(us_, {.host = kUs, .path = "/fixed"}).body, "escaped") << "it is ours to answer";
  EXPECT_EQ(ask(us_, {.host = kEu, .path = "/fixed", .plain = true}).status, 451);
  EXPECT_EQ(ask(us_, {.host = kUs, .path = "/fixed", .host_header = kEu}).status, 421);
  us_.authority.rows[0].lease_end = 1;
  put(us_);
  ASSERT_TRUE(obeyed(us_));
  const Answer over = ask(us_, {.host = kUs, .path = "/fixed"});
  EXPECT_EQ(over.status, 503);
  EXPECT_NE(over.headers.find("Retry-After: 1"), std::string::npos) << over.headers;
  EXPECT_NE(over.headers.find("lease_over"), std::string::npos) << over.headers;
}

TEST_F(Gateway, HeldWritesAllArriveAtTheNewOwnerOnce) {
  ASSERT_NO_FATAL_FAILURE(set_us(Mode::draining, us_.name, 1));
  EXPECT_EQ(ask(us_, {.host = kUs}).status, 200) << "reads go on";
  const int before = calls_;
  constexpr int kClients = 300;
  std::atomic<int> right = 0;
  std::vector<std::jthread> clients;
  for (int i = 0; i < kClients; ++i)
    clients.emplace_back([&, i] {
      Region& region = i % 3 == 2 ? eu_ : us_;
      const Answer answer = ask(region, {.host = kUs,
                                         .method = "POST",
                                         .body = std::string(1 + i * 100, 'x'),
                                         .http2 = i % 2 == 0,
                                         .plain = i % 3 == 2});
      if (answer.body == fmt::format("eu-central-1 POST {}", 1 + i * 100))
        ++right;
      else
        fmt::print(stderr, "{} {} {} {}\n", i, answer.status, static_cast<int>(answer.code), answer.body);
    });
  const auto held_in_all = [&] { return held(us_) + held(eu_); };
  ASSERT_TRUE(eventually([&] { return held_in_all() == kClients; }, 20 * kSecond)) << held_in_all();
  EXPECT_EQ(calls_, before) << "none early";
  EXPECT_EQ(us_.state().writes_in_flight("us"), 0u);
  ASSERT_NO_FATAL_FAILURE(set_us(Mode::moving, us_.name, 2));
  // Each decides anew, and waits on.
  EXPECT_TRUE(eventually([&] { return held_in_all() == kClients; })) << held_in_all();
  EXPECT_EQ(calls_, before);
  ASSERT_NO_FATAL_FAILURE(set_us(Mode::serving, eu_.name, 2));
  clients.clear();
  EXPECT_EQ(right, kClients);
  EXPECT_EQ(calls_, before + kClients);
  EXPECT_EQ(held_in_all(), 0u);
}

TEST_F(Gateway, ARequestThatAPeerSendsBackWaitsForTheTruth) {
  // The EU believes in the old owner for a while longer than the US does.
  us_.authority.rows[0].owner = eu_.name;
  us_.authority.rows[0].epoch = 2;
  us_.authority.rows[0].lease_end = 0;
  put(us_);
  ASSERT_TRUE(obeyed(us_));
  std::jthread client([&] {
    const Answer answer = ask(eu_, {.host = kUs, .method = "POST", .body = "abc", .plain = true});
    EXPECT_EQ(answer.body, "eu-central-1 POST 3") << answer.status << answer.headers;
  });
  ASSERT_TRUE(eventually([&] { return held(eu_) == 1; }));
  set_us(Mode::serving, eu_.name, 2);
}

TEST_F(Gateway, ARequestThatTheNewOwnerSendsBackBecauseItDoesNotKnowYetIsTriedAgain) {
  for (Region* region : {&us_, &eu_}) region->authority.rows[0].mode = Mode::moving;
  put(us_), put(eu_);
  ASSERT_TRUE(obeyed(us_) && obeyed(eu_));
  std::jthread client([&] {
    const Answer answer = ask(us_, {.host = kUs, .method = "POST", .body = "abc"});
    EXPECT_EQ(answer.body, "eu-central-1 POST 3") << answer.status << answer.headers;
  });
  ASSERT_TRUE(eventually([&] { return held(us_) == 1; }));
  const auto sent_back = [&] { return eu_.state().decisions()["misdirected_421"]; };
  for (Region* region : {&us_, &eu_}) {
    auto& row = region->authority.rows[0];
    row.mode = Mode::serving, row.owner = eu_.name, row.epoch = 2, row.forward = eu_.config.forward;
    row.lease_end = region == &eu_ ? boottime_now() + 600 * kSecond : 0;
    put(*region);
    // The old owner's gateway hears of it first, and hears nothing more.
    ASSERT_TRUE(region == &eu_ || eventually([&] { return sent_back() > 0; }));
  }
}

TEST_F(Gateway, WritesInFlightAreCountedAndALateSuccessIsNotTold) {
  Answer answer;
  {
    std::jthread writer([&] { answer = ask(us_, {.host = kUs, .path = "/slow", .method = "POST", .body = "x"}); });
    ASSERT_TRUE(eventually([&] { return us_.state().writes_in_flight("us") == 1; }));
    us_.authority.rows[0].lease_end = 1;
    put(us_);
    ASSERT_TRUE(obeyed(us_));
    EXPECT_EQ(us_.state().writes_in_flight("us"), 1u);
    release_ = true;
  }
  EXPECT_EQ(answer.status, 504) << answer.body;
  EXPECT_TRUE(eventually([&] { return us_.state().writes_in_flight("us") == 0; }));
}

TEST_F(Gateway, BrokenForeignAndOlderSnapshotsLeaveTheLastGoodOne) {
  const std::string path = us_.config.directory + "/authority.snap";
  const std::string good = *compile(us_.authority);
  std::string flipped = good;
  flipped[300] ^= 1;
  auto foreign = us_.authority, older = us_.authority;
  foreign.region = "eu-central-1";
  set_us(Mode::serving, us_.name, 5);
  const std::string tenants = read_file(us_.config.directory + "/tenants.snap").value();
  for (const std::string& bad :
       {std::string(), std::string("x"), good.substr(0, 200), flipped, *compile(foreign), *compile(older), tenants}) {
    std::uint64_t before = 0;
    for (const auto& worker : us_.state().workers) before = std::max(before, worker.refused_snapshots);
    ASSERT_TRUE(publish(path, bad));
    ASSERT_TRUE(eventually([&] {
      for (const auto& worker : us_.state().workers)
        if (worker.refused_snapshots <= before) return false;
      return true;
    }));
    EXPECT_EQ(ask(us_, {.host = kUs, .method = "POST", .body = "x"}).status, 200);
    EXPECT_EQ(us_.state().generation_obeyed(), us_.authority.generation);
  }
  // A worker that starts afresh knows the epochs that its dead brothers obeyed.
  ASSERT_TRUE(publish(path, *compile(older)));
  const auto workers = us_.state().workers;
  for (const auto& worker : workers) kill(static_cast<pid_t>(worker.pid), SIGTERM);
  ASSERT_TRUE(eventually([&] {
    for (const auto& worker : us_.state().workers)
      if (worker.pid == workers[0].pid || worker.pid == workers[1].pid || worker.refused_snapshots == 0) return false;
    return us_.state().workers.size() == 2;
  }));
  EXPECT_EQ(ask(us_, {.host = kUs, .plain = true}).status, 503);
  EXPECT_EQ(ask(us_, {.host = kUs}).status, 0) << "a connection is closed while nothing is known";
}

TEST_F(Gateway, ReloadsAndKilledWorkersLoseNothingThatIsToldAsDone) {
  std::atomic<bool> stop = false;
  std::atomic<int> good = 0, bad = 0;
  std::vector<std::jthread> clients;
  for (int i = 0; i < 4; ++i)
    clients.emplace_back([&, i] {
      Client kept;
      while (!stop) {
        // With a handshake of their own, and on kept connections: a reload could cut either.
        const Ask what{.host = kUs, .http2 = i % 2 == 1};
        const Answer answer = i < 2 ? kept.ask(us_.port, ca_, what) : ask(us_, what);
        ++(answer.status == 200 ? good : bad);
        if (answer.status != 200)
          fmt::print(stderr, "status {}, curl {}\n", answer.status, static_cast<int>(answer.code));
      }
    });
  for (int i = 0; i < 3; ++i) {
    const int at = good;
    std::set<std::int64_t> old;
    for (const auto& worker : us_.state().workers) old.insert(worker.pid);
    us_.nginx->signal(SIGHUP);
    // No ASSERT here: the clients must be told to stop.
    EXPECT_TRUE(eventually([&] {
      int fresh = 0;
      for (const auto& worker : us_.state().workers) fresh += !old.contains(worker.pid);
      return good > at + 20 && fresh == 2;
    }));
  }
  stop = true;
  clients.clear();
  EXPECT_EQ(bad, 0);
  EXPECT_GT(good, 60);
  // A killed worker's writes in flight die with its count, and its successor serves.
  {
    std::jthread writer([&] { ask(us_, {.host = kUs, .path = "/slow", .method = "POST", .body = "x"}); });
    ASSERT_TRUE(eventually([&] { return us_.state().writes_in_flight("us") == 1; }));
    kill_writer();
    EXPECT_TRUE(eventually([&] { return us_.state().writes_in_flight("us") == 0 && us_.state().workers.size() == 2; }));
    release_ = true;
  }
  EXPECT_EQ(ask(us_, {.host = kUs}).status, 200);
}

// ---- what is told when no answer comes

TEST_F(Gateway, AnApplicationThatIsGoneIsATryLaterAndOneThatIsSilentIsUnknown) {
  SilentApplication silent;
  us_.config.application = local(silent.port);
  ASSERT_NO_FATAL_FAILURE(reconfigure(us_));
  // Once at this gateway, once forwarded by the other one, which passes the answer on.
  for (Region* region : {&us_, &eu_}) {
    const Answer unknown = ask(*region, {.host = kUs, .method = "POST", .body = "x", .plain = true});
    EXPECT_EQ(unknown.status, 504) << region->name;
    EXPECT_TRUE(has(unknown, "no_answer")) << unknown.headers;
  }
  us_.config.application = local(free_port());
  ASSERT_NO_FATAL_FAILURE(reconfigure(us_));
  for (Region* region : {&us_, &eu_}) {
    const Answer later = ask(*region, {.host = kUs, .method = "POST", .body = "x", .plain = true});
    EXPECT_EQ(later.status, 503) << region->name;
    EXPECT_TRUE(has(later, "application_unreachable")) << later.headers;
    EXPECT_TRUE(has(later, "Retry-After: 1")) << later.headers;
  }
}

TEST_F(Gateway, AForwardThatCannotBeSentWaitsForThePeerAndThenSaysTryLater) {
  us_.nginx->stop();
  {
    std::jthread client([&] {
      const Answer answer = ask(eu_, {.host = kUs, .method = "POST", .body = "abc", .plain = true});
      EXPECT_EQ(answer.body, "us-east-1 POST 3") << answer.status << answer.headers;
    });
    ASSERT_TRUE(eventually([&] { return held(eu_) == 1; }));
    EXPECT_EQ(calls_, 0);
    auto nginx = Process::start(start_command(us_.config));
    ASSERT_TRUE(nginx) << render(nginx.error());
    us_.nginx = std::move(*nginx);
  }
  EXPECT_EQ(calls_, 1);
  eu_.config.hold_ms = 700;
  ASSERT_NO_FATAL_FAILURE(reconfigure(eu_));
  us_.nginx->stop();
  const Answer later = ask(eu_, {.host = kUs, .method = "POST", .body = "abc", .plain = true});
  EXPECT_EQ(later.status, 503);
  EXPECT_TRUE(has(later, "peer_unreachable")) << later.headers;
  EXPECT_TRUE(has(later, "Retry-After: 1")) << later.headers;
}

TEST_F(Gateway, AForwardWhosePeerDiesUnderWayIsUnknown) {
  Answer answer;
  {
    std::jthread client(
        [&] { answer = ask(eu_, {.host = kUs, .path = "/slow", .method = "POST", .body = "x", .plain = true}); });
    ASSERT_TRUE(eventually([&] { return us_.state().writes_in_flight("us") == 1; }));
    kill_writer();
  }
  EXPECT_EQ(answer.status, 504);
  EXPECT_TRUE(has(answer, "no_answer")) << answer.headers;
}

// ---- limits of holding

TEST_F(Gateway, BeyondTheHoldsNumberAndBytesIsATryLater) {
  us_.config.workers = 1;
  us_.config.hold_requests = 3;
  us_.config.hold_bytes = 10240 * 3 + 50000;
  ASSERT_NO_FATAL_FAILURE(reconfigure(us_));
  us_.authority.rows[0].mode = Mode::draining;
  put(us_);
  ASSERT_TRUE(eventually([&] { return us_.state().generation_obeyed() == us_.authority.generation; }));
  const auto hold_one = [&](std::size_t size) {
    return std::jthread([this, size] {
      const Answer answer = ask(us_, {.host = kUs, .method = "POST", .body = std::string(size, 'x'), .plain = true});
      EXPECT_EQ(answer.body, fmt::format("us-east-1 POST {}", size)) << answer.status;
    });
  };
  std::vector<std::jthread> clients;
  clients.push_back(hold_one(40000));
  ASSERT_TRUE(eventually([&] { return held(us_) == 1; }));
  const Answer big = ask(us_, {.host = kUs, .method = "POST", .body = std::string(40000, 'x'), .plain = true});
  EXPECT_EQ(big.status, 503) << "too many bytes";
  EXPECT_TRUE(has(big, "hold_full") && has(big, "Retry-After: 1")) << big.headers;
  clients.push_back(hold_one(1));
  {  // A client that goes away leaves its place.
    TlsClient leaving(us_.plain);
    const std::string request = fmt::format("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 1\r\n\r\nx", kUs);
    ASSERT_EQ(write(leaving.fd(), request.data(), request.size()), static_cast<ssize_t>(request.size()));
    ASSERT_TRUE(eventually([&] { return held(us_) == 3; }));
    const Answer full = ask(us_, {.host = kUs, .method = "POST", .body = "x"});
    EXPECT_EQ(full.status, 503) << "too many";
    EXPECT_TRUE(has(full, "hold_full") && has(full, "Retry-After: 1")) << full.headers;
  }
  ASSERT_TRUE(eventually([&] { return held(us_) == 2; }));
  clients.push_back(hold_one(2));
  ASSERT_TRUE(eventually([&] { return held(us_) == 3; }));
  us_.authority.rows[0].mode = Mode::serving;
  put(us_);
  clients.clear();
  EXPECT_TRUE(eventually([&] { return held(us_) == 0 && us_.state().workers[0].held_bytes == 0; }));
}

TEST_F(Gateway, AHoldEndsAfterItsTimeAlsoWhenTheAuthorityChangesAgainAndAgain) {
  us_.config.hold_ms = 600;
  ASSERT_NO_FATAL_FAILURE(reconfigure(us_));
  set_us(Mode::moving, us_.name, 2);
  std::atomic<bool> answered = false;
  std::jthread client([&] {
    const Micros begin = monotonic_now();
    const Answer answer = ask(us_, {.host = kUs, .method = "POST", .body = "x"});
    EXPECT_EQ(answer.status, 503);
    EXPECT_TRUE(has(answer, "hold_timeout") && has(answer, "Retry-After: 1")) << answer.headers;
    EXPECT_GE(monotonic_now() - begin, 600 * kMillisecond);
    answered = true;
  });
  EXPECT_TRUE(eventually(
      [&] {
        put(us_);  // as an agent does with each beat
        usleep(50000);
        return answered.load();
      },
      8 * kSecond));
}

TEST_F(Gateway, AnUndecryptedConnectionWaitsForTheEndOfTheSwitch) {
  us_.authority.rows[1].mode = Mode::moving;
  put(us_);
  ASSERT_TRUE(obeyed(us_));
  std::jthread client([&] {
    const Answer answer = ask(us_, {.host = kEu, .method = "POST", .body = "abc"});
    EXPECT_EQ(answer.body, "eu-central-1 POST 3") << answer.status << " " << static_cast<int>(answer.code);
  });
  ASSERT_TRUE(eventually([&] { return held(us_) == 1; }));
  EXPECT_EQ(calls_, 0);
  us_.authority.rows[1].mode = Mode::serving;
  put(us_);
}

TEST_F(Gateway, WhatIsDeclaredAReadIsServedWhileWritesWait) {
  us_.config.reads = {"POST /search"};
  ASSERT_NO_FATAL_FAILURE(reconfigure(us_));
  ASSERT_NO_FATAL_FAILURE(set_us(Mode::draining, us_.name, 1));
  EXPECT_EQ(ask(us_, {.host = kUs, .path = "/search?q=1", .method = "POST", .body = "x"}).status, 200);
  std::jthread writer(
      [&] { EXPECT_EQ(ask(us_, {.host = kUs, .method = "POST", .body = "abcd"}).body, "eu-central-1 POST 4"); });
  ASSERT_TRUE(eventually([&] { return held(us_) == 1; }));
  EXPECT_EQ(us_.state().writes_in_flight("us"), 0u);
  set_us(Mode::serving, eu_.name, 2);
}

std::vector<pid_t> children_of(pid_t parent) {
  std::ifstream file(fmt::format("/proc/{0}/task/{0}/children", parent));
  std::vector<pid_t> children;
  for (pid_t pid; file >> pid;) children.push_back(pid);
  return children;
}
// Or gone already.
bool is_ending(pid_t worker) {
  const std::string title = read_file(fmt::format("/proc/{}/cmdline", worker)).value_or("");
  return title.empty() || title.find("shutting down") != std::string::npos;
}
// Connections that somebody has accepted at this port: before, a socket has no inode.
int accepted(int port) {
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

// A connection that a worker has accepted is its own: it must see the handshake through although it ends.
TEST_F(Gateway, AHandshakeThatBeginsInAWorkerOnItsWayOutIsFinished) {
  const std::vector<pid_t> old = children_of(us_.nginx->pid());
  ASSERT_EQ(old.size(), 2u);
  constexpr int kConnections = 20;
  std::vector<TlsClient> connections;
  for (int i = 0; i < kConnections; ++i) connections.emplace_back(us_.port);
  ASSERT_TRUE(eventually([&] { return accepted(us_.port) == kConnections; })) << "by the old workers";
  us_.nginx->signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return is_ending(old[0]) && is_ending(old[1]); }));
  for (TlsClient& connection : connections) {
    ASSERT_TRUE(connection.handshake(kUs, ca_)) << us_.errors();
    ASSERT_TRUE(connection.write(fmt::format("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", kUs)));
    EXPECT_NE(connection.read_until("us-east-1 GET").find(" 200 "), std::string::npos);
  }
}

// Upgrades and endless answers: what a client of the US sees of an application in the EU, and its end after a switch.
TEST_F(Gateway, UpgradesAndEventStreamsPassTheTunnelAndEndWithTheirOwner) {
  for (const bool upgrade : {true, false}) {
    RawApplication application(upgrade);
    // The same gateway, another application behind it.
    eu_.config.application = local(application.port);
    ASSERT_NO_FATAL_FAILURE(reconfigure(eu_));
    std::string seen;
    std::atomic<bool> ended = false;
    std::jthread client([&] {
      seen = raw_tls_exchange(us_.port, kEu, ca_, upgrade, application.seen_by_client);
      ended = true;
    });
    ASSERT_TRUE(eventually([&] { return application.seen_by_client.load(); })) << us_.errors() << eu_.errors();
    EXPECT_FALSE(ended);
    auto& row = eu_.authority.rows[1];
    row.owner = "eu-west-1";
    row.epoch += 1;
    row.lease_end = 0;
    put(eu_);
    EXPECT_TRUE(eventually([&] { return ended.load(); })) << "the connection outlived its owner";
    EXPECT_NE(seen.find(upgrade ? "echo hello" : "data: 1"), std::string::npos) << seen;
    row.owner = eu_.name;
    row.epoch += 1;
    row.lease_end = boottime_now() + 600 * kSecond;
    put(eu_);
    ASSERT_TRUE(obeyed(eu_));
  }
}

// An application with one WebSocket, whose bytes the test says itself.
struct WebSocketApplication {
  WebSocketApplication() : listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener.get(), 8) != 0)
      std::abort();
    getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
  }
  void accept_one() {
    peer = Fd(accept(listener.get(), nullptr, nullptr));
    char buffer[4096];
    std::string request;
    for (ssize_t n; request.find("\r\n\r\n") == request.npos && (n = read(peer.get(), buffer, sizeof buffer)) > 0;)
      request.append(buffer, static_cast<std::size_t>(n));
    say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
  }
  void say(const std::string& bytes) { (void)!write(peer.get(), bytes.data(), bytes.size()); }
  Fd listener, peer;
  int port = 0;
};

// RFC 6455: a text frame of the server, unmasked.
std::string frame(const std::string& text) {
  if (text.size() < 126) return std::string{'\x81', static_cast<char>(text.size())} + text;
  return std::string{'\x81', 126, static_cast<char>(text.size() >> 8), static_cast<char>(text.size() & 0xff)} + text;
}

// The client is in the US, its tenant in the EU: all of it passes the tunnel.
TEST_F(Gateway, AWebSocketIsToldToComeBackBetweenTwoFramesWhenItsResidencyMoves) {
  const std::string restart("\x88\x02\x03\xf4", 4), text(3000, 'x');
  for (const bool in_a_frame : {false, true}) {
    WebSocketApplication application;
    eu_.config.application = local(application.port);
    ASSERT_NO_FATAL_FAILURE(reconfigure(eu_));
    TlsClient client(us_.port);
    ASSERT_TRUE(client.handshake(kEu, ca_)) << us_.errors() << eu_.errors();
    client.write(
        fmt::format("GET /feed HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                    kEu));
    application.accept_one();
    ASSERT_NE(client.read_until("\r\n\r\n").find("101"), std::string::npos);
    application.say(frame("one") + (in_a_frame ? frame(text).substr(0, 1000) : ""));
    const std::string before = frame("one") + (in_a_frame ? frame(text).substr(0, 1000) : "");
    ASSERT_EQ(client.read_bytes(before.size()), before);
    auto& row = eu_.authority.rows[1];
    row.owner = "eu-west-1";
    row.epoch += 1;
    row.lease_end = 0;
    put(eu_);
    ASSERT_TRUE(obeyed(eu_));
    application.say((in_a_frame ? frame(text).substr(1000) : "") + frame("too late"));
    EXPECT_EQ(client.read_all(), (in_a_frame ? frame(text).substr(1000) : "") + restart);
    row.owner = eu_.name;
    row.epoch += 1;
    row.lease_end = boottime_now() + 600 * kSecond;
    put(eu_);
    ASSERT_TRUE(obeyed(eu_));
  }
}

}  // namespace
}  // namespace domicile::edge
