#include "sites.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <sstream>
#include <stdexcept>

#include "engines/postgres/schema_sql.hpp"
#include "lab/certificates.hpp"
#include "support/free_ports.hpp"

namespace domicile::bench {
namespace {

const std::string kRole = "domicile_link_eu_central_1";
std::string link_of(const std::string& residency) { return "domicile_" + residency + "_us_east_1_eu_central_1"; }

constexpr Micros kPatience = 120 * kSecond;

const std::string kTopology = R"(domicile: 1
regions:
  us-east-1: {jurisdiction: US}
  us-west-2: {jurisdiction: US}
  eu-central-1: {jurisdiction: EU}
  eu-west-1: {jurisdiction: EU}
voters: {eu-north-1: {}}
residencies:
  directory: {home: us-east-1, standby: [eu-central-1, eu-west-1], holds: {US: full, EU: full}}
  us: {home: us-east-1, standby: [us-west-2], holds: {US: full, EU: reduced}}
  ca: {home: us-east-1, standby: [us-west-2], holds: {US: full, EU: reduced}}
  eu: {home: eu-central-1, standby: [eu-west-1], holds: {EU: full, US: reduced}}
data:
  app.orders: {tenant: tenant, residency: residency, personal: [email], shared: [id, amount]}
)";

std::map<std::string, fs::path> certificates(const fs::path& dir) {
  const auto authority = must(lab::Authority::make(dir));
  must(authority.issue(dir / "server", {"server", {"localhost"}, {"127.0.0.1"}}));
  must(authority.issue(dir / "peer", {kRole, {}, {}}));
  std::map<std::string, fs::path> out;
  for (const char* name : {"ca.pem", "server.pem", "server.key", "peer.pem", "peer.key"}) out[name] = dir / name;
  return out;
}

// No disk in what is measured, and nothing that wakes up by itself.
std::vector<std::string> quiet(std::vector<std::string> more) {
  more.insert(more.end(),
              {"fsync=off", "synchronous_commit=off", "autovacuum=off", "checkpoint_timeout=1h", "max_wal_size=16GB",
               "min_wal_size=1GB", "shared_buffers=256MB", "wal_level=logical", "wal_retrieve_retry_interval=50ms"});
  return more;
}

}  // namespace

Sites::Sites()
    : ports_{test::free_port(), test::free_port()},
      source_({.settings = quiet({"ssl=on", "ssl_min_protocol_version=TLSv1.3", "ssl_ca_file=../ca.pem",
                                  "ssl_cert_file=../server.pem", "ssl_key_file=../server.key"}),
               .port = ports_[0],
               .hba = "local all all trust\nhostssl all " + kRole + " 127.0.0.1/32 cert\n",
               .secrets = certificates(dir_.path())}),
      target_({.settings = quiet({}),
               .secrets = {{"ca.pem", dir_.path() / "ca.pem"},
                           {"peer.pem", dir_.path() / "peer.pem"},
                           {"peer.key", dir_.path() / "peer.key"}}}),
      from_(source_.connect()),
      to_(target_.connect()) {
  const std::string table =
      "CREATE SCHEMA app; CREATE TABLE app.orders (residency text NOT NULL, tenant text NOT NULL, id bigint NOT NULL, "
      "amount int NOT NULL, email text, PRIMARY KEY (residency, id));";
  must(to_.exec(table));
  must(from_.exec(postgres::link_tables_sql()));
  must(
      from_.exec(fmt::format("{} CREATE ROLE domicile_gate LOGIN REPLICATION; CREATE ROLE {} LOGIN REPLICATION; GRANT "
                             "USAGE ON SCHEMA domicile TO "
                             "domicile_gate; GRANT EXECUTE ON FUNCTION domicile.link_owned(text) TO domicile_gate",
                             table, kRole)));
  for (const auto& residency : kAll)
    must(
        from_.exec(fmt::format("CREATE PUBLICATION {} FOR TABLE app.orders (residency, tenant, id, amount) "
                               "WHERE (residency = '{}') WITH (publish = 'insert, update, delete')",
                               link_of(residency), residency)));
  start_gate();
}

