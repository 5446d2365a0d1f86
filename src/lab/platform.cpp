#include "lab/platform.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <thread>

#include "base/json.hpp"
#include "core/tenants/import.hpp"
#include "core/topology/parse.hpp"
#include "edge/config.hpp"
#include "engines/etcd/bootstrap.hpp"
#include "engines/postgres/provision/provision.hpp"
#include "engines/postgres/tenants.hpp"

namespace domicile::lab {
namespace {

std::string random_password() {
  unsigned char bytes[24];
  std::string out;
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return out;
  for (const unsigned char b : bytes) out += fmt::format("{:02x}", b);
  return out;
}

fs::path ca(const Lab& lab) { return lab.spec().directory / "certs" / "ca.pem"; }

TlsFiles tls_of(const Lab& lab, const std::string& site, const char* name) {
  return {ca(lab), lab.certificates(site) / (std::string(name) + ".pem"),
          lab.certificates(site) / (std::string(name) + ".key")};
}

std::string endpoint(const Lab& lab, const std::string& from, const std::string& to, Port service) {
  return fmt::format("{}:{}", lab.address(from, to), lab.port(from, service));
}

std::vector<std::string> etcd_endpoints(const Lab& lab, const std::string& site) {
  std::vector<std::string> out{"https://" + endpoint(lab, site, site, etcd_client)};
  for (const auto& other : lab.spec().sites)
    if (other.name != site) out.push_back("https://" + endpoint(lab, site, other.name, etcd_client));
  return out;
}

Result<void> make_quorum_users(Lab& lab) {
  const std::string& first = lab.spec().sites.front().name;
  std::vector<etcd::SiteUser> users;
  const fs::path root = lab.spec().directory / "certs" / "etcd-root.password";
  CHECK_OK(write_secret(root, random_password()));
  for (const auto& site : lab.spec().sites) {
    const fs::path file = lab.certificates(site.name) / "etcd.password";
    CHECK_OK(write_secret(file, random_password()));
    users.push_back({site.name, file, site.voter});
  }
  Result<void> done;
  CHECK_OK(lab.at(first, [&] {
    etcd::Access access{etcd_endpoints(lab, first), tls_of(lab, first, "etcd"), "root", root};
    const auto made = etcd::ensure_auth(access, users);
    if (!made) done = wrap("cannot make the quorum's users", made.error());
  }));
  for (const auto& user : users) CHECK_OK(lab.give(user.password_file));
  return done;
}

Result<void> install_schema(Lab& lab, const std::string& site, const topology::Topology& topology,
                            const PlatformSpec& spec) {
  auto connection = TRY(postgres::Connection::open(lab.database_of(site, "postgres")));
  TRY(connection.exec(TRY(read_file(spec.schema))));
  TRY(postgres::apply_region(lab.database_of(site, "postgres"), topology, site, postgres::homes_of(topology),
                             GuardForm::c, spec.guard_library));
  TRY(connection.exec(TRY(read_file(spec.grants))));
  return {};
}

std::string link_conninfo(const Lab& lab, const std::string& from, const std::string& to) {
  std::string role = "domicile_link_" + from;
  std::ranges::replace(role, '-', '_');
  const auto tls = tls_of(lab, from, "link");
  return fmt::format(
      "host={} port={} dbname={} user={} sslmode=verify-full sslrootcert={} sslcert={} sslkey={} connect_timeout=3 "
      "keepalives_idle=2 keepalives_interval=1 keepalives_count=3 tcp_user_timeout=4000",
      lab.address(from, to), lab.port(from, gate), lab.spec().database, role, tls.ca, tls.certificate, tls.key);
}

std::string yaml_tls(const TlsFiles& tls) {
  return fmt::format("ca: {}, certificate: {}, key: {}", tls.ca, tls.certificate, tls.key);
}

std::string gateway_yaml(const Lab& lab, const Site& site, const fs::path& modules) {
  const std::string& name = site.name;
  std::string yaml = fmt::format(
      "gateway:\n  directory: {}\n  modules: {}\n  user: \"\"\n  listen: {}\n  tunnel: {}\n  forward: {}\n  "
      "application: {}\n"
      "  certificates:\n",
      (lab.folder(name) / "gateway").string(), modules.string(), endpoint(lab, name, name, gateway),
      endpoint(lab, name, name, tunnel), endpoint(lab, name, name, forward), endpoint(lab, name, name, demo));
  for (const auto& residency : site.full_residencies)
    yaml += fmt::format("    {0}: {{certificate: {1}/{0}.pem, key: {1}/{0}.key}}\n", residency,
                        lab.certificates(name).string());
  return yaml;
}

std::string agent_yaml(const Lab& lab, const Site& site, const fs::path& topology, const fs::path& modules) {
  const std::string& name = site.name;
  const fs::path folder = lab.folder(name);
  std::string endpoints;
  for (const auto& one : etcd_endpoints(lab, name)) endpoints += (endpoints.empty() ? "" : ", ") + one;
  std::string yaml =
      fmt::format("region: {}\ntopology: {}\nstate: {}\n", name, topology.string(), (folder / "agent").string());
  if (!site.voter)
    yaml += fmt::format("database: \"{}\"\ngate: {{socket: {}}}\n", lab.database_of(name, "domicile_agent"),
                        gate_socket(lab, name).string());
  yaml += fmt::format("etcd: {{endpoints: [{}], user: {}, password_file: {}, {}}}\n", endpoints, name,
                      (lab.certificates(name) / "etcd.password").string(), yaml_tls(tls_of(lab, name, "etcd")));
  yaml += fmt::format("api:\n  listen: {}\n  socket: {}\n  {{}}\n", endpoint(lab, name, name, agent_api),
                      agent_socket(lab, name).string());
  yaml.erase(yaml.rfind("  {}\n"));
  const auto tls = tls_of(lab, name, "site");
  yaml += fmt::format("  ca: {}\n  certificate: {}\n  key: {}\n", tls.ca, tls.certificate, tls.key);
  yaml +=
      "  roles: {view: [view], operate: [view, operate], approve: [view, approve], break-glass: [view, break-glass]}\n";
  yaml += fmt::format("  revoked_file: {}\n", (folder / "revoked").string());
  if (!site.voter) yaml += gateway_yaml(lab, site, modules);
  yaml += "sites:\n";
  for (const auto& other : lab.spec().sites) {
    if (other.name == name) continue;
    yaml += fmt::format("  {}:\n    api: https://{}\n", other.name, endpoint(lab, name, other.name, agent_api));
    if (other.voter) continue;
    yaml += fmt::format("    link: \"{}\"\n    tunnel: {}\n    forward: {}\n", link_conninfo(lab, name, other.name),
                        endpoint(lab, name, other.name, tunnel), endpoint(lab, name, other.name, forward));
  }
  yaml += fmt::format("stall_directory: {}\n", (folder / "stall").string());
  return yaml;
}

std::string gate_yaml(const Lab& lab, const Site& site, const fs::path& topology) {
  const std::string& name = site.name;
  const auto tls = tls_of(lab, name, "site");
  return fmt::format(
      "region: {}\ntopology: {}\nstate: {}\nsocket: {}\nlisten: {}\nca: {}\ncertificate: {}\nkey: {}\n"
      "database: \"{}\"\ndatabase_name: {}\nrevoked_file: {}\n",
      name, topology.string(), (lab.folder(name) / "gate").string(), gate_socket(lab, name).string(),
      endpoint(lab, name, name, gate), tls.ca, tls.certificate, tls.key, lab.database_of(name, "domicile_gate"),
      lab.spec().database, (lab.folder(name) / "revoked").string());
}

// Before any of its processes runs: what they write there meanwhile would be given away under their hands.
Result<void> write_settings(Lab& lab, const Site& site, const fs::path& topology, const fs::path& modules) {
  const fs::path folder = lab.folder(site.name), settings = folder / "agent.yaml";
  for (const char* part : {"agent", "stall"}) CHECK_OK(make_directories(folder / part, 0700));
  CHECK_OK(write_file(folder / "revoked", ""));
  CHECK_OK(write_file(settings, agent_yaml(lab, site, topology, modules)));
  CHECK_OK(lab.give(folder / "agent"));
  CHECK_OK(lab.give(folder / "stall"));
  if (site.voter) return {};
  CHECK_OK(make_directories(folder / "gate", 0700));
  CHECK_OK(lab.give(folder / "gate"));
  CHECK_OK(write_file(folder / "gate.yaml", gate_yaml(lab, site, topology)));
  const auto made =
      TRY(run({{lab.binary("domicile").string(), "gateway", "config", "--write", "--config", settings.string()}},
              30 * kSecond));
  if (made.exit_code != 0) return fail(Kind::failed, "cannot write nginx.conf of " + site.name + ": " + made.err);
  return lab.give(folder / "gateway");
}

Result<void> start_agent(Lab& lab, const Site& site) {
  return lab.launch(
      site.name, "agent",
      {{lab.binary("domicile").string(), "agent", "--config", (lab.folder(site.name) / "agent.yaml").string()}});
}

Result<void> start_gate(Lab& lab, const Site& site) {
  return lab.launch(
      site.name, "gate",
      {{lab.binary("domicile").string(), "gate", "--config", (lab.folder(site.name) / "gate.yaml").string()}});
}

Result<void> start_gateway(Lab& lab, const Site& site) {
  edge::GatewayConfig config;
  config.directory = lab.folder(site.name) / "gateway";
  Command command = edge::start_command(config);
  // An nginx that was killed leaves its inner sockets, and the next one cannot bind to them.
  std::vector<std::string> sockets{config.directory + "/run/inner.sock", config.directory + "/run/https-.unknown.sock"};
  for (const auto& residency : site.full_residencies)
    sockets.push_back(fmt::format("{}/run/https-{}.sock", config.directory, residency));
  command.in_child = [sockets = std::move(sockets)] {
    for (const auto& socket : sockets) ::unlink(socket.c_str());
    return true;
  };
  return lab.launch(site.name, "gateway", std::move(command));
}

Result<void> start_demo(Lab& lab, const Site& site) {
  return lab.launch(site.name, "demo",
                    {{lab.binary("domicile-demo").string(), endpoint(lab, site.name, site.name, demo),
                      lab.database_of(site.name, "app")}});
}

Result<Json> status_of(const Lab& lab, const std::string& site) {
  HttpClient client({}, agent_socket(lab, site));
  const auto response = TRY(client.send({"GET", "http://agent/v1/status", {}, "", 2 * kSecond}));
  return parse_json(response.body, "the status");
}

// Empty: as it should be; else what is still missing.
std::string missing(const Lab& lab, const topology::Topology& topology) {
  for (const auto& site : lab.spec().sites) {
    if (site.voter) continue;
    const auto status = status_of(lab, site.name);
    if (!status) return "the agent of " + site.name;
    for (const auto& json : (*status)["residencies"]) {
      const auto* residency = topology::residency_of(topology, json.value("residency", ""));
      if (residency == nullptr) continue;
      const std::string who = fmt::format("{} at {}", residency->name.str(), site.name);
      if (json.value("mode", "") != "serving" || json.value("owner", "") != residency->home.str())
        return who + " is not served";
      if (residency->home == site.name) {
        if (!json["lease_ms"].is_number()) return who + " has no lease";
      } else if (topology::form_at(topology, *residency, site.name) != topology::Form::none &&
                 !json["lag_ms"].is_number()) {
        return who + " is no copy with known lag";
      }
    }
  }
  return "";
}

Result<void> await_service(const Lab& lab, const topology::Topology& topology) {
  std::string left;
  for (const Micros deadline = monotonic_now() + 60 * kSecond; monotonic_now() < deadline;
       std::this_thread::sleep_for(std::chrono::milliseconds(50))) {
    left = missing(lab, topology);
    if (left.empty()) return {};
  }
  return fail(Kind::unavailable, "the lab does not serve: " + left, "look into sites/SITE/logs/agent.log");
}

Result<void> add_tenants(const Lab& lab, const topology::Topology& topology, int per_residency) {
  const auto& directory = topology::directory_of(topology);
  std::vector<tenants::Entry> entries;
  for (const auto& residency : topology.residencies) {
    if (residency.name == topology::kDirectory) continue;
    for (int i = 1; i <= per_residency; ++i)
      entries.push_back(
          {fmt::format("{}-{}", residency.name.str(), i), residency.name, {demo_host(residency.name, i)}});
  }
  Result<void> last;
  // The directory's home may need a moment until its lease is open.
  for (const Micros deadline = monotonic_now() + 30 * kSecond; monotonic_now() < deadline;
       std::this_thread::sleep_for(std::chrono::milliseconds(50))) {
    auto connection = TRY(postgres::Connection::open(lab.database_of(directory.home, "postgres")));
    const auto added = postgres::import_tenants(connection, entries, {}, "the demo's tenants");
    if (added) return {};
    last = tl::unexpected<Error>(added.error());
  }
  return last;
}

}  // namespace

std::string demo_host(const std::string& residency, int number) {
  return fmt::format("tenant-{}.{}.example", number, residency);
}

fs::path agent_socket(const Lab& lab, const std::string& site) { return lab.folder(site) / "run" / "agent.sock"; }

fs::path gate_socket(const Lab& lab, const std::string& site) { return lab.folder(site) / "run" / "gate.sock"; }

Result<void> install_platform(Lab& lab, const PlatformSpec& spec) {
  const auto topology = TRY(topology::load(TRY(read_file(spec.topology)), spec.topology.string()));
  const fs::path copy = lab.spec().directory / "topology.yaml";
  CHECK_OK(write_file(copy, TRY(read_file(spec.topology))));
  lab.say("users of the quorum");
  lab.set_latencies(false);
  CHECK_OK(make_quorum_users(lab));
  lab.set_latencies(true);
  lab.say("schema and guard");
  std::vector<Result<void>> made(lab.spec().sites.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < made.size(); ++i) {
      const Site& site = lab.spec().sites[i];
      if (!site.voter)
        threads.emplace_back([&, i] { made[i] = install_schema(lab, lab.spec().sites[i].name, topology, spec); });
    }
  }
  for (std::size_t i = 0; i < made.size(); ++i)
    if (!made[i]) return wrap("cannot install the schema in " + lab.spec().sites[i].name, made[i].error());
  lab.say("agents, gateways and the demo service start");
  for (const auto& site : lab.spec().sites) {
    CHECK_OK(write_settings(lab, site, copy, spec.modules));
    if (!site.voter) CHECK_OK(start_gate(lab, site));
    CHECK_OK(start_agent(lab, site));
    if (site.voter) continue;
    CHECK_OK(start_demo(lab, site));
    CHECK_OK(start_gateway(lab, site));
  }
  CHECK_OK(add_tenants(lab, topology, spec.tenants_per_residency));
  lab.say("first owners and copies");
  return await_service(lab, topology);
}

}  // namespace domicile::lab
