// Single tenants that move to another residency: held alone, and sent to their new owner while tenants.snap is behind.
#include "core/snapshot/edge_state.hpp"
#include "support/gateway_fixture.hpp"
#include "support/http2_client.hpp"

namespace domicile::edge {
namespace {

constexpr const char* kOther = "other.example";  // of another tenant of the residency us
const std::string kGoingAway("\x88\x02\x03\xf4", 4);

// Where a tenant's hosts are needed in two residencies' certificates, as they are while it moves.
class GatewayMove : public Gateway {
 protected:
  void SetUp() override {
    Gateway::SetUp();
    make_certificate(d_, "us", "DNS:acme.example,DNS:other.example,DNS:muster.example");
    make_certificate(d_, "eu", "DNS:muster.example,DNS:acme.example");
    for (Region* region : {&us_, &eu_}) ASSERT_NO_FATAL_FAILURE(reconfigure(*region));
  }
  void tell(Region& region, const std::vector<snapshot::MoveRow>& moves) {
    region.authority.moves = moves;
    put(region);
    ASSERT_TRUE(obeyed(region)) << region.errors();
  }
  void tell(const std::vector<snapshot::MoveRow>& moves) {
    for (Region* region : {&us_, &eu_}) ASSERT_NO_FATAL_FAILURE(tell(*region, moves));
  }
  std::uint64_t held_in_all() { return held(us_) + held(eu_); }
  int marked(const std::string& marker) {
    const std::lock_guard lock(mutex_);
    return marked_[marker];
  }
  bool at_rest(const Region& region) {
    const auto rests =
        moves_at_rest(read_edge_state(region.config.directory + "/edge.state"), region.authority.generation);
    EXPECT_TRUE(rests) << render(rests.error());
    return rests && *rests;
  }
};

// Requests without a pause of the tenant that does not move, at both gateways and over both protocols.
class Steady {
 public:
  Steady(int us, int eu, const std::string& ca) {
    for (int i = 0; i < 4; ++i)
      clients_.emplace_back([this, i, port = i < 2 ? us : eu, ca] {
        Client client;
        while (!stop_) {
          const Answer answer =
              client.ask(port, ca, {.host = kOther, .method = "POST", .body = "abc", .http2 = i % 2 == 1});
          const bool good = answer.body == "us-east-1 POST 3";
          ++(good ? served_ : lost_);
          if (!good) fmt::print(stderr, "{} {} {}\n", answer.status, static_cast<int>(answer.code), answer.body);
        }
      });
  }
  ~Steady() { stop_ = true; }
  bool goes_on() const {
    const int before = served_;
    return eventually([&] { return served_ > before + 20; });
  }
  int lost() const { return lost_; }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<int> served_ = 0, lost_ = 0;
  std::vector<std::jthread> clients_;
};

TEST_F(GatewayMove, AHeldTenantWaitsAloneAndGoesOnAtTheNewOwner) {
  Steady steady(us_.port, eu_.port, ca_);
  ASSERT_NO_FATAL_FAILURE(tell({{"muster", "eu", true}}));
  constexpr int kClients = 80;
  std::atomic<int> right = 0;
  std::vector<std::jthread> clients;
  for (int i = 0; i < kClients; ++i)
    clients.emplace_back([&, i] {
      // In the US undecrypted; in the EU decrypted, with or without TLS.
      const Answer answer = ask(i % 4 < 2 ? us_ : eu_, {.host = kEu,
                                                        .method = i % 8 < 4 ? "POST" : "PUT",
                                                        .body = std::string(1 + i * 100, 'x'),
                                                        .headers = {fmt::format("X-Marker: {}", i)},
                                                        .http2 = i % 4 == 1 || i % 4 == 2,
                                                        .plain = i % 4 == 3});
      if (answer.body == fmt::format("us-east-1 {} {}", i % 8 < 4 ? "POST" : "PUT", 1 + i * 100))
        ++right;
      else
        fmt::print(stderr, "{} {} {} {}\n", i, answer.status, static_cast<int>(answer.code), answer.body);
    });
  ASSERT_TRUE(eventually([&] { return held_in_all() == kClients; }, 20 * kSecond)) << held_in_all();
  EXPECT_TRUE(steady.goes_on());
  // It belongs to its new residency, and is held on: each is decided anew, decrypted in the US, and waits.
  ASSERT_NO_FATAL_FAILURE(tell({{"muster", "us", true}}));
  EXPECT_TRUE(eventually([&] { return held_in_all() == kClients; })) << held_in_all();
  for (int i = 0; i < kClients; ++i) EXPECT_EQ(marked(std::to_string(i)), 0) << "early";
  EXPECT_TRUE(at_rest(us_) && at_rest(eu_));
  ASSERT_NO_FATAL_FAILURE(tell({{"muster", "us", false}}));
  clients.clear();
  EXPECT_EQ(right, kClients);
  for (int i = 0; i < kClients; ++i) EXPECT_EQ(marked(std::to_string(i)), 1) << i;
  EXPECT_EQ(held_in_all(), 0u);
  EXPECT_TRUE(steady.goes_on());
  EXPECT_EQ(steady.lost(), 0);
  // Those that come now: decrypted where the owner is, and led there from elsewhere.
  EXPECT_EQ(ask(us_, {.host = kEu}).body, "us-east-1 GET 0");
  EXPECT_EQ(ask(us_, {.host = kEu, .plain = true}).body, "us-east-1 GET 0");
  const auto tunnelled = [&] { return eu_.state().decisions()["tunnel"]; };
  const auto before = tunnelled();
  EXPECT_EQ(ask(eu_, {.host = kEu}).body, "us-east-1 GET 0");
  EXPECT_EQ(tunnelled(), before + 1);
  EXPECT_EQ(ask(eu_, {.host = kEu, .plain = true}).body, "us-east-1 GET 0") << "forwarded";
}

// From the US, which may hold the old residency in full, to one that it may not.
TEST_F(GatewayMove, WhatTheLawForbidsAfterTheMoveIsNotServedAndFindsItsWayByANewConnection) {
  Steady steady(us_.port, eu_.port, ca_);
  ASSERT_NO_FATAL_FAILURE(tell({{"acme", "us", true}}));
  struct Case {
    bool in_eu, http2, plain;
    long first;
  };
  const Case cases[] = {{false, false, false, 421}, {false, true, false, 421}, {false, false, true, 451},
                        {true, false, false, 200},  {true, true, false, 200},  {true, false, true, 200}};
  std::vector<std::jthread> clients;
  for (std::size_t i = 0; i < std::size(cases); ++i)
    clients.emplace_back([&, i] {
      const Case& c = cases[i];
      const Ask what{.host = kUs,
                     .method = "POST",
                     .body = "abcd",
                     .headers = {fmt::format("X-Marker: {}", i)},
                     .http2 = c.http2,
                     .plain = c.plain};
      Answer answer = ask(c.in_eu ? eu_ : us_, what);
      EXPECT_EQ(answer.status, c.first) << i << answer.body;
      EXPECT_EQ(has(answer, "unlawful_here"), c.first != 200) << i << answer.headers;
      if (c.first == 421) answer = ask(us_, what);
      if (c.first != 451) {
        EXPECT_EQ(answer.body, "eu-central-1 POST 4") << i << " " << answer.status;
      }
    });
  ASSERT_TRUE(eventually([&] { return held_in_all() == std::size(cases); }, 20 * kSecond)) << held_in_all();
  EXPECT_TRUE(steady.goes_on());
  // Held on, but in a residency that may not be decrypted in the US any more: who comes again waits undecrypted.
  ASSERT_NO_FATAL_FAILURE(tell({{"acme", "eu", true}}));
  const auto answered = [&] {
    const auto decisions = us_.state().decisions();
    return decisions.at("misdirected_421") == 2 && decisions.at("refuse_451") == 1;
  };
  ASSERT_TRUE(eventually([&] { return answered() && held(us_) == 2 && held(eu_) == 3; })) << held_in_all();
  for (std::size_t i = 0; i < std::size(cases); ++i) EXPECT_EQ(marked(std::to_string(i)), 0) << "early";
  ASSERT_NO_FATAL_FAILURE(tell({{"acme", "eu", false}}));
  clients.clear();
  for (std::size_t i = 0; i < std::size(cases); ++i)
    EXPECT_EQ(marked(std::to_string(i)), cases[i].first == 451 ? 0 : 1) << i;
  EXPECT_TRUE(steady.goes_on());
  EXPECT_EQ(steady.lost(), 0);
  EXPECT_EQ(us_.state().decisions()["forward"], 0u) << "decrypted in the US, it goes nowhere";
}

TEST_F(GatewayMove, AMoveThatIsGivenUpLetsItsTenantGoOnWhereItWas) {
  ASSERT_NO_FATAL_FAILURE(tell({{"acme", "us", true}}));
  std::jthread at_owner([&] { EXPECT_EQ(ask(us_, {.host = kUs}).body, "us-east-1 GET 0"); });
  std::jthread elsewhere(
      [&] { EXPECT_EQ(ask(eu_, {.host = kUs, .method = "POST", .body = "ab"}).body, "us-east-1 POST 2"); });
  ASSERT_TRUE(eventually([&] { return held_in_all() == 2; }));
  EXPECT_EQ(calls_, 0) << "reads wait as well";
  tell({});
}

// The gateway of the old owner is a moment ahead: the new owner's sends its requests back until it knows.
TEST_F(GatewayMove, ARequestThatComesBeforeTheNewOwnerKnowsWaitsAtTheSender) {
  ASSERT_NO_FATAL_FAILURE(tell({{"muster", "eu", true}}));
  std::jthread client([&] {
    EXPECT_EQ(ask(eu_, {.host = kEu, .method = "POST", .body = "abc", .plain = true}).body, "us-east-1 POST 3");
  });
  ASSERT_TRUE(eventually([&] { return held(eu_) == 1; }));
  // Held in the US too, but with the residency that lets it be decrypted there.
  tell(us_, {{"muster", "us", true}});
  tell(eu_, {{"muster", "us", false}});
  EXPECT_TRUE(eventually([&] { return us_.state().decisions()["misdirected_421"] > 0; }));
  EXPECT_EQ(calls_, 0);
  tell(us_, {{"muster", "us", false}});
}

TEST_F(GatewayMove, WritesInFlightOfAHeldTenantAreCountedUntilTheyEnd) {
  Answer mine, others;
  {
    std::jthread writer(
        [&] { mine = ask(us_, {.host = kUs, .path = "/slow", .method = "POST", .body = "x", .http2 = true}); });
    std::jthread other([&] { others = ask(us_, {.host = kOther, .path = "/slow", .method = "POST", .body = "x"}); });
    std::jthread reader([&] { ask(us_, {.host = kUs, .path = "/slow"}); });
    ASSERT_TRUE(eventually([&] { return us_.state().writes_in_flight("us") == 2 && calls_ == 3; }));
    EXPECT_EQ(us_.state().moving_writes(), 0u);
    EXPECT_TRUE(at_rest(us_)) << "nobody moves";
    for (int i = 0; i < 3; ++i) {  // held, let go, held again: it is the same write
      ASSERT_NO_FATAL_FAILURE(tell(us_, {{"acme", "us", true}}));
      EXPECT_EQ(us_.state().moving_writes(), 1u);
      EXPECT_FALSE(at_rest(us_));
      if (i == 2) break;
      ASSERT_NO_FATAL_FAILURE(tell(us_, {{"acme", "us", false}}));
      EXPECT_EQ(us_.state().moving_writes(), 0u);
    }
    put(us_);
    EXPECT_FALSE(moves_at_rest(us_.state(), us_.authority.generation).value()) << "of a generation or of its write";
    ASSERT_TRUE(obeyed(us_));
    EXPECT_EQ(us_.state().moving_writes(), 1u);
    release_ = true;
  }
  EXPECT_EQ(mine.status, 200) << "told as done: its lease lives";
  EXPECT_EQ(others.status, 200);
  EXPECT_TRUE(eventually([&] { return at_rest(us_) && us_.state().writes_in_flight("us") == 0; }));
  EXPECT_EQ(us_.state().moving_writes(), 0u);
  ASSERT_NO_FATAL_FAILURE(tell(us_, {}));
  EXPECT_EQ(ask(us_, {.host = kUs, .method = "POST", .body = "x"}).status, 200);
  EXPECT_EQ(us_.state().moving_writes(), 0u);
}

TEST_F(GatewayMove, AWriteThatOutlivesItsMoveIsNotCountedWhenItEnds) {
  std::jthread writer([&] { ask(us_, {.host = kUs, .path = "/slow", .method = "POST", .body = "x"}); });
  ASSERT_TRUE(eventually([&] { return us_.state().writes_in_flight("us") == 1; }));
  ASSERT_NO_FATAL_FAILURE(tell(us_, {{"acme", "us", true}}));
  EXPECT_EQ(us_.state().moving_writes(), 1u);
  ASSERT_NO_FATAL_FAILURE(tell(us_, {}));
  EXPECT_EQ(us_.state().moving_writes(), 0u);
  release_ = true;
  writer.join();
  EXPECT_TRUE(eventually([&] { return us_.state().writes_in_flight("us") == 0; }));
  EXPECT_EQ(us_.state().moving_writes(), 0u);
}

// A writer that its worker takes with it is counted no longer.
TEST_F(GatewayMove, AKilledWorkersWritesAreNotWaitedFor) {
  std::jthread writer([&] { ask(us_, {.host = kUs, .path = "/slow", .method = "POST", .body = "x"}); });
  ASSERT_TRUE(eventually([&] { return us_.state().writes_in_flight("us") == 1; }));
  ASSERT_NO_FATAL_FAILURE(tell(us_, {{"acme", "us", true}}));
  ASSERT_EQ(us_.state().moving_writes(), 1u);
  kill_writer();
  EXPECT_TRUE(eventually([&] { return us_.state().workers.size() == 2 && at_rest(us_); }));
  release_ = true;
}

// An application whose answers do not end, one connection after the other.
struct LongApplication {
  LongApplication() : listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener.get(), 8) != 0)
      std::abort();
    getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
  }
  Fd accept_one(bool websocket) {
    Fd peer(accept(listener.get(), nullptr, nullptr));
    char buffer[4096];
    std::string request;
    for (ssize_t n; request.find("\r\n\r\n") == request.npos && (n = read(peer.get(), buffer, sizeof buffer)) > 0;)
      request.append(buffer, static_cast<std::size_t>(n));
    say(peer, websocket ? "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
                        : "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    return peer;
  }
  static void say(const Fd& to, const std::string& text) { (void)!write(to.get(), text.data(), text.size()); }
  Fd listener;
  int port = 0;
};

