#include "agents_fixture.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <thread>

#include "base/json.hpp"
#include "engines/postgres/tenants.hpp"
#include "free_ports.hpp"
#include "lab/processes.hpp"

namespace domicile::test {

const char* const kShortTimes = R"(domicile: 1
lease: {ttl: 4s, beat: 500ms, margin: 300ms, patience: 4s}
regions:
  us-east-1:    {jurisdiction: US}
  eu-central-1: {jurisdiction: EU}
  eu-west-1:    {jurisdiction: EU}
residencies:
  directory: {home: us-east-1, standby: [eu-central-1, eu-west-1], holds: {US: full, EU: full}, calm: 0s}
  us: {home: us-east-1,    standby: [eu-central-1, eu-west-1], holds: {US: full, EU: full}, calm: 0s}
  eu: {home: eu-central-1, standby: [eu-west-1], holds: {EU: full, US: reduced}, calm: 0s}
data:
  app.orders:
    personal: [customer_name]
    shared: [id]
)";

std::string one_standby() {
  const std::string two = "standby: [eu-central-1, eu-west-1]", one = "standby: [eu-central-1]";
  std::string topology = kShortTimes;
  for (auto at = topology.find(two); at != std::string::npos; at = topology.find(two))
    topology.replace(at, two.size(), one);
  return topology;
}

namespace {

// `number` grows from 1 in a process, so a row says which write made it.
const char* const kSchema = R"sql(
create role app_owner nologin;
create role app login;
create schema app authorization app_owner;
set role app_owner;
create table app.orders (id bigint not null, residency text not null, tenant_id text not null, customer_name text,
  primary key (residency, id));
alter table app.orders replica identity using index orders_pkey;
grant usage on schema app to app;
grant select, insert, update, delete on app.orders to app;
reset role;
)sql";

// From outside by certificate only; the region's own programs over the Unix socket.
const char* const kHba =
    "local   all all              trust\n"
    "hostssl all all 127.0.0.1/32 cert\n";

std::string link_role(const std::string& region) {
  std::string role = "domicile_link_" + region;
  std::ranges::replace(role, '-', '_');
  return role;
}

bool ends_with_us() { return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0; }

}  // namespace

const std::vector<std::string>& Regions::all() {
  static const std::vector<std::string> regions{kUs, kEu, kWest};
  return regions;
}

Regions::Regions(RegionsOptions options) : options_(std::move(options)), etcd_(std::make_unique<EtcdCluster>(all())) {
  if (options_.topology.empty()) options_.topology = kShortTimes;
  must(write_file(dir_.path() / "topology.yaml", options_.topology));
  const auto ports = free_ports(3 * all().size());
  for (std::size_t i = 0; i < all().size(); ++i) {
    Site& site = sites_[all()[i]];
    site.name = all()[i];
    site.api_port = ports[3 * i];
    site.database_port = ports[3 * i + 1];
    site.gate_port = ports[3 * i + 2];
    site.folder = dir_.path() / site.name;
    for (const char* part : {"", "state", "stall"}) must(make_directories(site.folder / part, 0700));
    must(etcd_->authority().issue(site.folder / "link", {link_role(site.name), {}, {}}));
  }
  make_databases();
  if (options_.before_apply) options_.before_apply(*this);
  std::string connections;
  for (const auto& [name, site] : sites_) connections += fmt::format("{}: \"{}\"\n", name, site.database->conninfo());
  must(write_file(dir_.path() / "connections.yaml", connections, 0600));
  const auto applied = cli({"apply", "--yes", "--guard", options_.guard});
  if (applied.exit_code != 0) must(Result<void>(fail(Kind::failed, applied.out + applied.err)));
  for (const auto& [tenant, residency] : {std::pair{"us-1", "us"}, {"eu-1", "eu"}}) {
    const auto added = cli({"tenant", "add", tenant, std::string(tenant) + ".example", "--residency", residency});
    if (added.exit_code != 0) must(Result<void>(fail(Kind::failed, added.out + added.err)));
  }
  if (options_.asks_directory)
    for (auto& [name, site] : sites_)
      must(site.database->connect().exec(
          "GRANT USAGE ON SCHEMA domicile TO app; GRANT SELECT ON domicile.tenant TO app"));
  quorum_.emplace(etcd_->access("root"));
  if (options_.before_agents) options_.before_agents(*this);
  if (options_.gateways)
    for (auto& [name, site] : sites_) make_gateway(site);
  for (auto& [name, site] : sites_) {
    const std::string own = (etcd_->directory() / name).string();
    site.gate = std::make_unique<SiteGate>(SiteGatePlace{
        name, dir_.path() / "topology.yaml", site.folder, site.gate_port, (etcd_->directory() / "ca.pem").string(),
        own + ".pem", own + ".key", site.database->conninfo("domicile_gate")});
    site.gate->start();
  }
  for (const auto& name : all()) {
    write_settings(sites_.at(name));
    start_agent(name);
    if (options_.gateways) gateway(name).start();
  }
  for (const auto& [residency, home] :
       {std::pair<std::string, std::string>{"directory", kUs}, {"us", kUs}, {"eu", kEu}})
    if (!serves(residency, home, 0, 60 * kSecond))
      must(Result<void>(fail(Kind::failed, residency + " is not served\n" + agent_log(home))));
  if (options_.copies && !settled(60 * kSecond))
    must(Result<void>(fail(Kind::failed, "the copies do not follow\n" + agent_log(kEu) + agent_log(kWest))));
}

