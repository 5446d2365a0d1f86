#include "postgres_fixture.hpp"

#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include "base/file.hpp"

namespace domicile::test {
namespace {

const std::string kBin = "/usr/lib/postgresql/15/bin/";

}  // namespace

PostgresCluster::PostgresCluster(PostgresOptions options) : options_(std::move(options)) {
  if (const passwd* user = geteuid() == 0 ? getpwnam("postgres") : nullptr) {
    uid_ = user->pw_uid;
    gid_ = user->pw_gid;
    if (chown(dir_.path().c_str(), uid_, gid_) != 0) throw std::runtime_error("cannot give the folder to postgres");
  }
  std::string preload;
  for (const auto& library : options_.libraries) {
    const auto copy = dir_.path() / library.filename();
    fs::copy_file(library, copy);
    fs::permissions(copy, fs::perms::owner_all | fs::perms::group_read | fs::perms::others_read);
    preload += (preload.empty() ? "" : ",") + copy.string();
  }
  for (const auto& [name, file] : options_.secrets) {
    const auto copy = dir_.path() / name;
    fs::copy_file(file, copy);
    fs::permissions(copy, fs::perms::owner_read | fs::perms::owner_write);
    if (uid_ != 0 && chown(copy.c_str(), uid_, gid_) != 0) throw std::runtime_error("cannot give away " + name);
  }
  if (!preload.empty()) options_.settings.push_back("shared_preload_libraries=" + preload);
  make_data();
  if (options_.started) start();
}

void PostgresCluster::make_data() {
  const auto made = run(command({kBin + "initdb", "-D", data().string(), "-U", "admin", "-A", "trust", "--no-sync",
                                 "--no-instructions", "--locale=C", "-E", "UTF8"}),
                        60 * kSecond);
  if (!made || made->exit_code != 0) throw std::runtime_error("initdb: " + (made ? made->err : one_line(made.error())));
  if (!options_.hba.empty() && !write_file(data() / "pg_hba.conf", options_.hba, 0644))
    throw std::runtime_error("cannot write pg_hba.conf");
}

void PostgresCluster::make_anew() {
  fs::remove_all(data());
  make_data();
}

PostgresCluster::~PostgresCluster() { stop(); }

void PostgresCluster::start() {
  std::vector<std::string> argv;
  if (options_.boot_clock_offset_s) {
    // The namespace must be made before the privileges go, and its first process is a child of the one that made it.
    argv = {
        "unshare", "-T", "--boottime", std::to_string(*options_.boot_clock_offset_s), "--fork", "--kill-child=SIGQUIT"};
    if (uid_ != 0)
      argv.insert(argv.end(), {"setpriv", "--reuid=" + std::to_string(uid_), "--regid=" + std::to_string(gid_),
                               "--clear-groups", "--pdeathsig", "QUIT"});
  }
  for (const auto& word :
       {kBin + "postgres", std::string("-D"), data().string(), std::string("-k"), dir_.path().string()})
    argv.push_back(word);
  if (options_.port == 0)
    argv.insert(argv.end(), {"-c", "listen_addresses="});
  else
    argv.insert(argv.end(), {"-c", "listen_addresses=127.0.0.1", "-c", "port=" + std::to_string(options_.port)});
  for (const auto& setting : options_.settings) argv.insert(argv.end(), {"-c", setting});
  auto start = command(argv);
  if (options_.boot_clock_offset_s) start.in_child = {};
  start.env = options_.environment;
  start.output = (dir_.path() / "log").string();
  // The orphans of a killed postmaster hold its shared memory for a moment: until then a new one ends at once.
  const bool up = eventually([&] {
    if (!server_ || !server_->running()) {
      auto process = Process::start(start);
      if (!process) return false;
      server_.emplace(*std::move(process));
    }
    return static_cast<bool>(postgres::Connection::open(conninfo()));
  });
  if (!up) throw std::runtime_error("PostgreSQL does not start: " + log());
}

void PostgresCluster::stop() {
  if (!server_) return;
  server_->signal(options_.boot_clock_offset_s ? SIGKILL : SIGQUIT);
  server_->wait();
  server_.reset();
}

void PostgresCluster::kill() {
  if (!server_) return;
  server_->signal(SIGKILL);
  server_->wait();
  server_.reset();
}

std::string PostgresCluster::conninfo(const std::string& user, const std::string& database) const {
  return "host=" + dir_.path().string() + (options_.port == 0 ? "" : " port=" + std::to_string(options_.port)) +
         " user=" + user + " dbname=" + database;
}

postgres::Connection PostgresCluster::connect(const std::string& user) const {
  auto opened = postgres::Connection::open(conninfo(user));
  if (!opened) throw std::runtime_error(one_line(opened.error()));
  return *std::move(opened);
}

std::string PostgresCluster::log() const { return read_file(dir_.path() / "log").value_or(""); }

Result<Outcome> PostgresCluster::run_client(std::vector<std::string> argv) {
  argv[0] = kBin + argv[0];
  argv.insert(argv.begin() + 1, {"-h", dir_.path().string(), "-U", "admin"});
  return run(command(std::move(argv)), 120 * kSecond);
}

Command PostgresCluster::command(std::vector<std::string> argv) const {
  Command out{std::move(argv)};
  out.directory = dir_.path().string();
  // A test that is killed leaves no server behind. Changing the user would clear the signal: set it afterwards.
  out.in_child = [uid = uid_, gid = gid_] {
    return (uid == 0 || (setgid(gid) == 0 && setuid(uid) == 0)) && prctl(PR_SET_PDEATHSIG, SIGQUIT) == 0;
  };
  return out;
}

}  // namespace domicile::test