// One client's, and what the application has of it.
struct LongAnswer {
  LongAnswer(int port, LongApplication& application, const std::string& host, const std::string& ca, bool websocket)
      : client(port) {
    EXPECT_TRUE(client.handshake(host, ca));
    client.write(fmt::format("GET /feed HTTP/1.1\r\nHost: {}\r\n{}\r\n", host,
                             websocket ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                       : ""));
    at_application = application.accept_one(websocket);
    EXPECT_NE(client.read_until("\r\n\r\n").find(websocket ? "101" : "200"), std::string::npos);
  }
  // A frame of a WebSocket, which is as good as any other bytes for an event stream.
  bool arrives(const std::string& text) {
    LongApplication::say(at_application, std::string{'\x81', static_cast<char>(text.size())} + text);
    return client.read_until(text).ends_with(text);
  }
  TlsClient client;
  Fd at_application;
};

TEST_F(GatewayMove, LongAnswersOfAMovedTenantEndAndThoseOfOthersGoOn) {
  LongApplication application;
  us_.config.application = local(application.port);
  ASSERT_NO_FATAL_FAILURE(reconfigure(us_));
  LongAnswer socket(us_.port, application, kUs, ca_, true), events(us_.port, application, kUs, ca_, false);
  LongAnswer others_socket(us_.port, application, kOther, ca_, true);
  LongAnswer others_events(us_.port, application, kOther, ca_, false);
  Http2Client http2(us_.port);
  ASSERT_TRUE(http2.handshake(kUs, ca_));
  const std::uint32_t stream = http2.ask("GET", kUs, "/feed");
  const Fd at_application = application.accept_one(false);
  LongApplication::say(at_application, "data: 1\n\n");  // nginx sends the head of an HTTP/2 answer with its first bytes
  ASSERT_EQ(status_of(http2.read().value_or(Frame{})), 200);

  ASSERT_NO_FATAL_FAILURE(tell(us_, {{"acme", "us", true}}));
  for (LongAnswer* each : {&socket, &events, &others_socket, &others_events})
    EXPECT_TRUE(each->arrives("while it is held"));
  ASSERT_NO_FATAL_FAILURE(tell(us_, {{"acme", "eu", false}}));
  const Micros begin = monotonic_now();
  EXPECT_EQ(socket.client.read_all(), kGoingAway);
  events.client.read_all();
  bool reset = false;
  while (!reset) {
    const auto frame = http2.read();
    if (!frame) break;
    reset = frame->type == kReset && frame->stream == stream;
  }
  EXPECT_TRUE(reset);
  EXPECT_LT(monotonic_now() - begin, 10 * kSecond) << "a client's patience is 20 s: they have ended by themselves";
  for (LongAnswer* each : {&others_socket, &others_events}) EXPECT_TRUE(each->arrives("after the move"));
}

