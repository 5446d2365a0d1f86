#include "agent/agent.hpp"

#include <sys/random.h>

#include <thread>

#include "agent/api.hpp"
#include "agent/break_glass.hpp"
#include "agent/comeback.hpp"
#include "agent/drift_loop.hpp"
#include "agent/gate_loop.hpp"
#include "agent/gateway_loop.hpp"
#include "agent/layers.hpp"
#include "agent/link_loop.hpp"
#include "agent/marker_loop.hpp"
#include "agent/metrics.hpp"
#include "agent/move_loop.hpp"
#include "agent/quorum_repair.hpp"
#include "agent/return_loop.hpp"
#include "agent/standby_loop.hpp"
#include "agent/tenants_loop.hpp"
#include "base/service_manager.hpp"
#include "core/topology/parse.hpp"
#include "engines/etcd/etcd_quorum.hpp"
#include "engines/etcd/status.hpp"
#include "engines/postgres/store/standbys.hpp"
#include "engines/postgres/tenants.hpp"

namespace domicile::agent {

namespace {

// A beat has its own deadlines; without any for so long its loop hangs.
constexpr Micros kBeatSilence = 10 * kSecond;
// Every question that the other loops ask has a deadline of seconds, but one pass asks many: this lies above their sum.
constexpr Micros kSilence = 120 * kSecond;
// These two read much at once, and nothing waits for them.
constexpr Micros kLongSilence = 900 * kSecond;

std::string boot_id() {
  std::uint64_t bits[2] = {};
  if (::getrandom(bits, sizeof bits, 0) != sizeof bits) bits[0] = static_cast<std::uint64_t>(wall_now());
  return fmt::format("{:016x}{:016x}", bits[0], bits[1]);
}

authority::Timing timing_of(const topology::Lease& lease) {
  return {lease.ttl, lease.beat, lease.margin, lease.patience};
}

authority::Rules rules_of(const topology::Residency& residency) {
  authority::Rules rules{residency.name,
                         residency.home,
                         {},
                         residency.rpo,
                         residency.failover == topology::Failover::automatic,
                         residency.calm,
                         residency.without_standby == topology::WithoutStandby::go_on};
  if (residency.failback == topology::Failback::automatic) rules.failback = residency.quiet;
  for (const auto& standby : residency.standby) rules.standbys.push_back(standby);
  return rules;
}

etcd::Access access_of(const AgentConfig& config) {
  return {config.etcd.endpoints, config.etcd.tls, config.etcd.user, config.etcd.password_file};
}

std::function<std::unique_ptr<authority::Quorum>()> quorum_factory(const AgentConfig& config) {
  return [access = access_of(config)] { return std::make_unique<etcd::EtcdQuorum>(access); };
}

// The directory as the database here holds it, read only when it has changed.
ReadDirectory directory_reader(const postgres::StoreSettings& settings) {
  auto connection = std::make_shared<std::optional<postgres::Connection>>();
  return [settings, connection](const std::string& known) -> Result<std::optional<Directory>> {
    if (!*connection || !(*connection)->alive()) {
      *connection = TRY(postgres::open_session(settings, "domicile-directory"));
      // The bound of a session's statements is too short for a million tenants, and nobody waits for these.
      CHECK_OK((*connection)->exec("SET statement_timeout = '10min'"));
    }
    if (!known.empty() && TRY(postgres::directory_version(**connection)) == known) return std::optional<Directory>();
    Directory directory;
    directory.version = TRY(postgres::read_directory(
        **connection, [&](std::string_view host, std::string_view tenant, std::string_view residency) -> Result<void> {
          directory.hosts.push_back({std::string(host), std::string(tenant), std::string(residency)});
          return {};
        }));
    return std::optional(std::move(directory));
  };
}

// What the quorum says about itself, for `status` and `plan`: {leader, db_bytes, quota_bytes, alarms, members, own};
// what is unknown is left out. `own`: the site's own member, which is the first endpoint.
Json quorum_json(const etcd::Status& status) {
  Json json{{"leader", status.leader()}, {"available", status.available()}, {"alarms", Json::array()}};
  for (const auto& alarm : status.alarms) json["alarms"].push_back(alarm.kind);
  if (!status.problem) {
    json["members"] = Json::array();
    for (const auto& member : status.members) json["members"].push_back(member.name);
  }
  if (!status.endpoints.empty()) {
    const auto& own = status.endpoints.front();
    json["own"] = {{"endpoint", own.endpoint}, {"problem", own.problem}, {"healthy", own.healthy}};
    for (const auto& member : status.members)
      if (member.id == own.member_id && own.problem.empty()) json["own"]["name"] = member.name;
  }
  for (const auto& endpoint : status.endpoints) {
    if (!endpoint.problem.empty()) continue;
    json["db_bytes"] = std::max<std::int64_t>(json.value("db_bytes", std::int64_t{0}), endpoint.db_bytes);
    if (endpoint.quota_bytes) json["quota_bytes"] = *endpoint.quota_bytes;
  }
  return json;
}

// Everything that lives as long as the daemon, in the order in which it is made; ended in the opposite one.
class Daemon {
 public:
  Daemon(const AgentConfig& config, topology::Topology topology, std::string version, std::unique_ptr<SiteDisk> disk)
      : config_(config),
        topology_(std::make_shared<const topology::Topology>(std::move(topology))),
        version_(std::move(version)),
        log_(2, config.log, Level::info, config.region),
        disk_(std::move(disk)),
        peers_(config_, *disk_),
        events_(log_),
        denials_(config.state / "denials", log_),
        stall_(config.stall_directory),
        store_{config.region, config.database, {}, topology_},
        make_quorum_(quorum_factory(config)),
        quorum_(make_quorum_()),
        beat_(beat_setup(), changes_) {
    for (const auto& [site, settings] : config.sites)
      if (!settings.link.empty()) store_.peers[site] = settings.link;
    if (!config.database.empty()) make_loops();
    gather_lives();
  }

