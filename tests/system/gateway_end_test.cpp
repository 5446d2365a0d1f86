// Connections that end: by a reload, with a killed worker, and after a switch.
#include "support/gateway_fixture.hpp"

namespace domicile::edge {
namespace {

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

// By a client that sends nothing twice: what it was told is what was done.
TEST_F(Gateway, AReloadNeitherLosesNorRepeatsAWriteOnAKeptConnection) {
  std::atomic<bool> stop = false;
  std::atomic<int> number = 0, answers = 0, closes = 0;
  std::mutex mutex;
  std::set<std::string> answered, unanswered;
  std::vector<std::jthread> clients;
  for (int i = 0; i < 6; ++i)
    clients.emplace_back([&, i] {
      std::optional<TlsClient> client;
      while (!stop) {
        if (!client) {
          client.emplace(us_.port);
          EXPECT_TRUE(client->handshake(kUs, ca_));
        }
        const std::string marker = std::to_string(++number);
        client->write(
            fmt::format("POST / HTTP/1.1\r\nHost: {}\r\nX-Marker: {}\r\nContent-Length: 1\r\n\r\nx", kUs, marker));
        const std::string answer = client->read_answer();
        const bool good = answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("us-east-1 POST 1");
        {
          const std::lock_guard lock(mutex);
          (good ? answered : unanswered).insert(marker);
        }
        if (good) ++answers;
        EXPECT_TRUE(good || answer.empty()) << answer;
        const bool told = answer.find("Connection: close") != answer.npos;
        closes += told;
        if (!good || told) client.reset();
        usleep(static_cast<unsigned>(i) * 7000);  // between its requests a connection is idle, each of another length
      }
    });
  for (int i = 0; i < 4; ++i) {
    const int at = answers;
    std::set<std::int64_t> old;
    for (const auto& worker : us_.state().workers) old.insert(worker.pid);
    us_.nginx->signal(SIGHUP);
    EXPECT_TRUE(eventually([&] {
      for (const auto& worker : us_.state().workers)
        if (old.contains(worker.pid)) return false;
      return answers > at + 50;
    }));
  }
  stop = true;
  clients.clear();
  EXPECT_GT(closes, 6) << "old workers tell it";
  const std::lock_guard lock(mutex_);
  for (const auto& marker : answered) EXPECT_EQ(marked_[marker], 1) << marker;
  // A client whose connection was closed without an answer is in doubt, and would not have to be: nothing was read. It
  // happens where an answer's head had gone out before the worker's end began, and its body had not.
  for (const auto& marker : unanswered) EXPECT_EQ(marked_[marker], 0) << marker;
  EXPECT_LE(unanswered.size(), answered.size() / 20);
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

// HTTP/1.1 can say "begin nothing more" in an answer only: so an idle connection is answered once more.
TEST_F(Gateway, AnIdleConnectionOfAWorkerOnItsWayOutIsAnsweredOnceMoreAndToldToLeave) {
  const std::vector<pid_t> old = children_of(us_.nginx->pid());
  const std::string request = fmt::format("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 1\r\n\r\nx", kUs);
  constexpr int kConnections = 10;
  std::vector<TlsClient> connections;
  for (int i = 0; i < kConnections; ++i) {
    connections.emplace_back(us_.port);
    ASSERT_TRUE(connections.back().handshake(kUs, ca_)) << us_.errors();
    ASSERT_TRUE(connections.back().write(request));
    ASSERT_EQ(connections.back().read_answer().find("Connection: close"), std::string::npos);
  }
  TlsClient silent(us_.port);
  ASSERT_TRUE(silent.handshake(kUs, ca_)) << us_.errors();
  ASSERT_TRUE(silent.write(request));
  ASSERT_NE(silent.read_answer(), "");
  us_.nginx->signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return is_ending(old[0]) && is_ending(old[1]); }));
  for (TlsClient& connection : connections) ASSERT_TRUE(connection.write(request));  // all of them within the grace
  for (TlsClient& connection : connections) {
    const std::string answer = connection.read_answer();
    EXPECT_TRUE(answer.ends_with("us-east-1 POST 1")) << answer;
    EXPECT_NE(answer.find("Connection: close"), answer.npos) << answer;
    EXPECT_EQ(connection.read(), "");
    connection.close();  // nginx waits a while for that
  }
  // Who says nothing is closed after a moment, and keeps no worker.
  EXPECT_EQ(silent.read(), "");
  EXPECT_TRUE(eventually([&] { return kill(old[0], 0) != 0 && kill(old[1], 0) != 0; }));
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