Regions::~Regions() {
  for (auto& [name, site] : sites_) {
    if (site.agent) site.agent->signal(SIGKILL);
    if (site.database) signal_database(name, SIGCONT);
  }
}

// One initdb after the other would take most of the time that this fixture takes; the servers are started here, since
// they end with the thread that started them.
void Regions::make_databases() {
  std::vector<std::jthread> threads;
  for (auto& [name, site] : sites_) {
    PostgresOptions options;
    if (const auto own = options_.databases.find(name); own != options_.databases.end()) options = own->second;
    for (const char* setting :
         {"ssl=on", "ssl_ca_file=../ca.pem", "ssl_cert_file=../site.pem", "ssl_key_file=../site.key",
          "wal_level=logical", "max_wal_senders=20", "max_replication_slots=20", "max_logical_replication_workers=12",
          "max_worker_processes=20", "max_connections=80", "deadlock_timeout=50ms", "wal_receiver_timeout=3s",
          "wal_sender_timeout=3s", "wal_retrieve_retry_interval=200ms", "shared_buffers=16MB"})
      options.settings.insert(options.settings.begin(), setting);
    if (options_.guard == "c") options.libraries.emplace_back(DOMICILE_GUARD_LIBRARY);
    options.started = false;
    options.port = site.database_port;
    options.hba = kHba;
    const fs::path& certificates = etcd_->directory();
    options.secrets = {{"ca.pem", certificates / "ca.pem"},
                       {"site.pem", certificates / (name + ".pem")},
                       {"site.key", certificates / (name + ".key")},
                       {"link.pem", site.folder / "link.pem"},
                       {"link.key", site.folder / "link.key"}};
    threads.emplace_back(
        [&database = site.database, options] { database = std::make_unique<PostgresCluster>(options); });
  }
  threads.clear();
  for (auto& [name, site] : sites_) {
    site.database->start();
    must(site.database->connect().exec(kSchema));
  }
}

void Regions::make_gateway(Site& site) {
  SiteGatewayPlace place{.region = site.name, .folder = site.folder / "edge"};
  place.full_residencies = site.name == kUs ? std::vector<std::string>{"us"} : std::vector<std::string>{"us", "eu"};
  // A tenant that moves takes its host along.
  if (options_.asks_directory) place.hosts = {SiteGateway::host_of("us"), SiteGateway::host_of("eu")};
  place.listen = free_port();
  place.tunnel = site.tunnel_port = free_port();
  place.forward = site.forward_port = free_port();
  must(make_directories(place.folder, 0755));
  for (const auto& folder : {dir_.path(), site.folder}) fs::permissions(folder, fs::perms(0755));  // nginx's workers
  site.gateway = std::make_unique<SiteGateway>(
      etcd_->authority(), etcd_->directory() / "ca.pem", place,
      [this, name = site.name](const std::string& residency, std::int64_t row) { return write(name, residency, row); });
}

