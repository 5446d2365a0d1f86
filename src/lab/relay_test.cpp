#include "lab/relay.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/temp_dir.hpp"

namespace domicile::lab {
namespace {

struct Ends {  // a connection from a to b through the relay
  Fd near, far;
};

struct Wan {
  Fd server{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::unique_ptr<Relay> relay;
  int port = 0;

  static sockaddr_in local(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }

  explicit Wan(const fs::path& record = {}) : relay(*Relay::start({{"a", -1}, {"b", -1}}, record)) {
    sockaddr_in address = local(0);
    EXPECT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(server.get(), 16), 0);
    socklen_t size = sizeof address;
    ::getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = *relay->add({"a", "b", "echo", "127.0.0.1", 0, "127.0.0.1", ntohs(address.sin_port)});
  }

  Fd connect() const {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_in address = local(port);
    ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return fd;
  }

  Ends open() const {
    Fd near = connect();
    Fd far(::accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
    return {std::move(near), std::move(far)};
  }
};

bool ready(const Fd& fd, short events, Micros timeout) {
  pollfd entry{fd.get(), events, 0};
  return ::poll(&entry, 1, static_cast<int>(timeout / 1000)) == 1;
}

std::string receive(const Fd& fd, Micros timeout = 5 * kSecond) {
  char buffer[65536];
  if (!ready(fd, POLLIN, timeout)) return "(nothing)";
  const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
  return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : n == 0 ? "(end)" : "(error)";
}

void send(const Fd& fd, std::string_view text) {
  ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

TEST(Relay, EachDirectionHasItsOwnLatency) {
  Wan wan;
  wan.relay->set_latency("a", "b", 40 * kMillisecond);
  wan.relay->set_latency("b", "a", 10 * kMillisecond);
  Ends ends = wan.open();
  Micros start = monotonic_now();
  send(ends.near, "ping");
  EXPECT_EQ(receive(ends.far), "ping");
  EXPECT_GE(monotonic_now() - start, 40 * kMillisecond);
  start = monotonic_now();
  send(ends.far, "pong");
  EXPECT_EQ(receive(ends.near), "pong");
  EXPECT_GE(monotonic_now() - start, 10 * kMillisecond);
}

TEST(Relay, ACutLosesNothingAndClosesNothingUntilItHeals) {
  Wan wan;
  Ends ends = wan.open();
  wan.relay->cut("a", "b");
  send(ends.near, "late");
  send(ends.far, "other way");
  EXPECT_EQ(receive(ends.near), "other way") << "the other direction flows";
  EXPECT_FALSE(ready(ends.far, POLLIN, 200 * kMillisecond));
  wan.relay->heal("a", "b");
  EXPECT_EQ(receive(ends.far), "late");
}

TEST(Relay, WhileCutASynGetsNoAnswer) {
  for (const bool there : {true, false}) {
    Wan wan;
    wan.relay->cut(there ? "a" : "b", there ? "b" : "a");
    const Fd fd = wan.connect();
    EXPECT_FALSE(ready(fd, POLLOUT, 200 * kMillisecond)) << "neither established nor refused";
    wan.relay->heal_all();
    EXPECT_TRUE(ready(fd, POLLOUT, 5 * kSecond)) << "the kernel sends its SYN again";
  }
}

TEST(Relay, ACutHoldsForEverybodyWhoComesAndCanBeRepeated) {
  Wan wan;
  for (int round = 0; round < 3; ++round) {
    wan.relay->cut("a", "b");
    std::vector<Fd> waiting;
    for (int i = 0; i < 5; ++i) waiting.push_back(wan.connect());
    for (const Fd& fd : waiting) EXPECT_FALSE(ready(fd, POLLOUT, 20 * kMillisecond));
    wan.relay->heal_all();
    for (const Fd& fd : waiting) EXPECT_TRUE(ready(fd, POLLOUT, 5 * kSecond));
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      ASSERT_TRUE(ready(wan.server, POLLIN, 5 * kSecond));
      const Fd far(::accept4(wan.server.get(), nullptr, nullptr, SOCK_CLOEXEC));
      EXPECT_FALSE(ready(far, POLLIN, 0)) << "nobody but those who came";
    }
    EXPECT_FALSE(ready(wan.server, POLLIN, 50 * kMillisecond)) << "what kept the listener shut is no connection";
  }
}

TEST(Relay, AFlappingPathIsCutForHalfOfEachPeriod) {
  Wan wan;
  Ends ends = wan.open();
  wan.relay->flap("a", "b", 400 * kMillisecond);
  const Micros start = monotonic_now();
  // It begins with a cut; what is sent then arrives after it.
  send(ends.near, "x");
  EXPECT_EQ(receive(ends.far), "x");
  EXPECT_GE(monotonic_now() - start, 190 * kMillisecond);
  // Both halves come again and again, also while nothing is sent.
  for (int round = 0; round < 2; ++round)
    for (const bool cut : {true, false}) {
      const auto is_cut = [&] {
        for (const PathState& way : wan.relay->paths())
          if (way.from == "a") return way.cut;
        return false;
      };
      const Micros deadline = monotonic_now() + 5 * kSecond;
      while (is_cut() != cut && monotonic_now() < deadline) ::poll(nullptr, 0, 1);
      EXPECT_EQ(is_cut(), cut) << round;
    }
  wan.relay->heal("a", "b");
  send(ends.near, "y");
  EXPECT_EQ(receive(ends.far), "y");
  EXPECT_EQ(wan.relay->paths().at(0).flap_period, 0);
}

TEST(Relay, EveryByteIsRecordedByConnectionAndDirection) {
  TempDir folder;
  const fs::path record = folder.path() / "recorded";
  {
    Wan wan(record);
    for (const char* word : {"one ", "two"}) {
      Ends ends = wan.open();
      send(ends.near, word);
      EXPECT_EQ(receive(ends.far), word);
      send(ends.far, "thanks ");
      EXPECT_EQ(receive(ends.near), "thanks ");
    }
    Ends ends = wan.open();
    wan.relay->cut("a", "b");
    send(ends.near, "never");
    EXPECT_FALSE(ready(ends.far, POLLIN, 50 * kMillisecond));
  }
  const auto recorded = [&](const char* file) { return read_file(record / file).value_or("(none)"); };
  EXPECT_EQ(recorded("a-b/echo.1"), "one ");
  EXPECT_EQ(recorded("b-a/echo.1"), "thanks ");
  EXPECT_EQ(recorded("a-b/echo.2"), "two");
  EXPECT_EQ(recorded("b-a/echo.2"), "thanks ");
  EXPECT_EQ(recorded("a-b/echo.3"), "") << "what a cut held back never crossed";
  EXPECT_EQ(fs::status(record).permissions(), fs::perms(0700)) << "rows of tenants are in it";
  EXPECT_EQ(fs::status(record / "a-b/echo.1").permissions(), fs::perms(0600));
}

TEST(Relay, AlternatingConnectionsAreNotWrittenIntoEachOther) {
  TempDir folder;
  const fs::path record = folder.path() / "recorded";
  {
    Wan wan(record);
    Ends first = wan.open(), second = wan.open();
    for (const char* half : {"one ", "whole"})
      for (Ends* ends : {&first, &second}) {
        send(ends->near, half);
        EXPECT_EQ(receive(ends->far), half);
      }
  }
  for (const char* file : {"a-b/echo.1", "a-b/echo.2"}) EXPECT_EQ(read_file(record / file).value_or(""), "one whole");
}

TEST(Relay, WhatCannotBeRecordedDoesNotCross) {
  TempDir folder;
  const fs::path record = folder.path() / "recorded";
  Wan wan(record);
  ASSERT_TRUE(write_file(record / "a-b", "no folder can be made here"));
  const Fd near = wan.connect();
  EXPECT_EQ(receive(near), "(error)");
  EXPECT_FALSE(ready(wan.server, POLLIN, 0)) << "nobody was called";
}

TEST(Relay, TheFarSideSeesTheAddressThatItIsCalledFrom) {
  Wan wan;
  sockaddr_in server{}, seen{};
  socklen_t size = sizeof server;
  ::getsockname(wan.server.get(), reinterpret_cast<sockaddr*>(&server), &size);
  wan.port = *wan.relay->add({"a", "b", "echo", "127.0.0.1", 0, "127.0.0.1", ntohs(server.sin_port), "127.20.0.1"});
  const Ends ends = wan.open();
  size = sizeof seen;
  ASSERT_EQ(::getpeername(ends.far.get(), reinterpret_cast<sockaddr*>(&seen), &size), 0);
  EXPECT_EQ(ntohl(seen.sin_addr.s_addr), 0x7f140001U);
}

TEST(Relay, AnEndCrossesAfterTheBytesBeforeIt) {
  Wan wan;
  wan.relay->set_latency("a", "b", 20 * kMillisecond);
  Ends ends = wan.open();
  send(ends.near, "last words");
  ends.near.reset();
  EXPECT_EQ(receive(ends.far), "last words");
  EXPECT_EQ(receive(ends.far), "(end)");
}

TEST(Relay, ASlowPathKeepsItsRate) {
  Wan wan;
  Ends ends = wan.open();
  wan.relay->slow("a", "b", 100'000);
  const std::string data(20'000, 'x');
  const Micros start = monotonic_now();
  send(ends.near, data);
  std::size_t got = 0;
  while (got < data.size()) got += receive(ends.far).size();
  EXPECT_GE(monotonic_now() - start, 180 * kMillisecond);
  EXPECT_EQ(wan.relay->paths().at(0).bytes, data.size());
}

TEST(Relay, AReceiverThatDoesNotReadHoldsTheSenderBack) {
  Wan wan;
  Ends ends = wan.open();
  const std::string data(1 << 20, 'x');
  std::size_t sent = 0;
  while (ready(ends.near, POLLOUT, 300 * kMillisecond) && sent < (256U << 20)) {
    const ssize_t n = ::send(ends.near.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<std::size_t>(n);
  }
  EXPECT_LT(sent, 64U << 20);
}

TEST(Relay, ARefusedConnectionIsResetAndNotHeld) {
  Wan wan;
  wan.server.reset();
  const Fd fd = wan.connect();
  EXPECT_TRUE(receive(fd) == "(error)" || receive(fd) == "(end)");
}

}  // namespace
}  // namespace domicile::lab