// Both residencies are owned here, but an application may have read its tenant's residency only once.
TEST_F(GatewayMove, LongAnswersEndAlsoWhereTheOwnerStaysTheSame) {
  LongApplication application;
  us_.config.application = local(application.port);
  ASSERT_NO_FATAL_FAILURE(reconfigure(us_));
  auto row = us_.authority.rows[0];
  row.residency = "us-2";
  us_.authority.rows.push_back(row);
  put(us_);
  ASSERT_TRUE(obeyed(us_));
  LongAnswer socket(us_.port, application, kUs, ca_, true);
  ASSERT_NO_FATAL_FAILURE(tell(us_, {{"acme", "us", true}}));
  EXPECT_TRUE(socket.arrives("held"));
  ASSERT_NO_FATAL_FAILURE(tell(us_, {{"acme", "us-2", false}}));
  EXPECT_EQ(socket.client.read_all(), kGoingAway);
}

// Several requests on one connection, which then is led away.
TEST_F(GatewayMove, AnHttp2ConnectionsRequestsAreHeldAndForwardedAndItIsToldToEnd) {
  Http2Client client(eu_.port);
  ASSERT_TRUE(client.handshake(kEu, ca_)) << eu_.errors();
  std::map<std::uint32_t, std::string> bodies;
  std::set<std::uint32_t> answered;
  int goaways = 0;
  const auto take = [&] {
    const auto frame = client.read();
    if (!frame) return false;
    goaways += frame->type == kGoaway;
    if (frame->type == kHeaders) {
      EXPECT_EQ(status_of(*frame), 200);
    }
    if (frame->type == kData) bodies[frame->stream] += frame->payload;
    if (frame->type == kData && (frame->flags & kEndStream) != 0) answered.insert(frame->stream);
    return true;
  };
  const auto wait_for = [&](std::uint32_t stream) {
    while (!answered.contains(stream))
      if (!take()) return false;
    return true;
  };
  std::uint32_t stream = client.ask("GET", kEu, "/");
  ASSERT_TRUE(wait_for(stream));
  EXPECT_EQ(bodies[stream], "eu-central-1 GET 0");
  ASSERT_NO_FATAL_FAILURE(tell({{"muster", "eu", true}}));
  std::vector<std::uint32_t> waiting;
  for (int i = 0; i < 5; ++i) {
    waiting.push_back(client.ask("POST", kEu, "/", false));
    client.body(waiting.back(), "abc", true);
  }
  ASSERT_TRUE(eventually([&] { return held(eu_) == waiting.size(); }));
  ASSERT_NO_FATAL_FAILURE(tell({{"muster", "us", false}}));
  for (const auto each : waiting) {
    ASSERT_TRUE(wait_for(each)) << each;
    EXPECT_EQ(bodies[each], "us-east-1 POST 3");
  }
  for (const Micros end = monotonic_now() + 10 * kSecond; goaways == 0 && monotonic_now() < end;) {
    stream = client.ask("GET", kEu, "/");
    ASSERT_TRUE(wait_for(stream));
    EXPECT_EQ(bodies[stream], "us-east-1 GET 0");
  }
  EXPECT_EQ(goaways, 1);
}

