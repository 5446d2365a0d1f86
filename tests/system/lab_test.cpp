// The lab itself: regions that can reach each other only over the relay, and leave nothing behind.
#include "lab/lab.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/http_client.hpp"
#include "base/temp_dir.hpp"

namespace domicile::lab {
namespace {

// Asked once and before any thread: a user namespace can only be entered by a process with a single thread.
const Isolation kIsolation = prepare_isolation();

LabSpec three_sites(const fs::path& directory, bool engines) {
  LabSpec spec;
  spec.directory = directory;
  spec.base = 20000 + ::getpid() % 20000;
  spec.sites = {{"us-east-1", "US", false, {"us"}},
                {"eu-central-1", "EU", false, {"us", "eu"}},
                {"eu-west-1", "EU", false, {"us", "eu"}}};
  spec.engines = engines;
  return spec;
}

struct Folder : TempDir {  // the engines' user must get in
  Folder() { fs::permissions(path(), fs::perms(0755)); }
};

// What a client inside a site sees of an address: connected, or the error.
std::string connect_from(const std::string& host, int port, int timeout_ms) {
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return "connected";
  if (errno != EINPROGRESS) return "refused";
  pollfd entry{fd.get(), POLLOUT, 0};
  if (::poll(&entry, 1, timeout_ms) == 0) return "silence";
  int code = 0;
  socklen_t size = sizeof code;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &code, &size);
  return code == 0 ? "connected" : "refused";
}

struct Session {
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection;
  explicit Session(const std::string& conninfo) : connection(PQconnectdb(conninfo.c_str()), &PQfinish) {}
  bool ok() const { return PQstatus(connection.get()) == CONNECTION_OK; }
  std::string error() const { return PQerrorMessage(connection.get()); }
  std::string value(const char* sql) const {
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.get(), sql), &PQclear);
    if (PQresultStatus(result.get()) == PGRES_COMMAND_OK) return "ok";
    if (PQresultStatus(result.get()) != PGRES_TUPLES_OK || PQntuples(result.get()) != 1) return "(error)";
    return PQgetvalue(result.get(), 0, 0);
  }
};