void Sites::start_gate() {
  const std::string dir = dir_.path().string();
  must(write_file(dir_.path() / "topology.yaml", kTopology));
  must(write_file(dir_.path() / "gate.yaml",
                  fmt::format("region: us-east-1\ntopology: {0}/topology.yaml\nstate: {0}/gate\nsocket: "
                              "{0}/gate.sock\nlisten: 127.0.0.1:{1}\nca: {0}/ca.pem\ncertificate: {0}/server.pem\n"
                              "key: {0}/server.key\ndatabase: \"{2}\"\ndatabase_name: postgres\n",
                              dir, ports_[1], source_.conninfo("domicile_gate"))));
  Command command{{DOMICILE_BINARY, "gate", "--config", dir + "/gate.yaml"}};
  command.output = dir + "/gate.log";
  command.in_child = [] { return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0; };
  gate_ = must(Process::start(command));
  expect_soon("the gate's start", [&] { return fs::exists(dir_.path() / "gate.sock"); });
}

std::string Sites::conninfo(Route route) const {
  return fmt::format(
      "host=127.0.0.1 port={0} user={1} dbname=postgres sslmode=verify-full sslrootcert={2}/ca.pem "
      "sslcert={2}/peer.pem sslkey={2}/peer.key",
      ports_[route == Route::gate ? 1 : 0], kRole, target_.folder().string());
}

void Sites::expect_soon(const std::string& what, const std::function<bool()>& condition) const {
  if (test::eventually(condition, kPatience)) return;
  const auto tail = [](const std::string& log) {
    return log.substr(log.size() - std::min<std::size_t>(log.size(), 2000));
  };
  throw std::runtime_error(fmt::format("no end of waiting for {}\ntarget: {}\nsource: {}\ngate: {}", what,
                                       tail(target_.log()), tail(source_.log()),
                                       tail(read_file(dir_.path() / "gate.log").value_or(""))));
}

void Sites::mark() {
  must(from_.exec("TRUNCATE app.orders"));
  must(from_.exec("SELECT pg_drop_replication_slot('base') FROM pg_replication_slots WHERE slot_name = 'base'"));
  must(from_.exec("SELECT pg_create_logical_replication_slot('base', 'pgoutput')"));
}

void Sites::seal() {
  end_ = must(from_.exec("SELECT pg_current_wal_insert_lsn()")).text(0, 0);
  must(from_.exec("INSERT INTO app.orders VALUES ('us', 'seal', -1, 0), ('ca', 'seal', -1, 0)"));
}

void Sites::subscribe(Route route, const std::string& residency, const std::string& synchronous_commit) {
  must(to_.exec(
      fmt::format("CREATE SUBSCRIPTION {0} CONNECTION {1} PUBLICATION {0} WITH (create_slot = false, "
                  "copy_data = false, enabled = false, synchronous_commit = {2})",
                  link_of(residency), postgres::Connection::quote_literal(conninfo(route)), synchronous_commit)));
}

// So that no figure is of another route than it says.
void Sites::await_senders(Route route, std::size_t count) {
  const std::string wanted = route == Route::gate ? "domicile_gate -" : kRole + " TLSv1.3";
  expect_soon(fmt::format("{} streams of {}", count, wanted), [&] {
    const auto rows =
        must(from_.exec("SELECT usename || ' ' || coalesce(s.version, '-') FROM pg_stat_replication JOIN pg_stat_ssl s "
                        "USING (pid) WHERE state IN ('catchup', 'streaming')"));
    for (int i = 0; i < rows.size(); ++i)
      if (rows.at(i, 0) != wanted) throw std::runtime_error("a stream is of " + rows.text(i, 0));
    return rows.size() == static_cast<int>(count);
  });
}

