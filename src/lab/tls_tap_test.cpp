// The tap in a program of its own: this test's binary, started again with the library preloaded.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/process.hpp"
#include "base/temp_dir.hpp"
#include "lab/certificates.hpp"

namespace domicile::lab {
namespace {

using Tls = std::unique_ptr<SSL, decltype(&SSL_free)>;
using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

struct Pair {  // client 127.20.0.1, server 127.0.0.1
  Fd client, server;
};

Pair connected() {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in from = address;
  from.sin_port = 0;
  ::inet_pton(AF_INET, "127.20.0.1", &from.sin_addr);
  EXPECT_EQ(::bind(client.get(), reinterpret_cast<sockaddr*>(&from), size), 0);
  EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  return {std::move(client), Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))};
}

struct Session {
  Pair sockets = connected();
  Tls client{nullptr, &SSL_free}, server{nullptr, &SSL_free};

  Session(SSL_CTX* client_context, SSL_CTX* server_context) {
    client.reset(SSL_new(client_context));
    server.reset(SSL_new(server_context));
    SSL_set_fd(client.get(), sockets.client.get());
    SSL_set_fd(server.get(), sockets.server.get());
    std::jthread other([&] { EXPECT_EQ(SSL_accept(server.get()), 1); });
    EXPECT_EQ(SSL_connect(client.get()), 1);
  }
};

std::string hear(const Tls& tls) {
  char buffer[64];
  const int n = SSL_read(tls.get(), buffer, sizeof buffer);
  return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : "(nothing)";
}

// What the tapped program does; without a tap it proves nothing but itself. Two sessions, then a third one whose end
// lives on in a child.
TEST(TlsTapProgram, Talks) {
  const TempDir folder;
  const auto authority = *Authority::make(folder.path());
  ASSERT_TRUE(authority.issue(folder.path() / "site", {"site", {}, {"127.0.0.1"}}));
  const Context client(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free),
      server(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  ASSERT_EQ(SSL_CTX_use_certificate_file(server.get(), (folder.path() / "site.pem").c_str(), SSL_FILETYPE_PEM), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey_file(server.get(), (folder.path() / "site.key").c_str(), SSL_FILETYPE_PEM), 1);
  for (int round = 0; round < 2; ++round) {
    Session session(client.get(), server.get());
    ASSERT_EQ(SSL_write(session.client.get(), "a question", 10), 10);
    EXPECT_EQ(hear(session.server), "a question");
    std::size_t sent = 0, got = 0;
    ASSERT_EQ(SSL_write_ex(session.server.get(), "an answer", 9, &sent), 1);
    char buffer[64];
    ASSERT_EQ(SSL_read_ex(session.client.get(), buffer, sizeof buffer, &got), 1);
    EXPECT_EQ(std::string_view(buffer, got), "an answer");
    ASSERT_EQ(SSL_write(session.client.get(), ", and more", 10), 10);
    EXPECT_EQ(hear(session.server), ", and more");
  }
  Session session(client.get(), server.get());
  ASSERT_EQ(SSL_write(session.client.get(), "before the fork", 15), 15);
  EXPECT_EQ(hear(session.server), "before the fork");
  const pid_t child = ::fork();
  if (child == 0) ::_exit(SSL_write(session.client.get(), "after it", 8) == 8 ? 0 : 1);
  int status = 1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(hear(session.server), "after it");
}

#ifdef DOMICILE_TLS_TAP_LIBRARY

Outcome run_tapped(std::vector<std::string> argv, std::map<std::string, std::string> env) {
  env["LD_PRELOAD"] = DOMICILE_TLS_TAP_LIBRARY;
  const auto outcome = run({.argv = std::move(argv), .env = std::move(env)}, 30 * kSecond);
  EXPECT_TRUE(outcome);
  return outcome.value_or(Outcome{-1, "", ""});
}

Outcome talk(std::map<std::string, std::string> env) {
  return run_tapped({fs::read_symlink("/proc/self/exe").string(), "--gtest_filter=TlsTapProgram.*"}, std::move(env));
}

std::vector<std::string> contents(const fs::path& folder, const std::string& name) {
  std::vector<std::string> all;
  std::error_code code;
  for (const auto& file : fs::directory_iterator(folder, code)) {
    EXPECT_THAT(file.path().filename().string(), testing::MatchesRegex("talker\\.[0-9]+\\.[0-9]+\\." + name));
    EXPECT_EQ(file.status().permissions(), fs::perms(0600));
    all.push_back(read_file(file.path()).value_or("(none)"));
  }
  return all;
}

using testing::UnorderedElementsAre;

TEST(TlsTap, WhatIsSaidInsideTlsIsRecordedBySessionAndDirection) {
  const TempDir folder;
  const auto outcome = talk({{"DOMICILE_TLS_TAP", (folder.path() / "talker").string()}});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  const std::string whole = "a question, and more";
  EXPECT_THAT(contents(folder.path() / "in.server.127.20.0.1", "127\\.20\\.0\\.1"),
              UnorderedElementsAre(whole, whole, "before the forkafter it"));
  EXPECT_THAT(contents(folder.path() / "in.client.127.0.0.1", "127\\.0\\.0\\.1"),
              UnorderedElementsAre("an answer", "an answer"));
  EXPECT_THAT(contents(folder.path() / "out", "127\\.(0|20)\\.0\\.1"),
              UnorderedElementsAre(whole, whole, "an answer", "an answer", "before the fork", "after it"))
      << "the forked process has a file of its own";
  EXPECT_EQ(fs::status(folder.path() / "out").permissions(), fs::perms(0700));
}

TEST(TlsTap, DoesNothingWhereNobodyAskedForIt) {
  const auto outcome = talk({});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_EQ(run_tapped({"/bin/true"}, {{"DOMICILE_TLS_TAP", "/nonexistent/true"}}).exit_code, 0) << "without libssl";
}

TEST(TlsTap, AProgramThatCannotBeRecordedEnds) {
  const auto outcome = talk({{"DOMICILE_TLS_TAP", "/nonexistent/talker"}});
  EXPECT_EQ(outcome.exit_code, 128 + SIGABRT);
  EXPECT_NE(outcome.err.find("cannot record in /nonexistent"), std::string::npos) << outcome.err;
}

#endif

}  // namespace
}  // namespace domicile::lab
