#include "prove/ground.hpp"

#include <thread>

#include "drill/drills.hpp"
#include "prove/web.hpp"

namespace domicile::prove {
namespace {

constexpr Micros kStatement = 20 * kSecond;
constexpr Micros kServed = 40 * kSecond;  // until tenants that are new are known to a gateway

// A residency that the region owns and may hold in full, and its first tenant with a host.
Result<void> find_own(Ground& ground) {
  const auto& topology = ground.field->topology();
  for (const auto& residency : topology.residencies) {
    if (residency.name == topology::kDirectory || !topology::may_own(residency, ground.here)) continue;
    const auto directory = TRY(drill::owner_of(*ground.field, std::string(topology::kDirectory)));
    const auto client = TRY(ground.field->clients(residency.name, 1, directory.owner)).at(0);
    ground.own_residency = residency.name;
    ground.own_host = client.host;
    ground.own_tenant = client.tenant;
    return {};
  }
  return fail(Kind::refused,
              ground.here + " owns no residency, so that nobody can make anything pass for one of its own",
              "prove it with a topology in which the forbidden region is somebody's home");
}

// Where not even a lawful request is served, a refusal shows nothing.
Result<void> own_host_served(const Ground& ground) {
  const WebAsk ask{
      .at = ground.config.gateway->listen, .sni = ground.own_host, .path = "/healthz", .ca = ground.field->ca()};
  const bool served = eventually(kServed, [&] {
    const auto answer = ask_web(ask);
    return answer && answer->status == 200;
  });
  if (served) return {};
  return fail(Kind::unavailable, "the gateway of " + ground.here + " does not serve its own tenants",
              "domicile status");
}

}  // namespace

Result<Ground> make_ground(const drill::Field& field, const std::string& residency, const std::string& here) {
  Ground ground;
  ground.field = &field;
  ground.residency = residency;
  ground.here = here;
  const Json status = TRY(field.lab_status());
  ground.base = field.flat() ? TRY(member<int>(status, "base")) : 0;
  ground.home = TRY(drill::owner_of(field, residency)).owner;
  ground.config = TRY(agent::read_agent_config(field.directory() / "sites" / here / "agent.yaml"));
  if (!ground.config.gateway || !ground.config.sites.contains(ground.home))
    return fail(Kind::invalid_input, "agent.yaml of " + here + " names no gateway, or not " + ground.home);
  CHECK_OK(find_own(ground));
  CHECK_OK(own_host_served(ground));
  return ground;
}

Result<postgres::Connection> session_at(const Ground& ground, const std::string& region, const std::string& role) {
  auto connection = TRY(postgres::Connection::open(ground.field->database(region), {.application_name = "prove"}));
  // Owners cannot log in. From here on the session has that role's rights and no others.
  if (!role.empty()) CHECK_OK(connection.exec("SET SESSION AUTHORIZATION " + connection.quoted(role)));
  return connection;
}

Outcome outcome_of(const Error& error) {
  const std::string state = postgres::sqlstate_of(error);
  if (state.empty()) return in_trouble(one_line(error));
  return refused_by(state, {}, one_line(error));
}

Outcome try_sql(const Ground& ground, const std::string& role, const std::vector<std::string>& statements) {
  auto connection = session_at(ground, ground.here, role);
  if (!connection) return in_trouble(one_line(connection.error()));
  std::string seen;
  for (const auto& statement : statements) {
    const auto rows = connection->exec(statement, monotonic_now() + kStatement);
    if (!rows) {
      Outcome outcome = outcome_of(rows.error());
      outcome.seen = seen + outcome.seen;
      return outcome;
    }
    for (int row = 0; row < rows->size(); ++row)
      for (int column = 0; column < rows->columns(); ++column) seen += rows->text(row, column) + "\t";
  }
  return went_through(seen);
}

Result<HttpResponse> ask_api(const Ground& ground, const std::string& region, const fs::path& stem,
                             const std::string& method, const std::string& path, const std::string& body) {
  const TlsFiles tls{(ground.field->directory() / "certs" / "ca.pem").string(), stem.string() + ".pem",
                     stem.string() + ".key"};
  const std::string api = region == ground.here
                              ? fmt::format("https://{}:{}", ground.config.api.host, ground.config.api.port)
                              : ground.config.sites.at(region).api;
  HttpClient client(tls);
  return client.send({method, api + path, {"Expect:"}, body, 20 * kSecond});
}

fs::path own_certificate(const Ground& ground, const std::string& name) {
  return ground.field->directory() / "certs" / ground.here / name;
}

fs::path client_certificate(const Ground& ground, const std::string& name) {
  return ground.field->directory() / "certs" / "clients" / name;
}

etcd::Access own_quorum(const Ground& ground) {
  const auto& etcd = ground.config.etcd;
  etcd::Access access;
  access.endpoints = etcd.endpoints;
  access.tls = etcd.tls;
  access.user = etcd.user;
  access.password_file = etcd.password_file.string();
  return access;
}

Outcome outcome_of(const Result<HttpResponse>& answer) {
  if (!answer) return in_trouble(one_line(answer.error()));
  if (answer->status < 400) return went_through(answer->body);
  const auto body = parse_json(answer->body, "the answer");
  for (const char* name : {"code", "kind"})
    if (const auto word = body ? member_or<std::string>(*body, name, "").value_or("") : ""; !word.empty())
      return refused_by(word, {}, answer->body);
  return refused_by(std::to_string(answer->status), {}, answer->body);
}

namespace {

Result<HttpResponse> ask_gate(const Ground& ground, const std::string& region, const std::string& path) {
  HttpClient client({}, (ground.field->directory() / "sites" / region / "run" / "gate.sock").string());
  return client.send({"GET", "http://gate" + path, {}, "", 5 * kSecond});
}

}  // namespace

std::optional<Denied> last_denial(const Ground& ground, const std::string& region, Micros since) {
  const auto response = ask_gate(ground, region, "/v1/denials");
  const auto list = response ? parse_json(response->body, "the denials") : Result<Json>(Json());
  if (!list || !list->is_array() || list->empty()) return {};
  const Json& last = list->back();
  const auto at = member<Micros>(last, "at_us");
  const auto id = member<std::string>(last, "id"), rule = member<std::string>(last, "rule");
  if (!at || !id || !rule || *at < since) return {};
  return Denied{*id, *rule};
}

Result<std::string> rule_of_denial(const Ground& ground, const std::string& region, const std::string& id) {
  const auto response = TRY(ask_gate(ground, region, "/v1/denials/" + id));
  if (response.status != 200) return fail(Kind::conflict, "the gate of " + region + " knows no denial " + id);
  return member<std::string>(TRY(parse_json(response.body, "a denial")), "rule");
}

bool eventually(Micros patience, const std::function<bool()>& so) {
  for (const Micros deadline = monotonic_now() + patience; monotonic_now() < deadline;
       std::this_thread::sleep_for(std::chrono::milliseconds(50)))
    if (so()) return true;
  return so();
}

}  // namespace domicile::prove
