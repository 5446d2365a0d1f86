#include <gtest/gtest.h>

#include "base/http_client.hpp"
#include "base/http_server.hpp"
#include "base/temp_dir.hpp"
#include "base/url.hpp"

namespace domicile {
namespace {

HttpReply echo(const HttpCall& call) {
  return {201, call.method + " " + call.path + " " + call.body + (call.local ? " local" : "")};
}

TEST(Http, ARequestGoesThereAndBackOverTcp) {
  auto server = HttpServer::start({"127.0.0.1"}, echo);
  ASSERT_TRUE(server);
  HttpClient client;
  for (const char* method : {"GET", "POST", "PUT", "DELETE"}) {
    const auto r = client.send({method, fmt::format("http://127.0.0.1:{}/a", server->port()), {}, "x"});
    ASSERT_TRUE(r) << render(r.error());
    EXPECT_EQ(r->status, 201);
    // A body of GET has no meaning and is not read.
    EXPECT_EQ(r->body, std::string(method) + " /a " + (std::string(method) == "GET" ? "" : "x"));
  }
}

TEST(Http, WhateverIsEncodedArrivesInAQueryAsItWas) {
  auto server = HttpServer::start({"127.0.0.1"}, [](const HttpCall& call) -> HttpReply {
    const auto tenant = call.query.find("t");
    return {200, tenant == call.query.end() ? "none" : tenant->second};
  });
  ASSERT_TRUE(server);
  HttpClient client;
  for (const std::string text : {"acme-1_x.y~", "a b&c=d?e/f#g%h+i", "s\xc3\xb6hne", ""}) {
    const auto r =
        client.send({"GET", fmt::format("http://127.0.0.1:{}/a?t={}&u=1", server->port(), url_encoded(text))});
    ASSERT_TRUE(r) << render(r.error());
    EXPECT_EQ(r->body, text);
  }
}

TEST(Http, ALongBodyArrivesWhole) {
  auto server = HttpServer::start({"127.0.0.1"}, echo);
  ASSERT_TRUE(server);
  HttpClient client;
  const std::string body(100'000, 'x');
  const auto r = client.send({"POST", fmt::format("http://127.0.0.1:{}/a", server->port()), {}, body});
  ASSERT_TRUE(r) << render(r.error());
  EXPECT_EQ(r->status, 201) << "a form is bounded by 8 KB";
  EXPECT_EQ(r->body, "POST /a " + body);
}

TEST(Http, AUnixSocketMarksTheCallAsLocal) {
  TempDir dir;
  HttpListen listen;
  listen.unix_socket = dir.path() / "s";
  auto server = HttpServer::start(listen, echo);
  ASSERT_TRUE(server) << render(server.error());
  HttpClient client({}, listen.unix_socket);
  const auto r = client.send({"GET", "http://localhost/b"});
  ASSERT_TRUE(r) << render(r.error());
  EXPECT_EQ(r->body, "GET /b  local");
}

TEST(Http, AStreamArrivesInPiecesAndABrokenOneIsAnError) {
  for (const bool whole : {true, false}) {
    auto server = HttpServer::start({"127.0.0.1"}, [whole](const HttpCall&) {
      HttpReply reply;
      reply.stream = [whole](const auto& write) { return write("ab") && write("cd") && whole; };
      return reply;
    });
    ASSERT_TRUE(server);
    HttpClient client;
    std::string got;
    HttpRequest request{"POST", fmt::format("http://127.0.0.1:{}/", server->port())};
    request.on_body = [&](std::string_view piece) {
      got += piece;
      return true;
    };
    EXPECT_EQ(client.send(request).has_value(), whole);
    EXPECT_EQ(got, "abcd");
  }
}

TEST(Http, ARefusedConnectionWasSurelyNotProcessed) {
  int port = 0;
  {
    auto server = HttpServer::start({"127.0.0.1"}, echo);
    ASSERT_TRUE(server);
    port = server->port();
  }
  HttpClient client;
  EXPECT_EQ(client.send({"POST", fmt::format("http://127.0.0.1:{}/", port), {}, "x"}).error().kind, Kind::unavailable);
}

}  // namespace
}  // namespace domicile
