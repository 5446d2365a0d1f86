// A PostgreSQL that a test starts by hand, as a customer's would be: no default cluster, no TCP, everything ended with
// it.
#pragma once
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <sstream>

#include "base/file.hpp"
#include "base/process.hpp"
#include "base/temp_dir.hpp"
#include "engines/postgres/connection.hpp"

namespace domicile::postgres {

inline const std::string kBin = "/usr/lib/postgresql/15/bin/";

// One server for all tests of a file; each test has its own database.
class Server {
 public:
  Server() {
    if (geteuid() == 0) {
      const passwd* user = getpwnam("postgres");
      uid_ = user->pw_uid;
      gid_ = user->pw_gid;
      fs::permissions(dir_.path(), fs::perms::all);
    }
    EXPECT_TRUE(chown(dir_.path().c_str(), uid_, gid_) == 0);
    const auto data = (dir_.path() / "data").string();
    const auto made = run({{kBin + "initdb", "-D", data, "-U", "admin", "-A", "trust", "-E", "UTF8", "--no-sync"},
                           {},
                           "/",
                           "",
                           "",
                           as_user()},
                          60 * kSecond);
    EXPECT_TRUE(made && made->exit_code == 0) << (made ? made->err : render(made.error()));
    // The server's user may not read the build's folder.
    fs::copy_file(DOMICILE_GUARD_LIBRARY, library());
    const auto log = this->log().string();
    auto started = Process::start(
        {{kBin + "postgres", "-D", data, "-k", dir_.path().string(), "-c", "listen_addresses=", "-c",
          "wal_level=logical", "-c", "max_replication_slots=40", "-c", "shared_preload_libraries=" + library()},
         {},
         "/",
         log,
         "",
         as_user()});
    EXPECT_TRUE(started);
    process_.emplace(*std::move(started));
    for (const Micros end = monotonic_now() + 20 * kSecond; monotonic_now() < end;)
      if (auto up = Connection::open(conninfo("postgres"))) break;
  }
  std::string conninfo(const std::string& database, const std::string& user = "admin") const {
    return "host=" + dir_.path().string() + " user=" + user + " dbname=" + database;
  }
  std::string library() const { return (dir_.path() / "domicile_guard.so").string(); }
  fs::path log() const { return dir_.path() / "log"; }
  Connection open(const std::string& database, const std::string& user = "admin") const {
    return Connection::open(conninfo(database, user)).value();
  }
  // Immediate shutdown, as after a loss of power: a polite one waits for sessions.
  void quit() {
    if (!process_) return;
    process_->signal(SIGQUIT);
    process_->wait();
    process_.reset();
  }
  std::string dump(const std::string& database, bool globals = false) const {
    std::vector<std::string> argv{kBin + (globals ? "pg_dumpall" : "pg_dump"), "-h", dir_.path().string(), "-U",
                                  "admin"};
    if (globals)
      argv.push_back("--globals-only");
    else
      argv.insert(argv.end(), {"--schema-only", database});
    const auto outcome = run({argv}, 30 * kSecond);
    EXPECT_TRUE(outcome && outcome->exit_code == 0) << (outcome ? outcome->err : render(outcome.error()));
    // pg_dump guards its output with a fresh key each time (\\restrict, \\unrestrict); everything else has to be equal.
    std::string text;
    std::istringstream lines(outcome->out);
    for (std::string line; std::getline(lines, line);)
      if (!line.starts_with("\\restrict") && !line.starts_with("\\unrestrict")) text += line + "\n";
    return text;
  }

 private:
  std::function<bool()> as_user() const {
    if (geteuid() != 0) return {};
    return [uid = uid_, gid = gid_] { return setgid(gid) == 0 && setuid(uid) == 0; };
  }
  TempDir dir_;
  uid_t uid_ = geteuid();
  gid_t gid_ = getegid();
  std::optional<Process> process_;
};

}  // namespace domicile::postgres
