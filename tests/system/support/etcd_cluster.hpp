// A real quorum of three etcd members over mutual TLS, started as deploy/README.md tells people to. For system tests.
#pragma once
#include <csignal>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/process.hpp"
#include "base/temp_dir.hpp"
#include "engines/etcd/bootstrap.hpp"
#include "engines/etcd/member.hpp"
#include "eventually.hpp"
#include "lab/certificates.hpp"

namespace domicile::test {

template <class T>
T must(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "{}\n", render(result.error()));
    std::abort();  // nothing sensible can follow; the children end with us
  }
  return *std::move(result);
}
inline void must(const Result<void>& result) {
  if (!result) {
    fmt::print(stderr, "{}\n", render(result.error()));
    std::abort();
  }
}

// Everything ends with its destruction. Ports are free ones of 127.0.0.1.
class EtcdCluster {
 public:
  // Up, with users for all sites (and root) unless `bare`.
  explicit EtcdCluster(std::vector<std::string> sites = {"us-east-1", "eu-central-1", "eu-west-1"}, bool bare = false);
  ~EtcdCluster();
  EtcdCluster(const EtcdCluster&) = delete;
  EtcdCluster& operator=(const EtcdCluster&) = delete;

  const std::vector<std::string>& sites() const { return sites_; }
  std::string endpoint(const std::string& site) const { return members_.at(site).client_url; }
  int client_port(const std::string& site) const;
  // As this site's user or "root"; the site's own member first.
  etcd::Access access(const std::string& user) const;
  std::vector<etcd::SiteUser> users() const;
  fs::path password_file(const std::string& user) const { return dir_.path() / (user + ".password"); }
  const lab::Authority& authority() const { return *authority_; }
  const fs::path& directory() const { return dir_.path(); }

  void start(const std::string& site);    // with its data
  void kill(const std::string& site);     // SIGKILL
  void replace(const std::string& site);  // whose data is gone: out of the cluster, and in again as a new member
  void pause(const std::string& site) { processes_.at(site).signal(SIGSTOP); }
  void resume(const std::string& site) { processes_.at(site).signal(SIGCONT); }
  pid_t pid(const std::string& site) const { return processes_.at(site).pid(); }
  void await_healthy();
  std::string leader() const;  // of those that answer; empty: none

  void save(const fs::path& snapshot) const;
  void restore(const fs::path& snapshot);  // all members, as an administrator does after the loss of all

 private:
  Command etcdctl(std::vector<std::string> arguments) const;
  std::string asked(const std::string& by, std::vector<std::string> arguments) const;  // of that member, as root

  TempDir dir_;
  std::vector<std::string> sites_;
  std::optional<lab::Authority> authority_;
  std::map<std::string, etcd::Member> members_;
  std::map<std::string, Process> processes_;
};

}  // namespace domicile::test
