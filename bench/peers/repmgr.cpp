#include "arms.hpp"
#include "base/file.hpp"
#include "regions.hpp"

namespace domicile::bench::peers {
namespace {

struct Settings {
  std::string repmgr, postgres;  // further lines of the two files
};

// Tuned: a dead primary is given up after about the lab's 5 s; a silent one takes up to 2 s (connect_timeout) longer
// for each attempt. And the fence that repmgr's documentation describes, a command when no standby is attached any
// more.
Settings tuned(const std::string& folder) {
  return {fmt::format("monitor_interval_secs=1\nreconnect_attempts=3\nreconnect_interval=1\n"
                      "child_nodes_check_interval=1\nchild_nodes_disconnect_timeout=5\n"
                      "child_nodes_disconnect_command='{}pg_ctl -D {}/postgres -m immediate -W stop'",
                      kBinaries, folder),
          "wal_sender_timeout = 5s\nwal_receiver_timeout = 5s\nwal_retrieve_retry_interval = 500ms"};
}

class Repmgr final : public Arm {
 public:
  Repmgr(std::unique_ptr<Regions> regions, const Interrupts& interrupts)
      : regions_(std::move(regions)), interrupts_(interrupts) {}

  Result<void> bring_up(bool is_tuned) {
    int node = 0;
    for (const auto& region : kRegions) CHECK_OK(configure(region, ++node, is_tuned));
    CHECK_OK(first_primary());
    for (const auto& region : kRegions)
      if (region != kLost) CHECK_OK(standby(region));
    CHECK_OK(await("both standbys of repmgr stream", 60 * kSecond, interrupts_,
                   [&] { return regions_->followers(kLost) == 2; }));
    regions_->far();
    for (const auto& region : kRegions) CHECK_OK(launch_daemon(region));
    return {};
  }

  std::string lost() const override { return kLost; }
  Result<std::unique_ptr<Clients>> clients(double per_s, bool inside) override {
    return regions_->clients(
        inside ? kLost : kOutside,
        fmt::format("host={} port={} dbname=app user=app target_session_attrs=read-write connect_timeout=2",
                    regions_->all_hosts(), kPostgresPort),
        per_s);
  }
  Result<void> strike(const std::string& kind) override {
    if (kind == "cut") return regions_->cut();
    return kind == "kill" ? regions_->lab().kill(kLost) : regions_->lab().pause(kLost);
  }
  std::string successor() override {
    for (const auto& region : kRegions)
      if (region != kLost && regions_->takes_writes(region)) return region;
    return {};
  }
  // A killed PostgreSQL stays down until it is rejoined: started by itself it would be a primary again.
  Result<void> end_fault(const std::string& kind) override {
    if (kind == "cut") regions_->lab().wan().heal_all();
    if (kind == "pause") return regions_->lab().resume(kLost);
    return {};
  }
  Result<void> bring_back(const std::string&, const std::string& successor) override {
    (void)regions_->lab().kill_program(kLost, "repmgrd");  // of a killed region there is none
    (void)regions_->run_inside(kLost, {binary("pg_ctl"), "-D", data(kLost), "-m", "fast", "-w", "stop"}, 60 * kSecond);
    // Where the log that pg_rewind needs is gone, the documentation says to clone anew.
    if (const auto rejoined = rejoin(successor); !rejoined) {
      fmt::print(stderr, "cannot be rejoined, is cloned anew: {}\n", one_line(rejoined.error()));
      CHECK_OK(clone(kLost, successor, {"--force"}));
      CHECK_OK(start(kLost));
      CHECK_OK(register_standby(kLost, {"--force"}));
    }
    CHECK_OK(launch_daemon(kLost));
    return await(kLost + " follows again", 60 * kSecond, interrupts_,
                 [&] { return !regions_->takes_writes(kLost) && regions_->followers(successor) == 2; });
  }
  Result<std::set<std::string>> readable(const std::string& successor) override { return regions_->orders(successor); }
  Result<std::set<std::string>> kept() override { return std::set<std::string>{}; }
  fs::path lost_files() const override { return regions_->folder(kLost); }

 private:
  static std::string binary(const std::string& name) { return kBinaries + name; }
  std::string data(const std::string& region) const { return (regions_->folder(region) / "postgres").string(); }
  std::string config(const std::string& region) const { return (regions_->folder(region) / "repmgr.conf").string(); }

