#include "regions.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace domicile::bench::peers {
namespace {

class SqlClients final : public Clients {
 public:
  explicit SqlClients(const SqlLoadSpec& spec) : load_(spec) {}
  std::vector<drill::Write> take() override { return load_.take(); }
  Result<std::vector<drill::Write>> stop() override { return load_.stop(); }

 private:
  SqlLoad load_;
};

Result<std::string> filled(std::string text, const Values& values) {
  for (const auto& [key, value] : values) {
    const std::string mark = "@" + key + "@";
    for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
      text.replace(at, mark.size(), value);
  }
  for (std::size_t at = text.find('@'); at != std::string::npos; at = text.find('@', at + 1))
    if (const auto end = text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", at + 1);
        end != std::string::npos && end > at + 1 && text[end] == '@')
      return fail(Kind::corrupt, "a template wants " + text.substr(at, end - at + 1));
  return text;
}

// The end of what a program said, as one line.
std::string last_words(std::string text) {
  constexpr std::size_t kEnough = 400;
  if (text.size() > kEnough) text = text.substr(text.size() - kEnough);
  std::ranges::replace(text, '\n', ' ');
  return text;
}

}  // namespace

Result<std::unique_ptr<Regions>> Regions::up(int base, lab::Isolation isolation, const fs::path& logs) {
  if (isolation == lab::Isolation::flat)
    return fail(Kind::refused, "without network namespaces nothing can be cut", "run it as root");
  lab::LabSpec spec;
  // Where the engines' user can enter, and on a disk.
  spec.directory = fmt::format("/var/tmp/domicile-peers-{}", ::getpid());
  spec.base = base;
  spec.engines = false;
  for (const auto& region : kRegions) spec.sites.push_back({region, region.substr(0, 2), false, {}});
  spec.sites.push_back({kOutside, "", true, {}});
  std::unique_ptr<Regions> regions(new Regions(spec.directory, logs));
  regions->lab_ = TRY(lab::Lab::up(std::move(spec), isolation));
  lab::Lab& lab = *regions->lab_;
  for (const auto& to : kRegions)
    for (const auto& from : lab.spec().sites)
      if (from.name != to)
        for (const auto& [service, port] : {std::pair{"postgres", kPostgresPort}, std::pair{"rest", kRestPort}})
          (void)TRY(lab.wan().add({from.name, to, service, lab.address(from.name, to), port, lab.address(to, to), port,
                                   lab.origin(from.name)}));
  regions->near();
  return regions;
}

Regions::~Regions() {
  lab_.reset();
  std::error_code code;
  fs::remove_all(logs_, code);
  fs::create_directories(logs_, code);
  for (const auto& site : fs::directory_iterator(directory_ / "sites", code))
    fs::copy(site.path() / "logs", logs_ / site.path().filename(), fs::copy_options::recursive, code);
  fs::remove_all(directory_, code);
}

void Regions::near() const { lab_->set_latencies(false); }

void Regions::far() const {
  lab_->set_latencies(true);
  for (const auto& region : kRegions) {
    lab_->wan().set_latency(kOutside, region, 0);
    lab_->wan().set_latency(region, kOutside, 0);
  }
}

Result<void> Regions::cut() const {
  for (const auto& site : lab_->spec().sites) {
    if (site.name == kLost) continue;
    lab_->wan().cut(kLost, site.name);
    lab_->wan().cut(site.name, kLost);
  }
  return {};
}

Result<void> Regions::configure(const std::string& site, const std::string& name, const std::string& file,
                                const Values& values) const {
  const fs::path path = folder(site) / file;
  CHECK_OK(write_file(path, TRY(filled(TRY(read_file(fs::path(DOMICILE_PEERS) / name)), values)), 0600));
  return lab_->give(path);
}

Result<void> Regions::launch(const std::string& site, const std::string& name, std::vector<std::string> argv) const {
  return lab_->launch(site, name, {std::move(argv), {{"HOME", folder(site).string()}}});
}