TEST_F(GatewayMove, WhoWaitsTooLongIsToldSoAndTheLogsNameTheReason) {
  us_.config.hold_ms = 700;
  ASSERT_NO_FATAL_FAILURE(reconfigure(us_));
  ASSERT_NO_FATAL_FAILURE(tell(us_, {{"acme", "us", true}, {"muster", "eu", true}}));
  const Answer answer = ask(us_, {.host = kUs, .method = "POST", .body = "x"});
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(has(answer, "hold_timeout") && has(answer, "Retry-After: 1")) << answer.headers;
  EXPECT_EQ(ask(us_, {.host = kEu}).status, 0) << "undecrypted: there is nobody to tell, but the log";
  {
    TlsClient leaving(us_.plain);
    const std::string request = fmt::format("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", kUs);
    ASSERT_EQ(write(leaving.fd(), request.data(), request.size()), static_cast<ssize_t>(request.size()));
    ASSERT_TRUE(eventually([&] { return held(us_) == 1; }));
  }
  const auto logged = [&](const char* name, const std::string& text) {
    const std::string path = us_.config.directory + "/logs/" + name;
    return eventually([&] { return read_file(path).value_or("").find(text) != std::string::npos; });
  };
  EXPECT_TRUE(logged("access.log", R"("decision":"unavailable_503","reason":"hold_timeout")"));
  EXPECT_TRUE(logged("access.log", R"("decision":"hold","reason":"tenant_moving")")) << "who left while it was held";
  EXPECT_TRUE(logged("connections.log", R"("decision":"unavailable_503","reason":"hold_timeout")"));
  EXPECT_EQ(calls_, 0);
}