void Regions::write_settings(const Site& site) {
  const auto access = etcd_->access(site.name);
  const std::string ca = access.tls.ca;
  std::string endpoints;
  for (const auto& endpoint : access.endpoints) endpoints += (endpoints.empty() ? "" : ", ") + endpoint;
  const std::string certificate = (etcd_->directory() / site.name).string();
  std::string yaml = fmt::format(
      "region: {}\ntopology: {}\nstate: {}\ndatabase: \"{}\"\ngate: {{socket: {}}}\n"
      "etcd: {{endpoints: [{}], user: {}, password_file: {}, ca: {}, certificate: {}, key: {}}}\n"
      "api:\n  listen: 127.0.0.1:{}\n  socket: {}\n  ca: {}\n  certificate: {}.pem\n  key: {}.key\n"
      "stall_directory: {}\ndrift_period: {}\n{}sites:\n",
      site.name, (dir_.path() / "topology.yaml").string(), (site.folder / "state").string(),
      site.database->conninfo("domicile_agent"), site.gate->socket(), endpoints, access.user, access.password_file, ca,
      access.tls.certificate, access.tls.key, site.api_port, socket(site.name).string(), ca, certificate, certificate,
      (site.folder / "stall").string(), options_.drift_period,
      site.gateway ? fmt::format("gateway: {{directory: {}}}\n", site.gateway->directory().string()) : "");
  for (const auto& [name, other] : sites_) {
    if (name == site.name) continue;
    const fs::path own = site.database->folder();
    yaml += fmt::format(
        "  {}:\n    api: https://127.0.0.1:{}\n    link: \"host=127.0.0.1 port={} dbname=postgres user={} "
        "sslmode=verify-full sslrootcert={} sslcert={} sslkey={} connect_timeout=3\"\n",
        name, other.api_port, other.gate_port, link_role(site.name), (own / "ca.pem").string(),
        (own / "link.pem").string(), (own / "link.key").string());
    if (other.gateway)
      yaml +=
          fmt::format("    tunnel: 127.0.0.1:{}\n    forward: 127.0.0.1:{}\n", other.tunnel_port, other.forward_port);
  }
  must(write_file(site.folder / "agent.yaml", yaml));
}

void Regions::start_agent(const std::string& region) {
  Site& site = sites_.at(region);
  Command command{{DOMICILE_BINARY, "agent", "--config", (site.folder / "agent.yaml").string()}};
  if (const auto env = options_.agent_env.find(region); env != options_.agent_env.end()) command.env = env->second;
  command.output = (site.folder / "agent.log").string();
  command.in_child = ends_with_us;
  site.agent.reset();
  site.agent.emplace(must(Process::start(command)));
}

void Regions::kill_agent(const std::string& region) {
  auto& agent = sites_.at(region).agent;
  if (!agent) return;
  agent->signal(SIGKILL);
  agent->wait();
}

void Regions::stop_agent(const std::string& region) { sites_.at(region).agent->stop(10 * kSecond); }
void Regions::pause_agent(const std::string& region) { sites_.at(region).agent->signal(SIGSTOP); }
void Regions::resume_agent(const std::string& region) { sites_.at(region).agent->signal(SIGCONT); }

bool Regions::agent_runs(const std::string& region) {
  auto& agent = sites_.at(region).agent;
  return agent && agent->running();
}

std::string Regions::agent_log(const std::string& region) const {
  return read_file(sites_.at(region).folder / "agent.log").value_or("");
}

std::string Regions::told() {
  constexpr std::size_t kEnd = 6'000;
  std::string out;
  for (const auto& region : all()) {
    out += "\n--- " + region + "\n";
    for (const char* residency : {"directory", "us", "eu"}) out += dump(status(region, residency)) + "\n";
    const auto log = agent_log(region);
    out += log.size() > kEnd ? log.substr(log.size() - kEnd) : log;
  }
  return out;
}

void Regions::signal_database(const std::string& region, int number) {
  const pid_t postmaster = database(region).pid();
  if (postmaster <= 0) return;
  // The postmaster first: it could start another child in between.
  for (const pid_t pid : lab::descendants_of({postmaster})) ::kill(pid, number);
}

void Regions::kill_database(const std::string& region) {
  signal_database(region, SIGKILL);
  database(region).kill();
}

void Regions::kill_region(const std::string& region) {
  sites_.at(region).agent->signal(SIGKILL);
  gate(region).kill();
  if (sites_.at(region).gateway) gateway(region).signal(SIGKILL);
  signal_database(region, SIGKILL);
  etcd_->kill(region);
  database(region).kill();
  sites_.at(region).agent->wait();
}

void Regions::pause_region(const std::string& region) {
  pause_agent(region);
  gate(region).signal(SIGSTOP);
  if (sites_.at(region).gateway) gateway(region).signal(SIGSTOP);
  pause_database(region);
  etcd_->pause(region);
}

void Regions::resume_region(const std::string& region) {
  etcd_->resume(region);
  resume_database(region);
  gate(region).signal(SIGCONT);
  if (sites_.at(region).gateway) gateway(region).signal(SIGCONT);
  resume_agent(region);
}

