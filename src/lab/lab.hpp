// Several regions on one machine with real engines and a WAN between them. The lab is only a user of the agent, the
// gateway and the engines: nothing in them knows of it.
//
//   DIR/bin/            copies of our binaries: a build under a running lab changes nothing, and the engines' user may
//                       read them wherever the checkout lies
//   DIR/certs/SITE/     site.pem (servers, control API), link.pem (CN domicile_link_<site>), RESIDENCY.pem (gateway)
//   DIR/certs/clients/  view.pem operate.pem approve.pem break-glass.pem
//   DIR/sites/SITE/     what the site's engines own: postgres/ etcd/ run/ (Unix sockets) logs/
//   DIR/recorded/       with `record` there: FROM-TO/SERVICE.N (relay), tls/SITE/ (tap)
//   DIR/leftovers.json  what runs, for the start after a crash
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/http_client.hpp"
#include "base/process.hpp"
#include "lab/certificates.hpp"
#include "lab/namespace.hpp"
#include "lab/processes.hpp"
#include "lab/relay.hpp"

namespace domicile::lab {

inline constexpr const char* kHost = "host";          // the clients' place in routes and cuts
inline constexpr const char* kClients = "127.1.0.1";  // the address from which they arrive inside a site

enum Port {
  gateway = 8443,
  tunnel = 8444,
  forward = 8445,
  demo = 8080,
  postgres = 5432,
  gate = 5433,
  etcd_client = 2379,
  etcd_peer = 2380,
  agent_api = 7400
};

struct Site {
  std::string name, jurisdiction;
  bool voter = false;                         // etcd and agent only
  std::vector<std::string> full_residencies;  // gets a gateway certificate for each
};

// Of a tenant that may move: every residency's certificate names it, as those of a customer have to before a move.
inline constexpr std::string_view kMovingHost = "moving.example";

struct LabSpec {
  fs::path directory;
  int base = 0;             // added to the ports on the host's network, and to all in flat mode
  std::vector<Site> sites;  // the first is 127.10.0.1, the second 127.20.0.1, …
  Micros far = 45 * kMillisecond, near = 8 * kMillisecond;  // one way; near: same jurisdiction
  // A folder for what crosses: the WAN by connection, see Relay; and tls/SITE, see tls_tap.c. Of the engines' user, and
  // nobody else may look into it: rows of tenants are in it.
  fs::path record = {};
  fs::path tls_tap = {};  // domicile_tls_tap.so: with `record`, preloaded into every program of a site
  // full_disk.so and wall_clock.so, preloaded into every program of a site that has a libc: see fill_disk, set_clock.
  std::vector<fs::path> instruments = {};
  std::string database = "app";
  std::map<std::string, std::string> postgres_settings = {};  // on top of the lab's own
  std::vector<fs::path> binaries = {};                        // copied to DIR/bin
  bool engines = true;                                        // false: namespaces, certificates and WAN only
  bool flat = false;                                          // no namespaces, although this machine allows them
  std::function<void(const std::string&)> progress = {};      // what begins now, for people
  ProcessId holder = {};                                      // the lab ends with it; nobody: it stays
};

struct SiteState {
  std::string name, address;
  bool voter = false, killed = false, paused = false;
  std::vector<std::string> running;  // names of its live programs
  std::size_t processes = 0;
};

// Everything ends with its destruction. Members may be called from any thread.
class Lab {
 public:
  // Ends what an earlier lab left in the directory, then brings everything up; old data is removed.
  static Result<std::unique_ptr<Lab>> up(LabSpec spec, Isolation isolation);
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  const LabSpec& spec() const { return spec_; }
  Isolation isolation() const { return isolation_; }
  Relay& wan() { return *relay_; }