  Result<void> run(const std::stop_token& stop) {
    Api api(api_setup());
    const auto answer = [&api](const HttpCall& call) { return api.answer(call); };
    HttpListen local;
    local.unix_socket = config_.api.socket;
    auto on_socket = TRY(HttpServer::start(local, answer));
    HttpListen remote{config_.api.host, config_.api.port, "", config_.api.tls, 24};
    remote.idle_s =
        120;  // between continents a new TLS connection costs a quarter of a second, in the middle of a switch
    auto on_port = TRY(HttpServer::start(remote, answer));
    log_.info("agent.start", "running", {{Field::detail, version_}});
    {
      std::jthread beat([this](const std::stop_token& s) { beat_.run(s); });
      std::vector<std::jthread> loops;
      loops.emplace_back([this](const std::stop_token& s) { watch_quorum(s); });
      if (markers_) loops.emplace_back([this](const std::stop_token& s) { markers_->run(s); });
      if (links_) loops.emplace_back([this](const std::stop_token& s) { links_->run(s); });
      if (standbys_) loops.emplace_back([this](const std::stop_token& s) { standbys_->run(s); });
      if (drift_) loops.emplace_back([this](const std::stop_token& s) { drift_->run(s); });
      if (gate_) loops.emplace_back([this](const std::stop_token& s) { gate_->run(s); });
      if (gateway_) loops.emplace_back([this](const std::stop_token& s) { gateway_->run(s); });
      if (tenants_) loops.emplace_back([this](const std::stop_token& s) { tenants_->run(s); });
      if (moves_) loops.emplace_back([this](const std::stop_token& s) { moves_->run(s); });
      if (return_) loops.emplace_back([this](const std::stop_token& s) { return_->run(s); });
      for (auto& [name, loop] : residencies_)
        loops.emplace_back([&loop = *loop](const std::stop_token& s) { loop.run(s); });
      wait(stop);
      for (auto& loop : loops) loop.request_stop();
      changes_.ring();
      loops.clear();  // before the beat loop: they may wait for a ride
      beat.request_stop();
      beat_.look_now();
    }
    log_.info("agent.stop", "stopped");
    return {};
  }

 private:
  // Until the stop. systemd's watchdog is fed only while every loop lives: an agent without one must be started again.
  void wait(const std::stop_token& stop) {
    notify_service_manager("READY=1");
    const Micros period = std::min(watchdog_interval().value_or(2 * kSecond) / 2, kSecond);
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, stop, std::chrono::microseconds(period), [] { return false; }) &&
           !stop.stop_requested())
      if (lives_.hung(monotonic_now()).empty()) notify_service_manager("WATCHDOG=1");
    notify_service_manager("STOPPING=1");
  }

