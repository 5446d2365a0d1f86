// What the gateway decides, holds, forwards and tells, as clients see it.
#include "support/gateway_fixture.hpp"
#include "support/http2_client.hpp"

namespace domicile::edge {
namespace {

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
    // The old owner's gateway hears of it first, and hears nothing more: a try every 250 ms. nginx itself would end a
    // request that is redirected ten times.
    ASSERT_TRUE(region == &eu_ || eventually([&] { return sent_back() > 10; }));
  }
}

// A request that was sent back waits 250 ms for its next try. An authority that comes in the same turn of the loop as
// that try must not be taken for the end of its 15 s.
TEST_F(Gateway, ARequestThatWasSentBackWaitsOnWhenAnAuthorityComesTogetherWithItsNextTry) {
  auto& row = us_.authority.rows[0];
  row.owner = eu_.name, row.epoch = 2, row.forward = eu_.config.forward, row.lease_end = 0;
  put(us_);
  ASSERT_TRUE(obeyed(us_));
  std::jthread client([&] {
    const Answer answer = ask(us_, {.host = kUs, .method = "POST", .body = "abc", .plain = true});
    EXPECT_EQ(answer.body, "eu-central-1 POST 3") << answer.status << answer.headers;
  });
  const auto sent_back = [&] { return eu_.state().decisions()["misdirected_421"]; };
  const auto signal_workers = [&](int signal) {
    for (const pid_t worker : children_of(us_.nginx->pid())) kill(worker, signal);
  };
  ASSERT_TRUE(eventually([&] { return sent_back() > 0; }));
  ASSERT_TRUE(eventually([&] {
    signal_workers(SIGSTOP);
    if (held(us_) == 1) return true;
    signal_workers(SIGCONT);
    return false;
  }));
  put(us_);
  const Micros over = monotonic_now() + 300 * kMillisecond;
  ASSERT_TRUE(eventually([&] { return monotonic_now() > over; }));
  const auto before = sent_back();
  signal_workers(SIGCONT);
  ASSERT_TRUE(eventually([&] { return sent_back() > before + 1; })) << "it was not tried again";
  auto& there = eu_.authority.rows[0];
  there.owner = eu_.name, there.epoch = 2, there.lease_end = boottime_now() + 600 * kSecond;
  put(eu_);
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

// A snapshot that no gateway may take: the file of a name, broken, of others, or of the past.
struct BadSnapshot {
  const char* what;
  std::string bytes;
};
// With a checksum that is right again: what is wrong is found by what it says.
std::string resealed(std::string bytes) {
  snapshot::FileHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  constexpr std::size_t skip = offsetof(snapshot::FileHeader, checksum) + sizeof header.checksum;
  header.checksum = snapshot::checksum(bytes.data() + skip, bytes.size() - skip);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}
std::string changed(std::string bytes, std::size_t at, char to) {
  bytes.at(at) = to;
  return bytes;
}
std::vector<BadSnapshot> bad_ones(const std::string& good, const std::string& other_kind, const std::string& older) {
  constexpr std::size_t version = offsetof(snapshot::FileHeader, version), head = sizeof(snapshot::FileHeader);
  return {
      {"empty", ""},
      {"one byte", "x"},
      {"half of the header", good.substr(0, head / 2)},
      {"only the header", good.substr(0, head)},
      {"cut off", good.substr(0, 200)},
      {"without its last byte", good.substr(0, good.size() - 1)},
      {"a byte too long", good + "x"},
      {"other magic", changed(good, 0, 'X')},
      {"a later version", changed(good, version, 2)},
      {"the other kind", other_kind},
      {"a flipped bit in the head", changed(good, head + 9, static_cast<char>(good[head + 9] ^ 1))},
      {"a flipped bit at the end", changed(good, good.size() - 2, static_cast<char>(good[good.size() - 2] ^ 1))},
      {"impossible, with a right checksum", resealed(good.substr(0, head) + std::string(good.size() - head, '\xff'))},
      {"older", older}};
}

TEST_F(Gateway, BrokenForeignAndOlderSnapshotsLeaveTheLastGoodOne) {
  const std::string directory = us_.config.directory;
  const auto refused = [&] {  // by every worker, so often at least
    std::uint64_t least = UINT64_MAX;
    for (const auto& worker : us_.state().workers) least = std::min(least, worker.refused_snapshots);
    return least;
  };
  const std::string old_authority = *compile(us_.authority);
  auto foreign = us_.authority;
  foreign.region = "eu-central-1";
  foreign.generation += 100;
  ASSERT_NO_FATAL_FAILURE(set_us(Mode::serving, us_.name, 5));
  // In the older one the tenant of this test lies in another residency: whoever obeys it sends its data elsewhere.
  const std::string old_tenants = *compile(tenants(7, "eu")), good_tenants = *compile(tenants(8, "us"));
  ASSERT_TRUE(publish(directory + "/tenants.snap", good_tenants));
  const auto all_have = [&](std::uint64_t generation) {
    for (const auto& worker : us_.state().workers)
      if (worker.tenants_generation != generation) return false;
    return true;
  };
  ASSERT_TRUE(eventually([&] { return all_have(8); }));
  const std::string good_authority = *compile(us_.authority);
  auto for_authority = bad_ones(good_authority, good_tenants, old_authority);
  for_authority.push_back({"of another region", *compile(foreign)});
  const struct {
    std::string name;
    std::vector<BadSnapshot> bad;
    std::string good;
  } files[] = {{"authority.snap", for_authority, good_authority},
               {"tenants.snap", bad_ones(good_tenants, good_authority, old_tenants), good_tenants}};
  for (const auto& file : files) {
    for (const BadSnapshot& bad : file.bad) {
      const std::uint64_t before = refused();
      ASSERT_TRUE(publish(directory + "/" + file.name, bad.bytes));
      ASSERT_TRUE(eventually([&] { return refused() > before; })) << file.name << " " << bad.what;
      EXPECT_EQ(ask(us_, {.host = kUs, .method = "POST", .body = "x"}).body, "us-east-1 POST 1")
          << file.name << " " << bad.what;
      EXPECT_EQ(us_.state().generation_obeyed(), us_.authority.generation) << file.name << " " << bad.what;
      EXPECT_TRUE(all_have(8)) << file.name << " " << bad.what;
    }
    ASSERT_TRUE(publish(directory + "/" + file.name, file.good));
  }
  // A worker that starts afresh knows what its dead brothers obeyed: epochs, and the generation of the tenants.
  const std::pair<std::string, std::string> older[] = {{"authority.snap", old_authority},
                                                       {"tenants.snap", old_tenants}};
  for (const auto& [name, bytes] : older) {
    const std::string path = directory + "/" + name, good = *read_file(path);
    ASSERT_TRUE(publish(path, bytes));
    const auto workers = us_.state().workers;
    for (const auto& worker : workers) kill(static_cast<pid_t>(worker.pid), SIGTERM);
    ASSERT_TRUE(eventually([&] {
      for (const auto& worker : us_.state().workers)
        if (worker.pid == workers[0].pid || worker.pid == workers[1].pid || worker.refused_snapshots == 0) return false;
      return us_.state().workers.size() == 2;
    })) << name;
    EXPECT_EQ(ask(us_, {.host = kUs, .plain = true}).status, 503) << name;
    EXPECT_EQ(ask(us_, {.host = kUs}).status, 0) << name << ": a connection is closed while nothing is known";
    ASSERT_TRUE(publish(path, good));
    EXPECT_TRUE(eventually([&] { return all_have(8) && us_.state().generation_obeyed() == us_.authority.generation; }));
    EXPECT_EQ(ask(us_, {.host = kUs}).body, "us-east-1 GET 0") << name;
  }
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

TEST_F(Gateway, ForwardsUseConnectionsThatAreOpenAlready) {
  us_.config.workers = 1;
  us_.config.warm_connections = 2;
  ASSERT_NO_FATAL_FAILURE(reconfigure(us_));
  for (Region* region : {&us_, &eu_}) {
    auto& row = region->authority.rows[0];
    row.owner = eu_.name, row.epoch = 2, row.forward = eu_.config.forward;
    row.lease_end = region == &eu_ ? boottime_now() + 600 * kSecond : 0;
    put(*region);
    ASSERT_TRUE(eventually([&] { return region->state().generation_obeyed() == region->authority.generation; }));
  }
  const int forward = std::stoi(eu_.config.forward.substr(eu_.config.forward.find(':') + 1));
  ASSERT_TRUE(eventually([&] { return accepted(forward) == 2; })) << "before any request";
  const Ask what{.host = kUs, .method = "POST", .body = "abc", .plain = true};
  ASSERT_EQ(ask(us_, what).body, "eu-central-1 POST 3");
  const int open = accepted(forward);  // a third one when the first request was faster than the handshakes
  EXPECT_TRUE(open == 2 || open == 3) << open;
  for (int i = 0; i < 30; ++i) ASSERT_EQ(ask(us_, what).body, "eu-central-1 POST 3");
  EXPECT_EQ(accepted(forward), open);
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

// It may be as long as what is taken in of a body before it is asked for, 64 KB.
TEST_F(Gateway, AHeldBodyOfUnknownLengthCountsAsALongOne) {
  us_.config.workers = 1;
  us_.config.hold_bytes = 2 * (10240 + 65536) - 1;
  ASSERT_NO_FATAL_FAILURE(reconfigure(us_));
  us_.authority.rows[0].mode = Mode::moving;
  put(us_);
  ASSERT_TRUE(eventually([&] { return us_.state().generation_obeyed() == us_.authority.generation; }));
  const auto held_bytes = [&] { return us_.state().workers[0].held_bytes; };
  {
    TlsClient chunked(us_.plain);
    const std::string head = fmt::format("POST / HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", kUs);
    ASSERT_EQ(write(chunked.fd(), head.data(), head.size()), static_cast<ssize_t>(head.size()));
    ASSERT_TRUE(eventually([&] { return held(us_) == 1; }));
    EXPECT_EQ(held_bytes(), 10240u + 65536u);
    Http2Client http2(us_.port), second(us_.port);
    ASSERT_TRUE(http2.handshake(kUs, ca_) && second.handshake(kUs, ca_)) << us_.errors();
    http2.ask("POST", kUs, "/", false);
    const auto full = http2.read();
    ASSERT_TRUE(full);
    EXPECT_EQ(status_of(*full), 503) << "no place for another one that may be so long";
    second.ask("GET", kUs, "/");
    ASSERT_TRUE(eventually([&] { return held(us_) == 2; }));
    EXPECT_EQ(held_bytes(), 10240u * 2 + 65536u) << "what has no body counts none";
    chunked.close();
    ASSERT_TRUE(eventually([&] { return held(us_) == 1; }));
    const std::uint32_t stream = second.ask("POST", kUs, "/", false);
    ASSERT_TRUE(eventually([&] { return held(us_) == 2; }));
    EXPECT_EQ(held_bytes(), 10240u * 2 + 65536u);
    // It has come whole, and waits on: still in memory.
    second.body(stream, std::string(10000, 'x'), true);
    put(us_);
    ASSERT_TRUE(eventually([&] { return us_.state().generation_obeyed() == us_.authority.generation; }));
    EXPECT_TRUE(eventually([&] { return held(us_) == 2 && held_bytes() == 10240u * 2 + 65536u; }));
  }
  EXPECT_TRUE(eventually([&] { return held(us_) == 0 && held_bytes() == 0; }));
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

}  // namespace
}  // namespace domicile::edge
