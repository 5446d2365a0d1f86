// How the lab starts PostgreSQL and etcd: as a customer's administrator would, and with nothing that only a lab needs.
#include <libpq-fe.h>

#include <thread>

#include "base/http_client.hpp"
#include "engines/etcd/member.hpp"
#include "lab/lab.hpp"

namespace domicile::lab {
namespace {

constexpr const char* kPostgres = "/usr/lib/postgresql/15/bin/";

std::string conf_text(const std::string& text) {  // a string of postgresql.conf
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

// Only certificates from outside; the site's own programs come over the Unix socket as the user that they run as.
constexpr const char* kHba =
    "local   all all                    peer map=site\n"
    "hostssl all all 127.0.0.0/8        cert\n";

// The roles that the site's own programs may log in as.
constexpr const char* kLocalRoles[] = {"postgres",       "domicile_agent", "domicile_gate",
                                       "domicile_owner", "app_owner",      "app"};

template <class Ready>
Result<void> await(const std::string& what, Micros timeout, Ready ready) {
  for (const Micros deadline = monotonic_now() + timeout; monotonic_now() < deadline;
       std::this_thread::sleep_for(std::chrono::milliseconds(20)))
    if (ready()) return {};
  return fail(Kind::unavailable, fmt::format("{} did not come up within {} s", what, timeout / kSecond),
              "look into its log under sites/SITE/logs");
}

}  // namespace

Result<void> Lab::initialise_postgres(const Place& place) const {
  const std::string& site = place.site.name;
  const fs::path data = folder(site) / "postgres";
  // Each has its own system identifier, so a copy of one template will not do.
  const Outcome made =
      TRY(run(inside_site(place, {{std::string(kPostgres) + "initdb", "-D", data.string(), "-U", "postgres",
                                   "--data-checksums", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "--auth=peer"}}),
              60 * kSecond));
  if (made.exit_code != 0) return fail(Kind::failed, "initdb of " + site + " failed: " + made.err);

  const fs::path certs = certificates(site);
  std::map<std::string, std::string> settings{
      {"listen_addresses", address(site, site)},
      {"port", std::to_string(port(site, postgres))},
      {"unix_socket_directories", (folder(site) / "run").string()},
      {"ssl", "on"},
      {"ssl_ca_file", (spec_.directory / "certs" / "ca.pem").string()},
      {"ssl_cert_file", (certs / "site.pem").string()},
      {"ssl_key_file", (certs / "site.key").string()},
      {"wal_level", "logical"},
      {"max_wal_senders", "40"},
      {"max_replication_slots", "40"},
      {"max_logical_replication_workers", "20"},
      {"max_worker_processes", "30"},
      {"max_slot_wal_keep_size", "4GB"},
      {"max_connections", "200"},
      {"track_commit_timestamp", "on"},
      {"deadlock_timeout", "50ms"},
      {"wal_receiver_timeout", "5s"},
      {"wal_sender_timeout", "5s"},
      {"wal_retrieve_retry_interval", "500ms"},
      {"shared_buffers", "64MB"},
      {"cluster_name", site},
      {"log_line_prefix", "%m [%p] %q%u@%d "},
      {"log_parameter_max_length", "0"},  // no row values in logs
      {"log_parameter_max_length_on_error", "0"},
      {"log_min_error_statement", "panic"},
      {"log_error_verbosity", "terse"},
  };
  for (const auto& [name, value] : spec_.postgres_settings) settings[name] = value;
  std::string conf = TRY(read_file(data / "postgresql.conf"));
  for (const auto& [name, value] : settings) conf += fmt::format("{} = {}\n", name, conf_text(value));
  CHECK_OK(write_file(data / "postgresql.conf", conf, 0600));
  CHECK_OK(write_file(data / "pg_hba.conf", kHba, 0600));
  std::string map;
  for (const char* role : kLocalRoles) map += fmt::format("site {} {}\n", user_name_, role);
  if (::geteuid() == 0) map += "site root postgres\n";
  CHECK_OK(write_file(data / "pg_ident.conf", map, 0600));
  for (const char* name : {"postgresql.conf", "pg_hba.conf", "pg_ident.conf"}) CHECK_OK(give(data / name));
  return {};
}

Result<void> Lab::launch_postgres(Place& place) {
  return launch(place.site.name, "postgres",
                {{std::string(kPostgres) + "postgres", "-D", (folder(place.site.name) / "postgres").string()}});
}

TlsFiles Lab::tls_of(const std::string& site) const {
  return {(spec_.directory / "certs" / "ca.pem").string(), (certificates(site) / "site.pem").string(),
          (certificates(site) / "site.key").string()};
}

Result<void> Lab::launch_etcd(Place& place) {
  const std::string& site = place.site.name;
  const auto url = [this](const std::string& at, Port which) {
    return fmt::format("https://{}:{}", address(at, at), port(at, which));
  };
  etcd::Member member{.name = site,
                      .data = folder(site) / "etcd",
                      .client_url = url(site, etcd_client),
                      .peer_url = url(site, etcd_peer),
                      .cluster = {},
                      .cluster_token = "domicile-lab",
                      .tls = tls_of(site)};
  // Peers' addresses are part of the membership and the same for all; so in flat mode etcd goes around the relay.
  for (const auto& each : places_) member.cluster[each->site.name] = url(each->site.name, etcd_peer);
  Command command{{"/usr/bin/etcd"}};
  for (std::string& flag : etcd::member_flags(member)) command.argv.push_back(std::move(flag));
  return launch(site, "etcd", std::move(command));
}

Result<void> Lab::await_engines() {
  for (const auto& place : places_) {
    const std::string& site = place->site.name;
    const std::string url = fmt::format("https://{}:{}/health", address(site, site), port(site, etcd_client));
    Result<void> healthy;
    inside(place->network ? place->network.get() : -1, [&] {
      HttpClient client(tls_of(site));
      healthy = await("etcd of " + site, 30 * kSecond, [&] {
        const auto response = client.send({.url = url, .timeout = kSecond});
        return response && response->status == 200;
      });
    });
    CHECK_OK(std::move(healthy));
    if (place->site.voter) continue;
    const std::string bootstrap = fmt::format("host='{}' port={} dbname=postgres user=postgres",
                                              (folder(site) / "run").string(), port(site, postgres));
    CHECK_OK(await("PostgreSQL of " + site, 30 * kSecond, [&] { return PQping(bootstrap.c_str()) == PQPING_OK; }));
    const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(bootstrap.c_str()), &PQfinish);
    const std::unique_ptr<char, decltype(&PQfreemem)> name(
        PQescapeIdentifier(connection.get(), spec_.database.c_str(), spec_.database.size()), &PQfreemem);
    if (PQstatus(connection.get()) != CONNECTION_OK || !name)
      return fail(Kind::failed,
                  fmt::format("cannot log in to PostgreSQL of {}: {}", site, PQerrorMessage(connection.get())));
    const std::unique_ptr<PGresult, decltype(&PQclear)> made(
        PQexec(connection.get(), fmt::format("create database {}", name.get()).c_str()), &PQclear);
    if (PQresultStatus(made.get()) != PGRES_COMMAND_OK)
      return fail(Kind::failed,
                  fmt::format("cannot create the database of {}: {}", site, PQresultErrorMessage(made.get())));
  }
  return {};
}

}  // namespace domicile::lab
