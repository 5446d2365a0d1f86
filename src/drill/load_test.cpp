// The clients against small gateways in this process.
#include "drill/load.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "base/http_client.hpp"
#include "base/http_server.hpp"
#include "base/json.hpp"
#include "drill/measure.hpp"

namespace domicile::drill {
namespace {

// cpp-httplib makes a table of its own in the first request. ThreadSanitizer does not see how the library, which is
// built without it, guards that, so no two threads may be the first.
bool first_request() {
  const auto server = *HttpServer::start({.host = "127.0.0.1"}, [](const HttpCall&) { return HttpReply{}; });
  return bool(HttpClient().send({"GET", fmt::format("http://127.0.0.1:{}/", server.port())}));
}

// A gateway that keeps orders and answers as it is told.
struct FakeGateway {
  static inline const bool warm = first_request();
  std::atomic<int> status = 201;
  std::mutex mutex;
  std::multiset<std::string> seen;
  std::set<std::string> hosts;
  HttpServer server;

  FakeGateway()
      : server(*HttpServer::start({.host = "127.0.0.1", .threads = 32}, [this](const HttpCall& call) {
          const auto order = parse_json(call.body, "order");
          const std::lock_guard lock(mutex);
          seen.insert(order ? member<std::string>(*order, "id").value_or("?") : "?");
          hosts.insert(call.headers.at("host"));
          return HttpReply{status, "{}"};
        })) {}
  Gateway address(const std::string& region) const { return {region, "127.0.0.1", server.port()}; }
};

LoadSpec load_on(std::vector<Gateway> gateways, double per_s = 200) {
  LoadSpec spec;
  for (int i = 0; i < 4; ++i)
    spec.clients.push_back({fmt::format("t{}", i), fmt::format("t{}.us.example", i), "us", gateways});
  spec.per_s = per_s;
  spec.connect = spec.answer = spec.deadline = 30 * kSecond;  // no test of timeouts unless it sets them
  return spec;
}

// Waits until the load has offered `count` writes, then ends it.
std::vector<Write> after(Load& load, std::uint64_t count) {
  while (load.counters().offered < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return load.stop();
}

int unused_port() {  // nobody listens there
  auto server = *HttpServer::start({.host = "127.0.0.1"}, [](const HttpCall&) { return HttpReply{}; });
  return server.port();
}

TEST(Load, WritesFallDueSteadilyEachWithItsOwnMarkerAndHost) {
  FakeGateway gateway;
  auto load = *Load::start(load_on({gateway.address("a")}));
  const auto writes = after(*load, 100);
  const Counts counts = count(writes);
  EXPECT_EQ(counts.acknowledged, counts.offered);
  EXPECT_GE(counts.offered, 100U);
  std::set<std::string> ids;
  std::map<std::uint32_t, int> by_client;
  std::set<Micros> intended;
  for (const Write& write : writes) {
    EXPECT_TRUE(ids.insert(write.id).second);
    ++by_client[write.client];
    intended.insert(write.intended);
    EXPECT_GE(write.done, write.intended);
  }
  EXPECT_EQ(by_client.size(), 4U);
  EXPECT_LE(by_client[0] - by_client[3], 1);
  EXPECT_EQ(*intended.rbegin() - *intended.begin(), static_cast<Micros>(writes.size() - 1) * 5 * kMillisecond);
  EXPECT_EQ(std::set<std::string>(gateway.seen.begin(), gateway.seen.end()), ids);
  EXPECT_EQ(gateway.hosts.size(), 4U);
}

TEST(Load, WhatWasSurelyNotProcessedGoesToTheNextGateway) {
  struct {
    const char* name;
    int first_status;  // 0: nobody listens
  } cases[] = {{"refused connection", 0}, {"503", 503}, {"421", 421}};
  for (const auto& c : cases) {
    FakeGateway first, second;
    first.status = c.first_status;
    const Gateway home = c.first_status == 0 ? Gateway{"a", "127.0.0.1", unused_port()} : first.address("a");
    auto load = *Load::start(load_on({home, second.address("b")}));
    const auto writes = after(*load, 60);
    EXPECT_EQ(count(writes).acknowledged, writes.size()) << c.name;
    EXPECT_EQ(second.seen.size(), writes.size()) << c.name;
    EXPECT_LE(first.seen.size(), 4U * 8U) << c.name << ": a client stays with the gateway that answers";
  }
}

TEST(Load, AnUnknownOutcomeIsNeverSentAgain) {
  struct {
    const char* name;
    int status;
    Outcome want;
  } cases[] = {{"504", 504, Outcome::unknown}, {"502", 502, Outcome::unknown},      {"500", 500, Outcome::unknown},
               {"403", 403, Outcome::refused}, {"409", 409, Outcome::acknowledged}, {"451", 451, Outcome::refused}};
  for (const auto& c : cases) {
    FakeGateway first, second;
    first.status = c.status;
    auto load = *Load::start(load_on({first.address("a"), second.address("b")}));
    const auto writes = after(*load, 40);
    for (const Write& write : writes) {
      EXPECT_EQ(write.outcome, c.want) << c.name;
      EXPECT_EQ(write.tries, 1) << c.name;
    }
    EXPECT_TRUE(second.seen.empty()) << c.name;
  }
}

TEST(Load, ASilentGatewayLosesOnlyWhatWasSentToIt) {
  // Accepts and reads, never answers: as a paused region.
  std::atomic<bool> over = false;
  auto silent = *HttpServer::start({.host = "127.0.0.1", .threads = 64}, [&](const HttpCall&) {
    while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return HttpReply{500};
  });
  FakeGateway second;
  LoadSpec spec = load_on({{"a", "127.0.0.1", silent.port()}, second.address("b")});
  spec.answer = 300 * kMillisecond;
  spec.connections = 3;
  auto load = *Load::start(spec);
  const auto writes = after(*load, 160);
  over = true;
  const Counts counts = count(writes);
  EXPECT_EQ(counts.unknown, 4U * 3U) << "a connection each";
  EXPECT_EQ(counts.refused, 0U);
  EXPECT_EQ(second.seen.size(), counts.acknowledged) << "the others had waited, unsent";
  for (const Write& write : writes) {
    if (write.outcome == Outcome::unknown) {
      EXPECT_FALSE(second.seen.contains(write.id));
    }
  }
}

TEST(Load, WhatNobodyTakesIsRefusedAtTheDeadline) {
  LoadSpec spec = load_on({{"a", "127.0.0.1", unused_port()}, {"b", "127.0.0.1", unused_port()}});
  spec.deadline = 300 * kMillisecond;
  spec.round_pause = 20 * kMillisecond;
  auto load = *Load::start(spec);
  const auto writes = after(*load, 40);
  for (const Write& write : writes) {
    EXPECT_EQ(write.outcome, Outcome::refused);
    EXPECT_GE(write.done - write.intended, spec.deadline);
  }
}

TEST(Load, ASpecSurvivesItsText) {
  LoadSpec spec = load_on({{"a", "127.0.0.1", 1}, {"b", "127.0.0.2", 2}}, 12.5);
  spec.ca = "/x/ca.pem";
  EXPECT_EQ(*load_spec_of(to_text(spec)), spec);
  for (const char* bad : {"", "{}", R"({"clients":[{}]})", R"({"clients":[],"per_s":"x"})"})
    EXPECT_FALSE(load_spec_of(bad)) << bad;
  EXPECT_FALSE(Load::start({})) << "no clients";
}

}  // namespace
}  // namespace domicile::drill