// With a right checksum for whatever it holds.
std::string resealed(std::string bytes) {
  constexpr std::size_t skip = offsetof(snapshot::FileHeader, checksum) + sizeof(std::uint64_t);
  const std::uint64_t length = bytes.size();
  std::memcpy(bytes.data() + offsetof(snapshot::FileHeader, length), &length, sizeof length);
  const std::uint64_t sum = snapshot::checksum(bytes.data() + skip, bytes.size() - skip);
  std::memcpy(bytes.data() + offsetof(snapshot::FileHeader, checksum), &sum, sizeof sum);
  return bytes;
}

TEST_F(GatewayMove, BrokenForeignAndOlderMovesLeaveTheLastGoodOnes) {
  ASSERT_NO_FATAL_FAILURE(set_us(Mode::serving, us_.name, 5));
  ASSERT_NO_FATAL_FAILURE(tell({{"acme", "us", true}}));
  // Each of them would let the tenant go, if it were obeyed.
  auto flip = us_.authority;
  flip.generation += 100;
  flip.moves = {{"acme", "us", false}};
  auto foreign = flip, older = flip;
  foreign.region = eu_.name;
  older.rows[0].epoch = 4;
  const std::string good = *compile(flip);
  const std::size_t entry = sizeof(snapshot::MoveEntry), at = good.size() - entry;
  const auto with = [&](std::size_t where, const std::string& what) {
    return resealed(std::string(good).replace(where, what.size(), what));
  };
  const std::pair<const char*, std::string> bad[] = {
      {"cut in the middle of a move", good.substr(0, good.size() - entry / 2)},
      {"without its last move", good.substr(0, at)},
      {"the same, with a right checksum", resealed(good.substr(0, at))},
      {"one byte more, with a right checksum", resealed(good + 'x')},
      {"a flipped bit in the residency",
       std::string(good).replace(at + offsetof(snapshot::MoveEntry, residency), 1, "t")},
      {"a tenant without an end", with(at, std::string(snapshot::kTenantSize, 't'))},
      {"a residency without an end",
       with(at + offsetof(snapshot::MoveEntry, residency), std::string(snapshot::kNameSize, 'r'))},
      {"neither held nor not", with(at + offsetof(snapshot::MoveEntry, held), "\7")},
      {"of another region", *compile(foreign)},
      {"of a lower epoch", *compile(older)}};
  std::jthread client(
      [&] { EXPECT_EQ(ask(us_, {.host = kUs, .method = "POST", .body = "abc"}).body, "us-east-1 POST 3"); });
  ASSERT_TRUE(eventually([&] { return held(us_) == 1; }));
  const auto refused = [&] {  // by every worker, so often at least
    std::uint64_t least = UINT64_MAX;
    for (const auto& worker : us_.state().workers) least = std::min(least, worker.refused_snapshots);
    return least;
  };
  for (const auto& [what, bytes] : bad) {
    const std::uint64_t before = refused();
    ASSERT_TRUE(publish(us_.config.directory + "/authority.snap", bytes));
    EXPECT_TRUE(eventually([&] { return refused() > before; })) << what;
    EXPECT_EQ(held(us_), 1u) << what;
    EXPECT_EQ(us_.state().generation_obeyed(), us_.authority.generation) << what;
    EXPECT_EQ(ask(us_, {.host = kOther}).body, "us-east-1 GET 0") << what;
  }
  ASSERT_NO_FATAL_FAILURE(tell(us_, {{"acme", "us", false}}));
}

}  // namespace
}  // namespace domicile::edge