  Result<void> configure(const std::string& region, int node, bool is_tuned) {
    const std::string folder = regions_->folder(region).string();
    const Settings more = is_tuned ? tuned(folder) : Settings{};
    Values values{{"NODE", std::to_string(node)},
                  {"NAME", region},
                  {"ADDRESS", regions_->address(region)},
                  {"FOLDER", folder},
                  {"TUNED", more.repmgr}};
    CHECK_OK(regions_->configure(region, "repmgr.conf", "repmgr.conf", values));
    values["TUNED"] = more.postgres;
    return regions_->configure(region, "repmgr-postgresql.conf", "site.conf", values);
  }
  Result<void> start(const std::string& region) {
    return regions_->run_inside(region,
                                {binary("pg_ctl"), "-D", data(region), "-l",
                                 (regions_->folder(region) / "logs" / "postgres.log").string(), "-w", "start"},
                                60 * kSecond);
  }
  Result<void> first_primary() {
    CHECK_OK(regions_->run_inside(kLost,
                                  {binary("initdb"), "-D", data(kLost), "-U", "postgres", "--data-checksums",
                                   "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust"},
                                  60 * kSecond));
    const fs::path folder = data(kLost);
    CHECK_OK(write_file(folder / "postgresql.conf",
                        TRY(read_file(folder / "postgresql.conf")) + "include_if_exists = '../site.conf'\n", 0600));
    CHECK_OK(write_file(folder / "pg_hba.conf",
                        "local all         all                    trust\n"
                        "local replication repmgr                 trust\n"
                        "host  replication repmgr    127.0.0.0/8  trust\n"
                        "host  repmgr      repmgr    127.0.0.0/8  trust\n"
                        "host  app         app       127.0.0.0/8  trust\n",
                        0600));
    for (const char* file : {"postgresql.conf", "pg_hba.conf"}) CHECK_OK(regions_->lab().give(folder / file));
    CHECK_OK(start(kLost));
    auto admin = TRY(regions_->database(kLost, "postgres"));
    for (const char* sql : {"CREATE ROLE repmgr LOGIN SUPERUSER", "CREATE DATABASE repmgr OWNER repmgr",
                            "ALTER ROLE repmgr SET search_path TO repmgr, \"$user\", public", "CREATE ROLE app LOGIN",
                            "CREATE DATABASE app OWNER app"})
      CHECK_OK(admin.exec(sql));
    auto app = TRY(regions_->database(kLost, "app"));
    CHECK_OK(app.exec(fmt::format("SET ROLE app; {}", kOrders)));
    return regions_->run_inside(kLost, {"/usr/bin/repmgr", "-f", config(kLost), "primary", "register"}, 60 * kSecond);
  }
  Result<void> rejoin(const std::string& successor) {
    return regions_->run_inside(
        kLost,
        {"/usr/bin/repmgr", "node", "rejoin", "-f", config(kLost), "-d",
         fmt::format("host={} user=repmgr dbname=repmgr connect_timeout=2", regions_->address(successor)),
         "--force-rewind"},
        180 * kSecond);
  }
  Result<void> clone(const std::string& region, const std::string& from, const std::vector<std::string>& more) {
    std::vector<std::string> argv{
        "/usr/bin/repmgr", "-h", regions_->address(from), "-U",      "repmgr", "-d",
        "repmgr",          "-f", config(region),          "standby", "clone",  "--fast-checkpoint"};
    argv.insert(argv.end(), more.begin(), more.end());
    return regions_->run_inside(region, argv, 120 * kSecond);
  }
  Result<void> register_standby(const std::string& region, const std::vector<std::string>& more) {
    std::vector<std::string> argv{"/usr/bin/repmgr", "-f", config(region), "standby", "register"};
    argv.insert(argv.end(), more.begin(), more.end());
    return regions_->run_inside(region, argv, 60 * kSecond);
  }
  Result<void> standby(const std::string& region) {
    CHECK_OK(clone(region, kLost, {}));
    CHECK_OK(start(region));
    return register_standby(region, {});
  }
  Result<void> launch_daemon(const std::string& region) {
    return regions_->launch(region, "repmgrd", {"/usr/bin/repmgrd", "-f", config(region), "--daemonize=false"});
  }

  std::unique_ptr<Regions> regions_;
  const Interrupts& interrupts_;
};

}  // namespace

Result<std::unique_ptr<Arm>> repmgr(const ArmSpec& spec, bool tuned) {
  auto arm = std::make_unique<Repmgr>(TRY(Regions::up(spec.base, spec.isolation, spec.logs)), spec.interrupts);
  CHECK_OK(arm->bring_up(tuned));
  return arm;
}

}  // namespace domicile::bench::peers