void Regions::start_region(const std::string& region) {
  etcd_->start(region);
  database(region).start();
  gate(region).start();
  start_agent(region);
  if (sites_.at(region).gateway) gateway(region).start();
}

void Regions::make_anew(const std::string& region) {
  fs::remove_all(state_folder(region));
  must(make_directories(state_folder(region), 0700));
  database(region).make_anew();
  database(region).start();
  must(database(region).connect().exec(kSchema));
}

void Regions::touch(const std::string& region, const std::string& file) {
  must(write_file(sites_.at(region).folder / "stall" / file, ""));
}

bool Regions::reached(const std::string& region, const std::string& point, Micros timeout) {
  const fs::path file = sites_.at(region).folder / "stall" / (point + ".reached");
  return eventually([&] { return fs::exists(file); }, timeout);
}

bool Regions::standing(const std::string& region, const std::string& point) const {
  return fs::exists(sites_.at(region).folder / "stall" / (point + ".kill"));
}

void Regions::let_go(const std::string& region, const std::string& point) {
  const fs::path folder = sites_.at(region).folder / "stall";
  fs::remove(folder / (point + ".stop"));
  fs::remove(folder / (point + ".reached"));
}

void Regions::forget_stalls() {
  for (const auto& [name, site] : sites_)
    for (const auto& entry : fs::directory_iterator(site.folder / "stall")) fs::remove(entry.path());
}

Json Regions::get(const std::string& region, const std::string& path) {
  HttpClient client({}, socket(region).string());
  const auto response = client.send({"GET", "http://agent" + path, {}, "", 2 * kSecond});
  if (!response || response->status != 200) return {};
  return parse_json(response->body, "the answer").value_or(Json());
}

Result<Json> Regions::post(const std::string& region, const std::string& path, const Json& body) {
  HttpClient client({}, socket(region).string());
  const auto response = TRY(client.send({"POST", "http://agent" + path, {}, dump(body), 10 * kSecond}));
  auto json = TRY(parse_json(response.body, "the answer"));
  if (response.status >= 400)
    return fail(Kind::failed,
                fmt::format("{} {}", response.status, member_or<std::string>(json, "what", "").value_or("")));
  return json;
}

Json Regions::status(const std::string& region, const std::string& residency) {
  const Json all = get(region, "/v1/status");
  if (!all.is_object()) return Json::object();
  for (const auto& one : all["residencies"])
    if (one["residency"] == residency) return one;
  return Json::object();
}

Outcome Regions::cli(std::vector<std::string> words, Micros timeout) {
  words.insert(words.begin(), DOMICILE_BINARY);
  Command command{std::move(words)};
  command.directory = dir_.path().string();
  auto outcome = run(command, timeout);
  if (!outcome) return {-1, "", one_line(outcome.error())};
  return *std::move(outcome);
}

Result<Json> Regions::order_switch(const std::string& residency, const std::string& to) {
  const std::string owner = record(residency).owner;
  return post(owner.empty() ? to : owner, "/v1/switch", {{"residency", residency}, {"to", to}, {"reason", "a story"}});
}

authority::Record Regions::record(const std::string& residency) {
  const auto view = quorum_->read();
  if (!view) return {};
  const auto stored = view->authorities.find(residency);
  return stored == view->authorities.end() ? authority::Record{} : stored->second.value;
}

std::int64_t Regions::beats(const std::string& region) {
  const auto view = quorum_->read();
  if (!view || !view->beats.contains(region)) return -1;
  return view->beats.at(region).value.counter;
}

bool Regions::passes_on(const std::string& region, int count, Micros timeout) {
  const auto passes = [&] {
    const Json status = get(region, "/v1/status");
    return status.is_object() ? status.value("passes", Json::object()) : Json::object();
  };
  Json begun;
  return eventually(
      [&] {
        const Json now = passes();
        if (now.empty()) return false;
        if (begun.empty()) begun = now;
        for (const auto& [loop, count_then] : begun.items())
          if (now.value(loop, std::int64_t{0}) < count_then.get<std::int64_t>() + count) return false;
        return true;
      },
      timeout, 50 * kMillisecond);
}

bool Regions::serves(const std::string& residency, const std::string& owner, authority::Epoch epoch, Micros timeout) {
  return eventually(
      [&] {
        const Json seen = status(owner, residency);
        return seen.is_object() && seen.value("owner", "") == owner && seen.value("mode", "") == "serving" &&
               seen.value("epoch", authority::Epoch{0}) >= epoch && seen["lease_ms"].is_number() &&
               guard(owner, residency).lease_runs;
      },
      timeout, 50 * kMillisecond);
}