Result<void> Regions::run_inside(const std::string& site, std::vector<std::string> argv, Micros timeout) const {
  const passwd* user = ::getpwnam(lab_->engine_user().c_str());
  if (user == nullptr) return fail(Kind::failed, "there is no user " + lab_->engine_user());
  const std::string what = fs::path(argv[0]).filename().string() + " in " + site;
  Command command{std::move(argv), {{"HOME", folder(site).string()}}, folder(site).string()};
  // Bare system calls: glibc's wrappers would signal threads that a forked child does not have.
  if (::geteuid() == 0)
    command.in_child = [uid = user->pw_uid, gid = user->pw_gid] {
      return ::syscall(SYS_setgroups, 0, nullptr) == 0 && ::syscall(SYS_setgid, gid) == 0 &&
             ::syscall(SYS_setuid, uid) == 0;
    };
  Result<domicile::Outcome> ran = fail(Kind::failed, "cannot enter " + site);
  CHECK_OK(lab_->at(site, [&] { ran = run(command, timeout); }));
  if (!ran) return wrap(what, ran.error());
  if (ran->exit_code != 0)
    return fail(Kind::failed,
                fmt::format("{} ended with {}: {}", what, ran->exit_code, last_words(ran->out + ran->err)));
  return {};
}

Result<postgres::Connection> Regions::database(const std::string& site, const std::string& name) const {
  postgres::OpenOptions options;
  options.connect_timeout = 2 * kSecond;
  options.empty_search_path = false;
  return postgres::Connection::open(
      fmt::format("host='{}' port={} dbname={} user=postgres", (folder(site) / "run").string(), kPostgresPort, name),
      options);
}

bool Regions::takes_writes(const std::string& site) const {
  auto connection = database(site, "postgres");
  if (!connection) return false;
  const auto rows = connection->exec("SELECT NOT pg_is_in_recovery()", monotonic_now() + 2 * kSecond);
  return rows && rows->truth(0, 0);
}

std::size_t Regions::followers(const std::string& site) const {
  auto connection = database(site, "postgres");
  if (!connection) return 0;
  // A base backup streams too, and applies nothing.
  const auto rows = connection->exec(
      "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name <> 'pg_basebackup' AND "
      "pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) < 65536",
      monotonic_now() + 2 * kSecond);
  return rows ? static_cast<std::size_t>(rows->integer_or(0, 0, 0)) : 0;
}

Result<std::set<std::string>> Regions::orders(const std::string& site) const {
  auto connection = TRY(database(site, "app"));
  const auto rows = TRY(connection.exec("SELECT id FROM orders", monotonic_now() + 30 * kSecond));
  std::set<std::string> ids;
  for (int row = 0; row < rows.size(); ++row) ids.insert(rows.text(row, 0));
  return ids;
}

std::string Regions::all_hosts() const {
  std::string hosts;
  for (const auto& region : kRegions) hosts += (hosts.empty() ? "" : ",") + address(region);
  return hosts;
}

Result<std::unique_ptr<Clients>> Regions::clients(const std::string& site, const std::string& conninfo,
                                                  double per_s) const {
  SqlLoadSpec spec;
  spec.conninfo = conninfo;
  spec.per_s = per_s;
  std::unique_ptr<Clients> clients;
  CHECK_OK(lab_->at(site, [&] { clients = std::make_unique<SqlClients>(spec); }));
  if (!clients) return fail(Kind::failed, "cannot enter " + site);
  return clients;
}

Result<void> await(const std::string& what, Micros timeout, const Interrupts& interrupts,
                   const std::function<bool()>& ready) {
  for (const Micros deadline = monotonic_now() + timeout; monotonic_now() < deadline;) {
    if (ready()) return {};
    CHECK_OK(interrupts.rest(100 * kMillisecond));
  }
  return fail(Kind::unavailable, fmt::format("not within {} s: {}", timeout / kSecond, what));
}

}  // namespace domicile::bench::peers
