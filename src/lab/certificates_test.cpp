// With the lab's certificates, what agents say to each other.
#include "lab/certificates.hpp"

#include <gtest/gtest.h>

#include <future>

#include "base/http_client.hpp"
#include "base/http_server.hpp"
#include "base/temp_dir.hpp"

namespace domicile::lab {
namespace {

// Whoever gave up on an answer has closed its connection, and TLS lets it resume the session on the next one: a server
// that asks for a certificate then breaks the handshake off, for as long as libcurl remembers that session.
TEST(MutualTls, AfterAnAnswerThatCameTooLateTheNextRequestIsAnswered) {
  const TempDir dir;
  const auto authority = Authority::make(dir.path());
  ASSERT_TRUE(authority) << render(authority.error());
  for (const char* name : {"server", "peer"})
    ASSERT_TRUE(authority->issue(dir.path() / name, {name, {"localhost"}, {"127.0.0.1"}}));
  const auto files = [&](const std::string& name) {
    const std::string stem = (dir.path() / name).string();
    return TlsFiles{(dir.path() / "ca.pem").string(), stem + ".pem", stem + ".key"};
  };
  std::promise<void> late;
  HttpListen listen;
  listen.host = "127.0.0.1";
  listen.tls = files("server");
  const auto server = HttpServer::start(listen, [wait = late.get_future().share()](const HttpCall& call) -> HttpReply {
    if (call.path == "/late") wait.wait();
    return {200, call.peer_name};
  });
  ASSERT_TRUE(server) << render(server.error());
  HttpClient client(files("peer"));
  const auto get = [&](const std::string& path, Micros timeout) {
    return client.send({"GET", fmt::format("https://127.0.0.1:{}{}", server->port(), path), {}, "", timeout});
  };
  ASSERT_TRUE(get("/", 10 * kSecond));
  EXPECT_FALSE(get("/late", 200 * kMillisecond));
  const auto next = get("/", 10 * kSecond);
  late.set_value();
  ASSERT_TRUE(next) << render(next.error());
  EXPECT_EQ(next->body, "peer") << "and the server knows who asks";
}

}  // namespace
}  // namespace domicile::lab
