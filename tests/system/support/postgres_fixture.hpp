// A PostgreSQL cluster of a test's or a bench's own: in a temporary folder, reachable through a Unix socket there only,
// run as `postgres` where we are root, gone with its object. Throws std::runtime_error when it cannot be had.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/process.hpp"
#include "base/temp_dir.hpp"
#include "engines/postgres/connection.hpp"
#include "eventually.hpp"

namespace domicile::test {

struct PostgresOptions {
  std::vector<std::string> settings = {};               // "name=value"
  std::map<std::string, std::string> environment = {};  // of the server
  std::vector<std::filesystem::path> libraries = {};    // preloaded from a copy in folder(), which the server may read
  // The host's boot clock as this cluster sees it: shifted by so much, in a time namespace (root only).
  std::optional<int> boot_clock_offset_s = {};
  bool started = true;   // false: start() is called later, by the thread with whose end the server may end
  int port = 0;          // 0: the Unix socket only; else 127.0.0.1 as well
  std::string hba = {};  // pg_hba.conf; empty: everybody may come in
  // Name in folder() -> file that is copied there, readable by the server's user only.
  std::map<std::string, std::filesystem::path> secrets = {};
};

class PostgresCluster {
 public:
  explicit PostgresCluster(PostgresOptions options = {});
  ~PostgresCluster();
  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;

  void start();      // returns once it answers
  void stop();       // immediate shutdown
  void kill();       // SIGKILL to the postmaster; start() waits until its orphans have gone
  void make_anew();  // a new and empty cluster in the place of a stopped one
  pid_t pid() const { return server_ ? server_->pid() : -1; }  // the postmaster's
  bool running() { return server_ && server_->running(); }
  std::string conninfo(const std::string& user = "admin", const std::string& database = "postgres") const;
  postgres::Connection connect(const std::string& user = "admin") const;
  std::filesystem::path folder() const { return dir_.path(); }
  std::filesystem::path data() const { return dir_.path() / "data"; }
  std::string log() const;                                    // all that the server has written so far
  Result<Outcome> run_client(std::vector<std::string> argv);  // a program of PostgreSQL, with -h and -U set

 private:
  Command command(std::vector<std::string> argv) const;
  void make_data();
  PostgresOptions options_;
  TempDir dir_;
  uid_t uid_ = 0;  // 0: ours
  gid_t gid_ = 0;
  std::optional<Process> server_;
};

}  // namespace domicile::test
