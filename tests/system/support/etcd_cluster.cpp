#include "etcd_cluster.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <sstream>

#include "engines/etcd/status.hpp"
#include "free_ports.hpp"

namespace domicile::test {

EtcdCluster::EtcdCluster(std::vector<std::string> sites, bool bare) : sites_(std::move(sites)) {
  authority_.emplace(must(lab::Authority::make(dir_.path())));
  const std::string ca = (dir_.path() / "ca.pem").string();
  must(authority_->issue(dir_.path() / "client", {}));  // without a common name, or the gateway refuses it
  const std::vector<int> ports = free_ports(2 * sites_.size());
  std::map<std::string, std::string> cluster;
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    const std::string& site = sites_[i];
    must(authority_->issue(dir_.path() / site, {.common_name = site, .ip = {"127.0.0.1"}}));
    members_[site] = {.name = site,
                      .data = dir_.path() / (site + ".etcd"),
                      .client_url = fmt::format("https://127.0.0.1:{}", ports[2 * i]),
                      .peer_url = fmt::format("https://127.0.0.1:{}", ports[2 * i + 1]),
                      .tls = {ca, (dir_.path() / (site + ".pem")).string(), (dir_.path() / (site + ".key")).string()}};
    cluster[site] = members_[site].peer_url;
    must(write_secret(password_file(site), "of " + site + "\n"));
  }
  must(write_secret(password_file("root"), "of root\n"));
  for (auto& [site, member] : members_) {
    member.cluster = cluster;
    start(site);
  }
  await_healthy();
  if (!bare) must(etcd::ensure_auth(access("root"), users()));
}

// A member that is asked to stop hands its leadership over first, which takes seconds when all are asked in turn.
EtcdCluster::~EtcdCluster() {
  for (auto& [site, process] : processes_) process.signal(SIGKILL);
}

int EtcdCluster::client_port(const std::string& site) const {
  const std::string url = endpoint(site);
  return std::stoi(url.substr(url.rfind(':') + 1));
}

etcd::Access EtcdCluster::access(const std::string& user) const {
  etcd::Access access{
      .endpoints = {},
      .tls = {(dir_.path() / "ca.pem").string(), (dir_.path() / "client.pem").string(),
              (dir_.path() / "client.key").string()},
      .user = user,
      .password_file = password_file(user).string(),
  };
  for (const auto& site : sites_)
    access.endpoints.insert(site == user ? access.endpoints.begin() : access.endpoints.end(), endpoint(site));
  return access;
}

std::vector<etcd::SiteUser> EtcdCluster::users() const {
  std::vector<etcd::SiteUser> users;
  for (const auto& site : sites_) users.push_back({site, password_file(site).string()});
  return users;
}

void EtcdCluster::start(const std::string& site) {
  Command command{.argv = {"etcd"}, .output = (dir_.path() / (site + ".log")).string()};
  command.in_child = [] { return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0; };  // a test that aborts runs no destructor
  const auto flags = etcd::member_flags(members_.at(site));
  command.argv.insert(command.argv.end(), flags.begin(), flags.end());
  processes_.insert_or_assign(site, must(Process::start(command)));
}

void EtcdCluster::kill(const std::string& site) {
  auto& process = processes_.at(site);
  process.signal(SIGKILL);
  process.wait();
}

void EtcdCluster::await_healthy() {
  etcd::Client client(access("root"));
  for (std::size_t i = 0; i < client.endpoints().size(); ++i) {
    if (eventually([&] { return client.get_text_at(i, "/health").has_value(); })) continue;
    fmt::print(stderr, "{} did not come up; its log:\n{}\n", client.endpoints()[i],
               read_file(dir_.path() / (sites_[i] + ".log")).value_or(""));
    std::abort();
  }
}

std::string EtcdCluster::leader() const {
  etcd::Client client(access("root"));
  return etcd::status(client).leader();
}

Command EtcdCluster::etcdctl(std::vector<std::string> arguments) const {
  const std::string password = must(etcd::read_password(password_file("root").string()));
  Command command{.argv = {"etcdctl"},
                  .env = {{"ETCDCTL_API", "3"}, {"ETCDCTL_USER", "root"}, {"ETCDCTL_PASSWORD", password}}};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  return command;
}

std::string EtcdCluster::asked(const std::string& by, std::vector<std::string> arguments) const {
  const auto tls = access("root").tls;
  std::vector<std::string> words{"--endpoints", endpoint(by),    "--cacert", tls.ca,
                                 "--cert",      tls.certificate, "--key",    tls.key};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const auto done = must(run(etcdctl(std::move(words)), 20 * kSecond));
  if (done.exit_code != 0) must(Result<void>(fail(Kind::failed, done.err)));
  return done.out;
}

void EtcdCluster::save(const fs::path& snapshot) const {
  asked(sites_.front(), {"snapshot", "save", snapshot.string()});
}

void EtcdCluster::replace(const std::string& site) {
  auto& member = members_.at(site);
  const std::string& other = *std::ranges::find_if(sites_, [&](const auto& each) { return each != site; });
  std::istringstream list(asked(other, {"member", "list"}));  // ID, status, name, …
  for (std::string line; std::getline(list, line);)
    if (line.find(", " + site + ",") != std::string::npos)
      asked(other, {"member", "remove", line.substr(0, line.find(','))});
  asked(other, {"member", "add", site, "--peer-urls", member.peer_url});
  fs::remove_all(member.data);
  member.joins = true;
  start(site);
}

void EtcdCluster::restore(const fs::path& snapshot) {
  std::string cluster;
  for (const auto& [site, member] : members_)
    cluster += fmt::format("{}{}={}", cluster.empty() ? "" : ",", site, member.peer_url);
  for (const auto& site : sites_) kill(site);
  for (auto& [site, member] : members_) {
    fs::remove_all(member.data);
    const auto restored =
        must(run(etcdctl({"snapshot", "restore", snapshot.string(), "--name", site, "--data-dir", member.data.string(),
                          "--initial-cluster", cluster, "--initial-advertise-peer-urls", member.peer_url}),
                 20 * kSecond));
    if (restored.exit_code != 0) must(Result<void>(fail(Kind::failed, restored.err)));
    start(site);
  }
  await_healthy();
}

}  // namespace domicile::test
