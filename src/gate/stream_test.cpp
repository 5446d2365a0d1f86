#include "gate/stream.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "base/temp_dir.hpp"
#include "gate/protocol/pgoutput_bytes.hpp"

namespace domicile::gate {
namespace {

using bytes::number;

const std::string kLink = "domicile_us_a_b";
constexpr std::size_t kLargestRow = 1U << 20;
constexpr Micros kPatient = 60 * kSecond;

std::string wal(Lsn at, const std::string& message) {
  return frame('d', "w" + number(at, 8) + number(at, 8) + number(0, 8) + message);
}
std::string transaction(Lsn end, const std::string& cell) {
  return wal(end - 2, bytes::begin(end)) + wal(end - 2, bytes::relation(1, "app", "orders", {"residency", "note"})) +
         wal(end - 1, bytes::insert(1, {"us", cell})) + wal(end, bytes::commit(end, end));
}
std::string confirms(Lsn at) { return to_frame({at, at, at, 0, false}); }

// A stream between two sockets whose other ends are a test's.
class StreamBetween : public testing::Test {
 protected:
  StreamBetween() {
    pair(peer_, gates_peer_);
    pair(server_, gates_server_);
    book_ = *Book::open(state_.path(),
                        {{{kLink, "us", {{"app", "orders", "residency", {"residency", "note"}}}}, "b", "full"}},
                        Log(-1, Log::Format::text, Level::error, ""));
    stream_.emplace(*book_, *book_->link(kLink), 0,
                    StreamEnds{Wire(gates_peer_.get()), Wire(gates_server_.get()), {}, {}},
                    StreamRules{kLargestRow, [this] { return revoked_.load(); }});
  }
  static void pair(Fd& ours, Fd& theirs) {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) std::abort();
    ours = Fd(fds[0]), theirs = Fd(fds[1]);
    const int small = 16 << 10;  // so that what is on its way does not all fit in
    ::setsockopt(theirs.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  }
  static std::size_t say(const Fd& end, std::string_view bytes) {  // what fits in
    const ssize_t n = ::send(end.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  static std::string heard(const Fd& end) {  // what is there
    std::string all(1 << 20, '\0');
    const ssize_t n = ::recv(end.get(), all.data(), all.size(), MSG_DONTWAIT);
    all.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return all;
  }
  // All of it, while the stream moves it on.
  void give(const Fd& end, std::string_view bytes) {
    for (const Micros until = monotonic_now() + kPatient; !bytes.empty() && monotonic_now() < until;) {
      bytes.remove_prefix(say(end, bytes));
      ASSERT_TRUE(stream_->turn(0));
    }
    ASSERT_TRUE(bytes.empty());
  }
  // How it ends, in words: `refused held`, `unavailable`, `over`.
  std::string end() {
    for (const Micros until = monotonic_now() + kPatient; monotonic_now() < until;) {
      const auto turned = stream_->turn(10 * kMillisecond);
      if (!turned) return fmt::format("{} {}", name_of(turned.error().kind), turned.error().id);
      if (!*turned) return "over";
    }
    return "goes on";
  }
  // What the server is told last of what the peer has on its disk.
  Lsn flushed_after(Lsn says) {
    give(peer_, confirms(says));
    std::string all;
    for (const Micros until = monotonic_now() + kPatient; all.size() < 39 && monotonic_now() < until;) {
      (void)stream_->turn(0);
      all += heard(server_);
    }
    std::string_view left = all;
    return status_update((*take_frame(left, 100))->body)->flushed;
  }

  TempDir state_;
  Fd peer_, server_, gates_peer_, gates_server_;
  std::unique_ptr<Book> book_;
  std::atomic<bool> revoked_ = false;
  std::optional<Stream> stream_;
};

TEST_F(StreamBetween, APeerThatFloodsIsPressedBackWhileTheServerTakesNothing) {
  constexpr std::size_t kFlood = 40U << 20;
  std::string words;
  for (int i = 0; i < 1000; ++i) words += confirms(0);
  std::size_t said = 0;
  for (std::size_t moved = 1; moved > 0 && said < kFlood; said += moved) {
    moved = say(peer_, std::string_view(words).substr(said % words.size()));
    ASSERT_TRUE(stream_->turn(0));
    ASSERT_LE(stream_->waiting(), Stream::kWords + (16U << 10)) << "after " << said;
  }
  EXPECT_LT(said, kFlood);
  // And all of it arrives once the server takes it again.
  const std::size_t whole = said / 39 * 39;
  std::size_t arrived = 0;
  for (const Micros until = monotonic_now() + kPatient; arrived < whole && monotonic_now() < until;) {
    arrived += heard(server_).size();
    ASSERT_TRUE(stream_->turn(0));
  }
  EXPECT_EQ(arrived, whole);
}

TEST_F(StreamBetween, ItEndsWhenItIsToAlsoInTheMiddleOfAFlood) {
  std::string words;
  for (int i = 0; i < 1000; ++i) words += confirms(0);
  std::atomic<bool> enough = false, ended = false;
  std::atomic<std::size_t> arrived = 0;
  const std::jthread flood([&] {
    for (std::size_t said = 0; !enough;) said += say(peer_, std::string_view(words).substr(said % words.size()));
  });
  const std::jthread drain([&] {
    while (!enough) arrived += heard(server_).size();
  });
  std::stop_source stop;
  const std::jthread runner([&] {
    EXPECT_FALSE(stream_->run(stop.get_token()));
    ended = true;
  });
  const auto eventually = [](const auto& condition) {
    for (const Micros until = monotonic_now() + kPatient; !condition() && monotonic_now() < until;)
      std::this_thread::yield();
    return condition();
  };
  EXPECT_TRUE(eventually([&] { return arrived > 100'000; }));
  stop.request_stop();
  EXPECT_TRUE(eventually([&] { return ended.load(); }));
  enough = true;
  ::shutdown(peer_.get(), SHUT_RDWR);
}

// Answers that nobody reads would gather in PostgreSQL's memory.
TEST_F(StreamBetween, APeerThatReadsNothingAsksForNoAnswers) {
  give(server_, transaction(100, std::string(Stream::kHighWater + kLargestRow / 2, 'x')));
  give(peer_, to_frame({0, 0, 0, 0, true}));
  std::string all;
  for (const Micros until = monotonic_now() + kPatient; all.size() < 39 && monotonic_now() < until;) {
    ASSERT_TRUE(stream_->turn(0));
    all += heard(server_);
  }
  std::string_view left = all;
  EXPECT_FALSE(status_update((*take_frame(left, 100))->body)->reply);
}

// PostgreSQL's worker answers once it has applied all that has reached it, which may take longer than the server waits.
TEST_F(StreamBetween, APeerThatIsBusyReadingIsSpokenForAndOneThatReadsNothingIsNot) {
  stream_.emplace(*book_, *book_->link(kLink), 0,
                  StreamEnds{Wire(gates_peer_.get()), Wire(gates_server_.get()), {}, {}},
                  StreamRules{kLargestRow, {}, kMillisecond});
  give(server_, transaction(100, "first"));
  (void)heard(peer_);
  ASSERT_EQ(flushed_after(100), 100u);
  std::string words;
  Lsn at = 200;
  for (const Micros until = monotonic_now() + kPatient; words.size() < 39 && monotonic_now() < until; at += 100) {
    give(server_, transaction(at, std::string(8'000, 'x')));
    (void)heard(peer_);
    words += heard(server_);
  }
  ASSERT_GE(words.size(), 39u);
  std::string_view left = words;
  const auto word = status_update((*take_frame(left, 100))->body);
  EXPECT_EQ(word->flushed, 100u) << "its own last word, which confirms nothing more";
  EXPECT_FALSE(word->reply);
  // From here on it reads nothing.
  for (std::string more; stream_->unsent().size() < Stream::kHighWater;) {
    if (more.empty()) more = transaction(at += 100, std::string(8'000, 'x'));
    more.erase(0, say(server_, more));
    ASSERT_TRUE(stream_->turn(0));
  }
  (void)heard(server_);  // what was said while it still read
  words.clear();
  for (const Micros until = monotonic_now() + 50 * kMillisecond; monotonic_now() < until; words += heard(server_))
    ASSERT_TRUE(stream_->turn(kMillisecond));
  EXPECT_LE(words.size(), 39u) << "for what it has taken until then, and no more";
}

TEST_F(StreamBetween, WhatCannotBeJudgedCutsTheLinkAndHoldsItAndNothingOfItLeaves) {
  const struct {
    std::string story, bytes, rule;
  } cases[] = {
      {"a row that is too large", wal(101, std::string(kLargestRow, 'x')), "size"},
      {"a row that says that it is too large", "d" + number(kLargestRow + 1, 4), "size"},
      {"a length that cannot be", "d" + number(3, 4), "size"},
      {"an unknown message", frame('?', "x"), "message"},
      {"no stream's data", frame('d', "?"), "message"},
      {"data cut short", frame('d', "w123"), "message"},
      {"no pgoutput", wal(101, "~"), "message"},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.story);
    pair(peer_, gates_peer_);
    pair(server_, gates_server_);
    stream_.emplace(*book_, *book_->link(kLink), 0,
                    StreamEnds{Wire(gates_peer_.get()), Wire(gates_server_.get()), {}, {}},
                    StreamRules{kLargestRow, {}});
    const std::string lawful = transaction(100, "lawful");
    give(server_, lawful);
    // What is too large is never read to its end.
    (void)say(server_, each.bytes);
    EXPECT_EQ(end(), "refused held");
    ASSERT_EQ(book_->held().size(), 1u);
    EXPECT_EQ(book_->held()[0].rule, each.rule);
    EXPECT_EQ(book_->take(kLink, 0)->rule, Refusal::held);
    EXPECT_EQ(heard(peer_) + std::string(stream_->unsent()), lawful);
    ASSERT_TRUE(book_->resume(kLink, "somebody", "looked", false));
  }
}

TEST_F(StreamBetween, AServerThatEndsOrFailsHoldsNothing) {
  const std::string endings[] = {"", frame('E', "SFATAL"), frame('c', ""),
                                 wal(101, std::string(1000, 'x')).substr(0, 500)};
  for (const auto& ending : endings) {
    pair(server_, gates_server_);
    stream_.emplace(*book_, *book_->link(kLink), 0,
                    StreamEnds{Wire(gates_peer_.get()), Wire(gates_server_.get()), {}, {}},
                    StreamRules{kLargestRow, {}});
    give(server_, transaction(100, "x"));
    (void)say(server_, ending);
    server_ = {};
    EXPECT_EQ(end(), "unavailable ");
    EXPECT_TRUE(book_->held().empty());
  }
}

TEST_F(StreamBetween, NothingIsConfirmedThatLiesInTheGateStill) {
  give(server_, transaction(100, "first"));
  EXPECT_EQ(flushed_after(1000), 100u);
  give(server_, transaction(1000, std::string(Stream::kHighWater - 10'000, 'x')));
  // It may have been sent, should this be killed now.
  for (const Micros until = monotonic_now() + kPatient;
       book_->progress()[kLink].sent < 1000 && monotonic_now() < until;)
    ASSERT_TRUE(stream_->turn(0));
  EXPECT_LT(flushed_after(1000), 1000u) << "its commit lies in the gate";
  while (!stream_->unsent().empty()) {
    (void)heard(peer_);
    ASSERT_TRUE(stream_->turn(0));
  }
  EXPECT_EQ(flushed_after(1000), 1000u);
}

TEST_F(StreamBetween, ACertificateThatIsRevokedMeanwhileEndsIt) {
  give(server_, transaction(100, "first"));
  revoked_ = true;
  EXPECT_EQ(end(), "refused certificate");
  EXPECT_TRUE(book_->held().empty());
}

}  // namespace
}  // namespace domicile::gate