std::string Regions::copy_state(const std::string& region, const std::string& residency) {
  const Json seen = status(region, residency);
  return seen.is_object() && seen.contains("copy") ? seen["copy"].value("state", "") : "";
}

bool Regions::settled(Micros timeout) {
  return eventually(
      [&] {
        for (const auto& region : all())
          for (const char* residency : {"directory", "us", "eu"}) {
            const Json seen = status(region, residency);
            if (!seen.is_object() || seen.value("mode", "") != "serving") return false;
            if (seen.value("owner", "") == region || seen["copy"].value("state", "") == "resync") continue;
            if (seen["copy"].value("state", "") != "following" || !seen["lag_ms"].is_number()) return false;
          }
        return true;
      },
      timeout, 100 * kMillisecond);
}

Regions::Guard Regions::guard(const std::string& region, const std::string& residency) {
  const auto opened = postgres::Connection::open(database(region).conninfo(), {.connect_timeout = 2 * kSecond});
  if (!opened) return {};
  auto& connection = const_cast<postgres::Connection&>(*opened);
  const auto rows = connection.exec_params(
      "SELECT g.state, g.epoch, g.end_us > c.now_us, g.end_us FROM domicile.guard_state() g, domicile.clock() c WHERE "
      "g.residency = "
      "$1",
      {residency}, monotonic_now() + 2 * kSecond);
  if (!rows || rows->empty()) return {};
  return {rows->text(0, 0), rows->integer_or(0, 1, 0), rows->truth(0, 2) && rows->at(0, 0) == "open",
          rows->integer_or(0, 3, 0)};
}

bool Regions::lease_ended(const std::string& region, const std::string& residency, Micros timeout) {
  return eventually(
      [&] {
        const auto seen = guard(region, residency);
        return !seen.state.empty() && !seen.lease_runs;
      },
      timeout);
}

std::string Regions::insert_sql(const std::string& residency, std::int64_t row) {
  return fmt::format(
      "INSERT INTO app.orders (id, residency, tenant_id, customer_name) VALUES ({}, '{}', '{}-1', 'name')", row,
      residency, residency);
}

std::string Regions::insert_by_directory_sql(const std::string& residency, std::int64_t row) {
  return fmt::format(
      "INSERT INTO app.orders (id, residency, tenant_id, customer_name) SELECT {}, residency, tenant_id, 'name' "
      "FROM domicile.tenant WHERE tenant_id = '{}-1'",
      row, residency);
}

std::string Regions::write(const std::string& region, const std::string& residency) {
  return write(region, residency, next_row());
}

std::string Regions::write(const std::string& region, const std::string& residency, std::int64_t row) {
  auto connection = postgres::Connection::open(database(region).conninfo("app"), {.connect_timeout = kSecond});
  if (!connection) return "lost";
  const auto done =
      connection->exec(options_.asks_directory ? insert_by_directory_sql(residency, row) : insert_sql(residency, row),
                       monotonic_now() + 3 * kSecond);
  if (done) {
    acknowledged(residency, row);
    return "";
  }
  const auto state = postgres::sqlstate_of(done.error());
  return state.empty() ? "lost" : state;
}

std::vector<std::string> Regions::writable(const std::string& residency) {
  std::vector<std::string> out;
  for (const auto& region : all())
    if (write(region, residency).empty()) out.push_back(region);
  return out;
}

std::set<std::int64_t> Regions::rows(const std::string& region, const std::string& residency) {
  std::set<std::int64_t> out;
  auto connection = postgres::Connection::open(database(region).conninfo());
  if (!connection) return out;
  const auto rows = connection->exec_params("SELECT id FROM app.orders WHERE residency = $1", {residency});
  for (int i = 0; rows && i < rows->size(); ++i) out.insert(rows->integer_or(i, 0, 0));
  return out;
}

std::vector<std::int64_t> Regions::missing(const std::string& region, const std::string& residency) {
  const auto have = rows(region, residency);
  const std::lock_guard lock(mutex_);
  std::vector<std::int64_t> out;
  std::ranges::set_difference(acknowledged_[residency], have, std::back_inserter(out));
  return out;
}

void Regions::acknowledged(const std::string& residency, std::int64_t row) {
  const std::lock_guard lock(mutex_);
  acknowledged_[residency].insert(row);
}

}  // namespace domicile::test
