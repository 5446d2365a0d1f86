#include "arms.hpp"
#include "regions.hpp"

namespace domicile::bench::peers {
namespace {

struct Settings {
  int ttl, loop_wait, retry_timeout;
  std::string check;  // HAProxy's, for each server
};

// Patroni's own defaults, and those of the haproxy.cfg that comes with it. Tuned: the lab's ttl of 5 s by the rule that
// Patroni's documentation gives, loop_wait + 2 * retry_timeout <= ttl.
const Settings kDefaults{30, 10, 10, "inter 3s fall 3 rise 2"};
const Settings kTuned{5, 1, 2, "inter 500ms fall 2 rise 1"};

class Patroni final : public Arm {
 public:
  Patroni(std::unique_ptr<Regions> regions, const Interrupts& interrupts)
      : regions_(std::move(regions)), interrupts_(interrupts) {}

  Result<void> bring_up(const Settings& settings) {
    for (const auto& region : kRegions) CHECK_OK(launch_etcd(region));
    for (const auto& region : kRegions) CHECK_OK(configure(region, settings));
    CHECK_OK(launch(kLost));
    CHECK_OK(
        await("Patroni's first primary", 90 * kSecond, interrupts_, [&] { return regions_->takes_writes(kLost); }));
    for (const auto& region : kRegions)
      if (region != kLost) CHECK_OK(launch(region));
    CHECK_OK(make_database());
    CHECK_OK(await("both replicas of Patroni stream", 120 * kSecond, interrupts_,
                   [&] { return regions_->followers(kLost) == 2; }));
    for (const auto& site : {kOutside, kLost}) {
      CHECK_OK(regions_->configure(site, "haproxy.cfg", "haproxy.cfg", haproxy(settings)));
      CHECK_OK(regions_->launch(site, "haproxy",
                                {"/usr/sbin/haproxy", "-f", (regions_->folder(site) / "haproxy.cfg").string()}));
    }
    regions_->far();
    return {};
  }

  std::string lost() const override { return kLost; }
  Result<std::unique_ptr<Clients>> clients(double per_s, bool inside) override {
    return regions_->clients(inside ? kLost : kOutside,
                             "host=127.0.0.1 port=5000 dbname=app user=app password=app connect_timeout=2", per_s);
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
  Result<void> end_fault(const std::string& kind) override {
    if (kind == "cut") regions_->lab().wan().heal_all();
    if (kind == "pause") return regions_->lab().resume(kLost);
    if (kind == "kill") return regions_->lab().start(kLost);
    return {};
  }
  // Patroni does it itself: pg_rewind, or a new copy.
  Result<void> bring_back(const std::string&, const std::string& successor) override {
    return await(kLost + " follows again", 150 * kSecond, interrupts_,
                 [&] { return !regions_->takes_writes(kLost) && regions_->followers(successor) == 2; });
  }
  Result<std::set<std::string>> readable(const std::string& successor) override { return regions_->orders(successor); }
  Result<std::set<std::string>> kept() override { return std::set<std::string>{}; }
  fs::path lost_files() const override { return regions_->folder(kLost); }

 private:
  // As the lab starts its own, without TLS.
  Result<void> launch_etcd(const std::string& region) {
    std::string cluster;
    for (const auto& member : kRegions)
      cluster += fmt::format("{}{}=http://{}:2380", cluster.empty() ? "" : ",", member, regions_->address(member));
    const std::string peer = fmt::format("http://{}:2380", regions_->address(region));
    const std::string client = fmt::format("http://{}:2379", regions_->address(region));
    return regions_->launch(region, "etcd",
                            {"/usr/bin/etcd",
                             "--name",
                             region,
                             "--data-dir",
                             (regions_->folder(region) / "etcd").string(),
                             "--listen-peer-urls",
                             peer,
                             "--initial-advertise-peer-urls",
                             peer,
                             "--listen-client-urls",
                             client,
                             "--advertise-client-urls",
                             client,
                             "--initial-cluster",
                             cluster,
                             "--initial-cluster-token",
                             "peers",
                             "--heartbeat-interval",
                             "100",
                             "--election-timeout",
                             "1000",
                             "--pre-vote",
                             "--logger",
                             "zap",
                             "--log-level",
                             "warn"});
  }
  Result<void> configure(const std::string& region, const Settings& settings) {
    std::string etcd;
    for (const auto& member : kRegions) etcd += fmt::format("\n  - {}:2379", regions_->address(member));
    return regions_->configure(region, "patroni.yml", "patroni.yml",
                               {{"NAME", region},
                                {"ADDRESS", regions_->address(region)},
                                {"ETCD", etcd},
                                {"FOLDER", regions_->folder(region).string()},
                                {"TTL", std::to_string(settings.ttl)},
                                {"LOOP_WAIT", std::to_string(settings.loop_wait)},
                                {"RETRY_TIMEOUT", std::to_string(settings.retry_timeout)}});
  }
  Result<void> launch(const std::string& region) {
    return regions_->launch(region, "patroni",
                            {"/usr/bin/patroni", (regions_->folder(region) / "patroni.yml").string()});
  }
  Result<void> make_database() {
    auto admin = TRY(regions_->database(kLost, "postgres"));
    CHECK_OK(admin.exec("CREATE ROLE app LOGIN PASSWORD 'app'"));
    CHECK_OK(admin.exec("CREATE DATABASE app OWNER app"));
    auto app = TRY(regions_->database(kLost, "app"));
    CHECK_OK(app.exec(fmt::format("SET ROLE app; {}", kOrders)));
    return {};
  }
  Values haproxy(const Settings& settings) const {
    std::string servers;
    for (const auto& region : kRegions)
      servers += fmt::format("    server {0} {1}:{2} maxconn 100 check port {3}\n", region, regions_->address(region),
                             kPostgresPort, kRestPort);
    return {{"CHECK", settings.check}, {"SERVERS", servers}};
  }

  std::unique_ptr<Regions> regions_;
  const Interrupts& interrupts_;
};

}  // namespace

Result<std::unique_ptr<Arm>> patroni(const ArmSpec& spec, bool tuned) {
  auto arm = std::make_unique<Patroni>(TRY(Regions::up(spec.base, spec.isolation, spec.logs)), spec.interrupts);
  CHECK_OK(arm->bring_up(tuned ? kTuned : kDefaults));
  return arm;
}

}  // namespace domicile::bench::peers
