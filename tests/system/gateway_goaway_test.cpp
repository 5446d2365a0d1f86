// How clients with a kept connection are led away: after a switch, and by a 421.
#include "support/gateway_fixture.hpp"
#include "support/http2_client.hpp"

namespace domicile::edge {
namespace {

constexpr std::uint32_t kNoLastStream = 0x7fffffff, kNoError = 0;

struct Ended {
  std::vector<Frame> goaways;
  std::map<std::uint32_t, int> status;        // by stream
  std::map<std::uint32_t, std::string> body;  // of streams that were answered whole
};
std::uint32_t last_stream(const Frame& goaway) { return number_at(goaway.payload, 0) & 0x7fffffff; }
std::uint32_t error_code(const Frame& goaway) { return number_at(goaway.payload, 4); }

// Takes one frame in. False: the connection has ended.
bool take(Http2Client& client, Ended& seen, std::map<std::uint32_t, std::string>& partly) {
  const auto frame = client.read();
  if (!frame) return false;
  if (frame->type == kGoaway) seen.goaways.push_back(*frame);
  if (frame->type == kHeaders) seen.status[frame->stream] = status_of(*frame);
  if (frame->type == kData) partly[frame->stream] += frame->payload;
  if (frame->type != kGoaway && (frame->flags & kEndStream) != 0) seen.body[frame->stream] = partly[frame->stream];
  return true;
}

TEST_F(Gateway, AfterASwitchAnHttp2ConnectionIsToldToEndAndLosesNoRequest) {
  Http2Client client(us_.port);
  ASSERT_TRUE(client.handshake(kUs, ca_)) << us_.errors();
  Ended seen;
  std::map<std::uint32_t, std::string> partly;
  const auto answered = [&](std::uint32_t stream) {
    while (!seen.body.contains(stream))
      if (!take(client, seen, partly)) return false;
    return true;
  };
  std::uint32_t stream = client.ask("GET", kUs, "/");
  ASSERT_TRUE(answered(stream));
  EXPECT_EQ(seen.body[stream], "us-east-1 GET 0");
  ASSERT_NO_FATAL_FAILURE(set_us(Mode::serving, eu_.name, 2));
  // It is wound down within its time, when a request comes; until then its requests are forwarded.
  for (const Micros end = monotonic_now() + 10 * kSecond; seen.goaways.empty() && monotonic_now() < end;) {
    stream = client.ask("GET", kUs, "/");
    ASSERT_TRUE(answered(stream)) << "stream " << stream;
    EXPECT_EQ(seen.body[stream], "eu-central-1 GET 0");
  }
  ASSERT_EQ(seen.goaways.size(), 1u);
  EXPECT_EQ(last_stream(seen.goaways[0]), kNoLastStream);
  EXPECT_EQ(error_code(seen.goaways[0]), kNoError);
  // Under way when the notice came, as far as the gateway can tell.
  const std::uint32_t crossing = client.ask("POST", kUs, "/", false);
  client.body(crossing, "abc", true);
  while (take(client, seen, partly)) {
  }
  EXPECT_EQ(seen.status[crossing], 200);
  EXPECT_EQ(seen.body[crossing], "eu-central-1 POST 3");
  ASSERT_EQ(seen.goaways.size(), 2u);
  EXPECT_EQ(last_stream(seen.goaways[1]), crossing);
  EXPECT_EQ(error_code(seen.goaways[1]), kNoError);
}

TEST_F(Gateway, AfterASwitchAnHttp11ConnectionIsAnsweredAndClosed) {
  TlsClient client(us_.port);
  ASSERT_TRUE(client.handshake(kUs, ca_)) << us_.errors();
  const auto ask_once = [&] {
    client.write(fmt::format("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", kUs));
    return client.read_answer();
  };
  const std::string before = ask_once();
  EXPECT_TRUE(before.ends_with("us-east-1 GET 0")) << before;
  EXPECT_EQ(before.find("Connection: close"), before.npos);
  ASSERT_NO_FATAL_FAILURE(set_us(Mode::serving, eu_.name, 2));
  std::string answer;
  for (const Micros end = monotonic_now() + 10 * kSecond;
       answer.find("Connection: close") == answer.npos && monotonic_now() < end;) {
    answer = ask_once();
    ASSERT_TRUE(answer.ends_with("eu-central-1 GET 0")) << answer;
  }
  EXPECT_NE(answer.find("Connection: close"), answer.npos) << answer;
  EXPECT_EQ(client.read(), "");
}

TEST_F(Gateway, A421EndsTheConnectionOnWhichItWasGiven) {
  Http2Client client(us_.port);
  ASSERT_TRUE(client.handshake(kUs, ca_)) << us_.errors();
  Ended seen;
  std::map<std::uint32_t, std::string> partly;
  const std::uint32_t misdirected = client.ask("GET", kEu, "/");
  while (seen.goaways.empty() && take(client, seen, partly)) {
  }
  // A request of this connection's own host that crosses the notice.
  const std::uint32_t crossing = client.ask("GET", kUs, "/");
  while (take(client, seen, partly)) {
  }
  EXPECT_EQ(seen.status[misdirected], 421);
  EXPECT_EQ(seen.body[crossing], "us-east-1 GET 0");
  ASSERT_EQ(seen.goaways.size(), 2u);
  EXPECT_EQ(last_stream(seen.goaways[0]), kNoLastStream);
  EXPECT_EQ(last_stream(seen.goaways[1]), crossing);
  EXPECT_EQ(error_code(seen.goaways[0]) + error_code(seen.goaways[1]), kNoError);

  TlsClient http11(us_.port);
  ASSERT_TRUE(http11.handshake(kUs, ca_)) << us_.errors();
  http11.write(fmt::format("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", kEu));
  const std::string answer = http11.read_all();  // to its end
  EXPECT_NE(answer.find(" 421 "), answer.npos) << answer;
  EXPECT_NE(answer.find("Connection: close"), answer.npos) << answer;
}

}  // namespace
}  // namespace domicile::edge