  // Members that hang are waited for, so this is nobody else's thread.
  void watch_quorum(const std::stop_token& stop) {
    etcd::EtcdQuorum quorum(access_of(config_));
    std::mutex mutex;
    std::condition_variable_any changed;
    while (!stop.stop_requested()) {
      quorum_status_.set(quorum_json(etcd::status(quorum.client())));
      std::unique_lock lock(mutex);
      changed.wait_for(lock, stop, std::chrono::seconds(5), [] { return false; });
    }
  }

  replication::StoreFactory store_factory() {
    if (config_.database.empty()) return {};
    return [this] { return postgres::make_store(store_); };
  }

  std::map<std::string, ResidencyLoop*> residency_loops() const {
    std::map<std::string, ResidencyLoop*> loops;
    for (const auto& [name, loop] : residencies_) loops[name] = loop.get();
    return loops;
  }

  BeatSetup beat_setup() {
    BeatSetup setup;
    setup.region = config_.region;
    setup.boot_id = boot_id();
    for (const auto& site : topology::sites_of(*topology_)) setup.regions.push_back(site);
    setup.timing = timing_of(topology_->lease);
    setup.quorum = quorum_.get();
    setup.make_store = store_factory();
    setup.disk = disk_.get();
    setup.markers = &last_markers_;
    setup.log = log_;
    setup.stall = stall_;
    return setup;
  }

  void make_loops() {
    const auto make_store = store_factory();
    markers_ = std::make_unique<MarkerLoop>(config_.region, make_store(), beat_.seen(), last_markers_, log_, changes_);
    exports_ = std::make_unique<FirstRowsExports>(store_, GateClient(config_.gate_socket.string()), log_);
    // Loops refer to each other's boards, so those that read many are made last.
    for (const auto& residency : topology_->residencies)
      residencies_.emplace(residency.name,
                           std::make_unique<ResidencyLoop>(residency_setup(residency, make_store()), changes_));
    for (const auto& [name, loop] : residencies_) residency_boards_[name] = &loop->seen();
    StandbySetup standbys{config_.region, topology_.get()};
    standbys.grace = topology_->lease.ttl;
    standbys.standbys = postgres::make_standbys(store_);
    for (const auto& residency : topology_->residencies)
      if (topology::may_own(residency, config_.region)) standbys.rules.emplace(residency.name, rules_of(residency));
    standbys.residencies = residency_boards_;
    standbys.events = &events_;
    standbys.log = log_;
    standbys_ = std::make_unique<StandbyLoop>(std::move(standbys), standbys_seen_, changes_);
    drift_ =
        std::make_unique<DriftLoop>(DriftSetup{config_.region, config_.drift_period, topology_.get(), store_,
                                               make_store, disk_.get(), &peers_, residency_boards_, &events_, log_},
                                    drift_seen_);
    links_ = std::make_unique<LinkLoop>(LinkSetup{config_.region, topology_.get(), make_store(), make_store(),
                                                  disk_.get(), &beat_.seen(), residency_boards_, &drift_seen_, log_},
                                        copies_);
    if (!config_.gate_socket.empty())
      gate_ = std::make_unique<GateLoop>(
          GateSetup{config_.region, config_.gate_socket.string(), residency::policy_hash(*topology_), residency_boards_,
                    make_store(), log_},
          gate_seen_);
    MovesSetup moves{&config_, topology_.get(), store_, residency_boards_, &moves_seen_};
    if (config_.gateway) moves.gateway = &gateway_seen_, moves.tenants = &tenants_seen_;
    moves.events = &events_;
    moves.log = log_;
    moves.stall = stall_;
    move_calls_ = std::make_unique<MoveCalls>(std::move(moves));
    salvage_calls_ =
        std::make_unique<SalvageCalls>(SalvageSetup{&config_, store_, residency_boards_, &peers_, &events_, log_});
    moves_ = std::make_unique<MoveLoop>(*move_calls_, stall_, moves_seen_);
    return_ =
        std::make_unique<ReturnLoop>(ReturnSetup{config_.region, topology_, residency_loops(), salvage_calls_.get(),
                                                 PrecheckSetup{config_.region, &peers_, store_factory()}, log_},
                                     ways_home_);
    if (!config_.gateway) return;
    gateway_ = std::make_unique<GatewayLoop>(
        GatewaySetup{config_.region, residency::policy_hash(*topology_), config_.gateway->directory, topology_.get(),
                     &config_.sites, &beat_.seen(), residency_boards_, log_, &moves_seen_},
        gateway_seen_, changes_);
    tenants_ = std::make_unique<TenantsLoop>(TenantsSetup{config_.gateway->directory, directory_reader(store_), log_},
                                             tenants_seen_);
  }

