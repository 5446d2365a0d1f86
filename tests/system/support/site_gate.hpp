// The gate of a test's region, as a process: what its links' peers reach instead of its PostgreSQL.
#pragma once
#include <sys/prctl.h>

#include <csignal>
#include <optional>

#include "base/http_client.hpp"
#include "base/process.hpp"
#include "etcd_cluster.hpp"
#include "eventually.hpp"

namespace domicile::test {

struct SiteGatePlace {
  std::string region;
  fs::path topology, folder;  // folder: gate.yaml, gate.sock, gate.log, gate/
  int port = 0;
  std::string ca, certificate, key;
  std::string database;  // conninfo of domicile_gate
};

class SiteGate {
 public:
  explicit SiteGate(SiteGatePlace place) : place_(std::move(place)) {
    must(write_file(place_.folder / "gate.yaml",
                    fmt::format("region: {}\ntopology: {}\nstate: {}\nsocket: {}\nlisten: 127.0.0.1:{}\nca: {}\n"
                                "certificate: {}\nkey: {}\ndatabase: \"{}\"\ndatabase_name: postgres\n",
                                place_.region, place_.topology.string(), (place_.folder / "gate").string(), socket(),
                                place_.port, place_.ca, place_.certificate, place_.key, place_.database)));
  }
  ~SiteGate() { signal(SIGKILL); }
  SiteGate(const SiteGate&) = delete;
  SiteGate& operator=(const SiteGate&) = delete;

  // Listens when it returns.
  void start() {
    Command command{{DOMICILE_BINARY, "gate", "--config", (place_.folder / "gate.yaml").string()}};
    command.output = (place_.folder / "gate.log").string();
    command.in_child = [] { return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0; };
    process_.reset();
    process_.emplace(must(Process::start(command)));
    HttpClient client({}, socket());
    if (!eventually([&] {
          const auto response = client.send({.url = "http://gate/healthz", .timeout = kSecond});
          return response && response->status == 200;
        }))
      throw std::runtime_error("the gate does not start: " + log());
  }
  void signal(int number) {
    if (process_ && process_->running()) process_->signal(number);
  }
  void kill() {
    signal(SIGKILL);
    if (process_) process_->wait();
  }
  std::string socket() const { return (place_.folder / "gate.sock").string(); }
  std::string log() const { return read_file(place_.folder / "gate.log").value_or(""); }

 private:
  SiteGatePlace place_;
  std::optional<Process> process_;
};

}  // namespace domicile::test