  // Where `from` reaches a service of `to` (through the relay unless they are the same); kHost for clients.
  std::string address(const std::string& from, const std::string& to) const;
  // As whom connections of `from` arrive elsewhere; kClients for kHost. Connections inside a site come from its own
  // address or 127.0.0.1.
  std::string origin(const std::string& from) const;
  int port(const std::string& from, Port service) const;
  fs::path folder(const std::string& site) const { return spec_.directory / "sites" / site; }
  fs::path certificates(const std::string& site) const { return spec_.directory / "certs" / site; }
  fs::path binary(const std::string& name) const { return spec_.directory / "bin" / name; }
  std::string engine_user() const { return user_name_; }
  // libpq conninfo over the site's Unix socket.
  std::string database_of(const std::string& site, const std::string& role) const;

  // Runs `work` on a thread in the site's network.
  Result<void> at(const std::string& site, const std::function<void()>& work);
  // Starts a program inside a site, as the engines' user, its output in logs/NAME.log. `start` starts it again after a
  // kill, in the order of first launches.
  Result<void> launch(const std::string& site, const std::string& name, Command command);
  Result<void> kill_program(const std::string& site, const std::string& name);  // SIGKILL to it and its children

  // SIGSTOP and SIGCONT to it and its children.
  Result<void> pause_program(const std::string& site, const std::string& name);
  Result<void> resume_program(const std::string& site, const std::string& name);
  // With instruments: no file of the site grows any more, or the wall clock of its programs is off by that much. Of
  // etcd, which has no libc, neither is true.
  Result<void> fill_disk(const std::string& site, bool full);
  Result<void> set_clock(const std::string& site, Micros off);
  Result<void> start_program(const std::string& site, const std::string& name);  // again; fine when it runs
  // Puts the certificates of a site on another one's list of revoked ones, and starts its gate anew: nothing that was
  // let in before goes on. The list is empty after unrevoke.
  Result<void> revoke(const std::string& site, const std::string& whose);
  Result<void> unrevoke(const std::string& site);

  Result<void> kill(const std::string& site);    // SIGKILL to every process of the site
  Result<void> pause(const std::string& site);   // SIGSTOP to the same set
  Result<void> resume(const std::string& site);  // SIGCONT
  Result<void> start(const std::string& site);   // a killed site again, with its data
  std::vector<SiteState> sites() const;
  // The spec's latencies, or none: for what is only set-up and a long talk.
  void set_latencies(bool far);
  void say(const std::string& what) const;  // to spec().progress
  // Gives files that were made later to the engines' user.
  Result<void> give(const fs::path& path) const;

 private:
  struct Program {
    std::string name;
    Command command;
    std::unique_ptr<Process> process;
  };
  struct Place {
    Site site;
    int number = 0;
    Fd network;
    std::uint64_t inode = 0;
    std::vector<Program> programs;
    bool killed = false, paused = false;
  };

  Lab(LabSpec spec, Isolation isolation);
  Result<void> bring_up();
  Result<void> make_folders();
  Result<void> make_certificates();
  Result<void> make_network();
  Result<void> initialise_postgres(const Place& place) const;
  Result<void> launch_postgres(Place& place);
  Result<void> launch_etcd(Place& place);
  TlsFiles tls_of(const std::string& site) const;  // whom the site's processes trust, and who they are
  Result<void> await_engines();
  Result<void> run_program(Place& place, Program& program);
  Command inside_site(const Place& place, Command command) const;
  void preload(const Place& place, const std::string& program, Command& command) const;
  Result<void> signal_program(const std::string& site, const std::string& name, int number);
  Result<void> make_instruments(const std::string& site) const;
  Result<void> turn(const std::string& site, const char* instrument, std::string_view bytes) const;
  Result<Place*> place(const std::string& site);
  const Place* find(const std::string& site) const;
  std::vector<pid_t> members(const Place& place) const;
  void remember() const;

  LabSpec spec_;
  Isolation isolation_;
  std::string user_name_;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  mutable std::recursive_mutex mutex_;
  std::vector<std::unique_ptr<Place>> places_;
  std::unique_ptr<Relay> relay_;
};

}  // namespace domicile::lab