void listen_in(Lab& lab, const std::string& site, const std::string& address, const std::string& ports) {
  const std::string code = fmt::format(
      "import socket,time\n"
      "kept=[]\n"
      "for port in ({},):\n"
      "  s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
      "  s.bind(('{}', port)); s.listen(); kept.append(s)\n"
      "open('listening','w')\n"
      "time.sleep(1000)\n",
      ports, address);
  ASSERT_TRUE(lab.launch(site, "listener", {{"/usr/bin/python3", "-c", code}}));
  for (int i = 0; i < 1000 && !fs::exists(lab.folder(site) / "listening"); ++i) ::usleep(10'000);
  ASSERT_TRUE(fs::exists(lab.folder(site) / "listening"));
}

TEST(LabNetwork, ARegionReachesAnotherOnlyThroughTheRelay) {
  if (kIsolation == Isolation::flat) GTEST_SKIP() << "no network namespaces here";
  Folder folder;
  auto lab = *Lab::up(three_sites(folder.path(), false), kIsolation);
  // A listener in eu-central-1 on a port that is no route, and one on a port that is.
  listen_in(*lab, "eu-central-1", "127.20.0.1", "5432, 5433, 9999");
  const auto probe = [&](int port) {
    const auto out = lab->folder("us-east-1") / "probe.txt";
    fs::remove(out);
    const std::string code = fmt::format(
        "import socket\n"
        "s=socket.socket(); s.settimeout(5)\n"
        "try:\n  s.connect(('127.20.0.1', {})); r='connected'\n"
        "except ConnectionRefusedError: r='refused'\n"
        "except Exception as e: r=type(e).__name__\n"
        "open('probe.tmp','w').write(r)\n"
        "import os; os.rename('probe.tmp','probe.txt')\n",
        port);
    // A program of its own each time: the last one may still be on its way out.
    EXPECT_TRUE(lab->launch("us-east-1", fmt::format("probe-{}", port), {{"/usr/bin/python3", "-c", code}}));
    for (int i = 0; i < 1000 && !fs::exists(out); ++i) ::usleep(10'000);
    return read_file(out).value_or("no answer");
  };
  EXPECT_EQ(probe(5433), "connected");
  EXPECT_EQ(probe(5432), "refused") << "a peer reaches the gate, and no PostgreSQL";
  EXPECT_EQ(probe(9999), "refused") << "listens there, but no route leads to it";
  EXPECT_EQ(connect_from("127.20.0.1", 9999, 1000), "refused") << "nor from the host";
}

TEST(LabNetwork, ACutIsSilenceUntilItHeals) {
  for (const Isolation isolation : {kIsolation, Isolation::flat}) {
    SCOPED_TRACE(name_of(isolation));
    Folder folder;
    auto lab = *Lab::up(three_sites(folder.path(), false), isolation);
    const int port = lab->port(kHost, gateway);
    const std::string address = lab->address(kHost, "us-east-1");
    listen_in(*lab, "us-east-1", "127.10.0.1", std::to_string(lab->port("us-east-1", gateway)));
    EXPECT_EQ(connect_from(address, port, 1000), "connected");
    lab->wan().cut(kHost, "us-east-1");
    EXPECT_EQ(connect_from(address, port, 300), "silence");
    lab->wan().heal_all();
    EXPECT_EQ(connect_from(address, port, 5000), "connected");
    ASSERT_TRUE(lab->kill("us-east-1"));
    EXPECT_EQ(lab->sites()[0].processes, 0U);
    EXPECT_EQ(connect_from("127.10.0.1", lab->port("us-east-1", gateway), 1000), "refused") << "its listener is gone";
  }
}

TEST(LabEngines, RegionsComeUpSurviveKillAndPauseAndTalkOnlyByCertificate) {
  Folder folder;
  const Micros begin = monotonic_now();
  auto made = Lab::up(three_sites(folder.path(), true), kIsolation);
  ASSERT_TRUE(made) << render(made.error());
  auto lab = std::move(*made);
  fmt::print("lab up after {} ms\n", (monotonic_now() - begin) / 1000);
  {
    Session own(lab->database_of("eu-central-1", "postgres"));
    ASSERT_TRUE(own.ok()) << own.error();
    EXPECT_EQ(own.value("create role domicile_link_eu_central_1 login"), "ok");
    EXPECT_EQ(own.value("create table kept (n int)"), "ok");
    EXPECT_EQ(own.value("insert into kept values (1)"), "ok");
  }
  const auto by_network = [&](const std::string& credentials) {
    return lab->address("eu-central-1", "eu-central-1") +
           fmt::format(" port={} dbname=app user=domicile_link_eu_central_1 connect_timeout=5 {}",
                       lab->port("eu-central-1", postgres), credentials);
  };
  const std::string certificate = fmt::format("sslmode=verify-full sslrootcert='{}' sslcert='{}' sslkey='{}'",
                                              (lab->spec().directory / "certs/ca.pem").string(),
                                              (lab->certificates("eu-central-1") / "link.pem").string(),
                                              (lab->certificates("eu-central-1") / "link.key").string());
  const auto psql = [&](const std::string& conninfo) {
    const auto out = lab->folder("eu-central-1") / "logs" / "psql.log";
    fs::remove(out);
    EXPECT_TRUE(lab->launch("eu-central-1", "psql",
                            {{"/usr/lib/postgresql/15/bin/psql", "-Atc", "select current_user", "host=" + conninfo}}));
    for (int i = 0; i < 1000; ++i) {
      ::usleep(10'000);
      bool running = false;
      for (const auto& site : lab->sites())
        for (const auto& name : site.running) running |= name == "psql";
      if (!running) break;
    }
    return read_file(out).value_or("");
  };
  EXPECT_EQ(psql(by_network(certificate)), "domicile_link_eu_central_1\n");
  const std::string without = psql(by_network("sslmode=require"));
  EXPECT_NE(without.find("certificate"), std::string::npos) << without;
  EXPECT_EQ(without.find("domicile_link_eu_central_1\n"), std::string::npos) << "no certificate, no login";

  ASSERT_TRUE(lab->pause("eu-central-1"));
  EXPECT_EQ(PQping((lab->database_of("eu-central-1", "postgres") + " connect_timeout=2").c_str()), PQPING_NO_RESPONSE);
  ASSERT_TRUE(lab->resume("eu-central-1"));
  EXPECT_EQ(PQping(lab->database_of("eu-central-1", "postgres").c_str()), PQPING_OK);

  ASSERT_TRUE(lab->kill("eu-central-1"));
  for (const auto& site : lab->sites()) EXPECT_EQ(site.processes == 0, site.name == "eu-central-1") << site.name;
  EXPECT_NE(PQping(lab->database_of("eu-central-1", "postgres").c_str()), PQPING_OK);
  EXPECT_EQ(PQping(lab->database_of("us-east-1", "postgres").c_str()), PQPING_OK) << "the others live";
  ASSERT_TRUE(lab->start("eu-central-1"));
  for (int i = 0; i < 1500 && PQping(lab->database_of("eu-central-1", "postgres").c_str()) != PQPING_OK; ++i)
    ::usleep(10'000);
  Session again(lab->database_of("eu-central-1", "postgres"));
  EXPECT_EQ(again.value("select n from kept"), "1");
}

TEST(LabLeftovers, TheNextStartEndsWhatAKilledLabLeftAndOnlyThat) {
  Folder folder;
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto lab = Lab::up(three_sites(folder.path(), false), kIsolation);
    const bool ok = lab && (*lab)->launch("us-east-1", "sleeper", {{"/bin/sleep", "1000"}}) &&
                    // its child outlives it and is nobody's recorded pid
                    (*lab)->launch("eu-west-1", "parent", {{"/bin/sh", "-c", "sleep 1000 & sleep 1000"}});
    const char word = ok ? 'y' : 'n';
    [[maybe_unused]] const ssize_t n = ::write(ready[1], &word, 1);
    ::pause();
    ::_exit(0);
  }
  char word = 'n';
  ASSERT_EQ(::read(ready[0], &word, 1), 1);
  ASSERT_EQ(word, 'y');
  auto bystander = *Process::start({.argv = {"/bin/sleep", "1000"}, .directory = folder.path().string()});

  const auto refused = Lab::up(three_sites(folder.path(), false), kIsolation);
  ASSERT_FALSE(refused) << "that lab lives";
  EXPECT_EQ(refused.error().kind, Kind::conflict);

  const std::vector<pid_t> family = descendants_of({child});
  ASSERT_GE(family.size(), 4U);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  auto lab = Lab::up(three_sites(folder.path(), false), kIsolation);
  ASSERT_TRUE(lab) << render(lab.error());
  for (const pid_t pid : family) EXPECT_EQ(start_of(pid), 0U) << pid;
  EXPECT_TRUE(bystander.running()) << "works in the same folder, but is not the lab's";
}

}  // namespace
}  // namespace domicile::lab