  void gather_lives() {
    lives_.add("beat", beat_.life(), kBeatSilence);
    for (const auto& [name, loop] : residencies_) lives_.add("residency", loop->life(), kSilence);
    if (markers_) lives_.add("marker", markers_->life(), kSilence);
    if (links_) lives_.add("link", links_->life(), kSilence);
    if (standbys_) lives_.add("standby", standbys_->life(), kSilence);
    if (drift_) lives_.add("drift", drift_->life(), kLongSilence);
    if (gate_) lives_.add("gate", gate_->life(), kSilence);
    if (gateway_) lives_.add("gateway", gateway_->life(), kSilence);
    if (tenants_) lives_.add("tenants", tenants_->life(), kLongSilence);
    if (moves_) lives_.add("moves", moves_->life(), kSilence);
    if (return_) lives_.add("return", return_->life(), kLongSilence);
  }

  ResidencySetup residency_setup(const topology::Residency& residency, std::unique_ptr<replication::Store> store) {
    ResidencySetup setup;
    setup.region = config_.region;
    setup.timing = timing_of(topology_->lease);
    setup.rules = rules_of(residency);
    setup.receives = topology::form_at(*topology_, residency, config_.region) != topology::Form::none;
    setup.config = &config_;
    setup.quorum = make_quorum_();
    setup.store = std::move(store);
    setup.disk = disk_.get();
    setup.peers = &peers_;
    setup.beat = &beat_;
    setup.bell = &changes_;
    setup.markers = &markers_->seen();
    setup.copies = &copies_;
    setup.gateway = &gateway_seen_;
    setup.standbys = &standbys_seen_;
    setup.come_back = [this](const std::string& name, const authority::Copy& copy, const authority::Record& record,
                             const std::stop_token&) {
      return Comeback({&config_, store_, &peers_, &events_, log_, stall_}).run(name, copy, record);
    };
    setup.bring_first_rows = [this](const replication::LinkName& inbound, const std::stop_token&) {
      return bring_first_rows(config_, store_, inbound, log_);
    };
    if (!config_.gate_socket.empty())
      setup.stop_links = [this, name = std::string(residency.name)](const std::string& lsn) -> Result<void> {
        const GateClient gate(config_.gate_socket.string());
        for (const auto& link : residency::links_of(*topology_))
          if (link.residency == name && link.from == config_.region) CHECK_OK(gate.stop(residency::name_of(link), lsn));
        return {};
      };
    setup.events = &events_;
    setup.log = log_;
    setup.stall = stall_;
    return setup;
  }

