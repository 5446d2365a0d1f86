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

namespace domicile::test {

struct PostgresOptions {
  std::vector<std::string> settings = {};               // "name=value"
  std::map<std::string, std::string> environment = {};  // of the server
  std::vector<std::filesystem::path> libraries = {};    // preloaded from a copy in folder(), which the server may read
  // The host's boot clock as this cluster sees it: shifted by so much, in a time namespace (root only).
  std::optional<int> boot_clock_offset_s = {};
};

class PostgresCluster {
 public:
  explicit PostgresCluster(PostgresOptions options = {});
  ~PostgresCluster();
  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;

  void start();  // returns once it answers
  void stop();   // immediate shutdown
  void kill();   // SIGKILL to the postmaster; start() waits until its orphans have gone
  std::string conninfo(const std::string& user = "admin", const std::string& database = "postgres") const;
  postgres::Connection connect(const std::string& user = "admin") const;
  std::filesystem::path folder() const { return dir_.path(); }
  std::filesystem::path data() const { return dir_.path() / "data"; }
  std::string log() const;                                    // all that the server has written so far
  Result<Outcome> run_client(std::vector<std::string> argv);  // a program of PostgreSQL, with -h and -U set

 private:
  Command command(std::vector<std::string> argv) const;
  PostgresOptions options_;
  TempDir dir_;
  uid_t uid_ = 0;  // 0: ours
  gid_t gid_ = 0;
  std::optional<Process> server_;
};

// True as soon as `condition` is; false when it is not within `timeout`.
bool eventually(const std::function<bool()>& condition, Micros timeout = 20 * kSecond);

}  // namespace domicile::test