void Sites::unsubscribe(const std::string& residency) {
  const std::string link = link_of(residency);
  must(to_.exec(fmt::format("ALTER SUBSCRIPTION {} DISABLE", link)));
  expect_soon("the worker's end", [&] {
    return must(to_.exec(fmt::format("SELECT pg_terminate_backend(pid) FROM pg_stat_subscription "
                                     "WHERE subname = '{}' AND pid IS NOT NULL",
                                     link)))
        .empty();
  });
  // Without the name, or DROP would go for the slot itself, which a gate refuses.
  must(to_.exec(fmt::format("ALTER SUBSCRIPTION {} SET (slot_name = NONE)", link)));
  must(to_.exec(fmt::format("DROP SUBSCRIPTION {}", link)));
  const auto slot = fmt::format("FROM pg_replication_slots WHERE slot_name = '{}'", link);
  expect_soon("the slot", [&] { return must(from_.exec("SELECT 1 " + slot + " AND active")).empty(); });
  must(from_.exec("SELECT pg_drop_replication_slot(slot_name) " + slot));
}

double Sites::replay_seconds(Route route, std::size_t rows, const Residencies& residencies) {
  must(to_.exec("TRUNCATE app.orders"));
  for (const auto& residency : residencies) {
    must(from_.exec(fmt::format("SELECT pg_copy_logical_replication_slot('base', '{}')", link_of(residency))));
    subscribe(route, residency, "off");
  }
  must(to_.exec("CHECKPOINT"));
  // The worker's own note of what it has applied: asking disturbs no table. Beyond the end lies the seal alone, which
  // is noted a moment before it can be seen.
  const auto there = fmt::format(
      "SELECT count(*) = {} FROM pg_subscription WHERE pg_replication_origin_progress('pg_' || oid, false) > "
      "'{}'::pg_lsn",
      residencies.size(), end_);
  const Micros began = monotonic_now();
  for (const auto& residency : residencies)
    must(to_.exec(fmt::format("ALTER SUBSCRIPTION {} ENABLE", link_of(residency))));
  expect_soon("the rows", [&] { return must(to_.exec(there)).truth(0, 0); });
  const auto took = static_cast<double>(monotonic_now() - began) / 1e6;
  await_senders(route, residencies.size());
  const auto got = must(to_.exec("SELECT count(*) FROM app.orders WHERE tenant <> 'seal'")).integer_or(0, 0, 0);
  if (got != static_cast<std::int64_t>(rows))
    throw std::runtime_error(fmt::format("{} rows came instead of {}", got, rows));
  for (const auto& residency : residencies) unsubscribe(residency);
  return took;
}

void Sites::follow(Route route) {
  const std::string link = link_of(kOne[0]);
  must(to_.exec("TRUNCATE app.orders"));
  must(from_.exec(fmt::format("SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", link)));
  subscribe(route, kOne[0], "on");
  must(to_.exec(fmt::format("ALTER SUBSCRIPTION {} ENABLE", link)));
  await_senders(route, 1);
  must(from_.exec(fmt::format("ALTER SYSTEM SET synchronous_standby_names = '{}'", link)));
  must(from_.exec("SELECT pg_reload_conf()"));
  expect_soon("the synchronous standby", [&] {
    return !must(from_.exec("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"))
                .empty();
  });
}

bool Sites::has_row(std::int64_t id) {
  return !must(to_.exec_params("SELECT 1 FROM app.orders WHERE residency = $1 AND id = $2",
                               {kOne[0], std::to_string(id)}))
              .empty();
}

void Sites::stop_following() {
  must(from_.exec("ALTER SYSTEM RESET synchronous_standby_names"));
  must(from_.exec("SELECT pg_reload_conf()"));
  unsubscribe(kOne[0]);
}

double Sites::gate_cpu_seconds() const {
  clockid_t clock{};
  timespec used{};
  if (clock_getcpuclockid(gate_->pid(), &clock) != 0 || clock_gettime(clock, &used) != 0)
    throw std::runtime_error("the gate's time is not known");
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

double Sites::gate_memory(std::string_view field) const {
  std::istringstream status(must(read_file(fmt::format("/proc/{}/status", gate_->pid()))));
  for (std::string name; status >> name; status.ignore(4096, '\n'))
    if (double kb = 0; name == field && status >> kb) return kb / 1024;
  throw std::runtime_error("the gate's memory is not known");
}

}  // namespace domicile::bench