  ApiSetup api_setup() {
    ApiSetup setup;
    setup.config = &config_;
    setup.topology = topology_.get();
    setup.policy_hash = residency::policy_hash(*topology_);
    setup.version = version_;
    setup.disk = disk_.get();
    setup.peers = &peers_;
    setup.beat = &beat_;
    setup.events = &events_;
    setup.denials = &denials_;
    setup.lives = &lives_;
    setup.residencies = residency_loops();
    if (return_) setup.ways_home = &ways_home_;
    if (markers_) setup.markers = &markers_->seen();
    if (links_) setup.copies = &copies_;
    if (standbys_) setup.standbys = &standbys_seen_;
    if (drift_) setup.drift = &drift_seen_;
    setup.make_store = store_factory();
    if (gateway_) setup.gateway = &gateway_seen_;
    if (gate_) setup.gate = &gate_seen_;
    setup.exports = exports_.get();
    setup.moves = move_calls_.get();
    setup.salvage = salvage_calls_.get();
    if (moves_) setup.move_troubles = [this] { return moves_->troubles(); };
    setup.adopt = [this](const std::string& body, const std::string& who) -> Result<Json> {
      const AdoptBody question = TRY(adopt_body(body));
      RepairSetup repair{&config_, {}, make_quorum_, &peers_, disk_.get()};
      for (const auto& residency : topology_->residencies) repair.rules.push_back(rules_of(residency));
      if (links_) repair.copies = &copies_;
      repair.beat = &beat_;
      repair.events = &events_;
      return adopt_quorum(repair, question, who);
    };
    setup.break_glass = [this](const std::string& body, const std::string& who) -> Result<Json> {
      const GlassBody question = TRY(glass_body(body));
      GlassSetup glass{&config_, topology_.get(), &peers_, {}};
      if (!config_.database.empty()) glass.residencies = residency_loops();
      return break_glass(glass, question, who);
    };
    setup.quorum_status = [this] { return *quorum_status_.get(); };
    setup.layers = [this] { return layers_.tell(*quorum_status_.get()); };
    setup.gateway_layer = [this] { return gateway_layer(config_, *topology_); };
    setup.metrics = [this] {
      MetricsInput input{config_.region, topology_.get(), &beat_.seen()};
      if (markers_) input.markers = &markers_->seen();
      if (links_) input.copies = &copies_;
      if (standbys_) input.standbys = &standbys_seen_;
      if (drift_) input.drift = &drift_seen_;
      if (gate_) input.gate = &gate_seen_;
      for (const auto& [name, loop] : residencies_) input.residencies[name] = &loop->seen();
      if (config_.gateway) input.edge_state = config_.gateway->directory / "edge.state";
      return render_metrics(input);
    };
    return setup;
  }

  const AgentConfig& config_;
  std::shared_ptr<const topology::Topology> topology_;
  std::string version_;
  Log log_;
  std::unique_ptr<SiteDisk> disk_;
  Peers peers_;
  Events events_;
  Denials denials_;
  StallPoints stall_;
  postgres::StoreSettings store_;
  std::function<std::unique_ptr<authority::Quorum>()> make_quorum_;
  std::unique_ptr<authority::Quorum> quorum_;
  Bell changes_;  // any published value has changed
  Published<std::map<std::string, authority::Marker>> last_markers_;
  Published<Json> quorum_status_;
  Published<CopiesSeen> copies_{&changes_};
  Published<DriftSeen> drift_seen_;
  Published<StandbysSeen> standbys_seen_{&changes_};
  Published<GatewaySeen> gateway_seen_{&changes_};
  Published<GateSeen> gate_seen_;
  Published<MovesSeen> moves_seen_{&changes_};
  Published<TenantsSeen> tenants_seen_;
  BeatLoop beat_;
  std::unique_ptr<MarkerLoop> markers_;
  std::unique_ptr<FirstRowsExports> exports_;
  std::map<std::string, std::unique_ptr<ResidencyLoop>> residencies_;
  std::map<std::string, const Published<ResidencySeen>*> residency_boards_;
  std::unique_ptr<LinkLoop> links_;
  std::unique_ptr<StandbyLoop> standbys_;
  std::unique_ptr<DriftLoop> drift_;
  std::unique_ptr<GateLoop> gate_;
  std::unique_ptr<GatewayLoop> gateway_;
  std::unique_ptr<TenantsLoop> tenants_;
  std::unique_ptr<MoveCalls> move_calls_;
  std::unique_ptr<SalvageCalls> salvage_calls_;
  std::unique_ptr<MoveLoop> moves_;
  Published<std::map<std::string, std::string>> ways_home_;
  std::unique_ptr<ReturnLoop> return_;
  LoopLives lives_;
  Layers layers_{config_, *topology_, access_of(config_)};
};

}  // namespace

Result<void> run_agent(const AgentConfig& config, const std::string& version, const std::stop_token& stop) {
  auto topology = TRY(topology::load(TRY(read_file(config.topology)), config.topology.string()));
  CHECK_OK(check_fits(config, topology));
  auto disk = TRY(SiteDisk::open(config.state));
  Daemon daemon(config, std::move(topology), version, std::move(disk));
  return daemon.run(stop);
}

}  // namespace domicile::agent
