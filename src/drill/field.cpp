#include "drill/field.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/http_client.hpp"
#include "engines/postgres/tenants.hpp"

namespace domicile::drill {

Result<Field> Field::open(const fs::path& directory, topology::Topology topology) {
  Field field;
  field.directory_ = directory;
  field.topology_ = std::move(topology);
  const Json status = TRY(field.lab_status());
  field.flat_ = TRY(member<std::string>(status, "isolation")) == name_of(lab::Isolation::flat);
  field.base_ = TRY(member<int>(status, "base"));
  field.recorded_ = TRY(member_or<std::string>(status, "recorded", ""));
  int number = 0;
  for (const Json& site : TRY(member<Json>(status, "sites"))) {
    number += 10;
    const auto name = TRY(member<std::string>(site, "site"));
    field.inner_address_[name] = TRY(member<std::string>(site, "address"));
    // On one network for all, clients have addresses of their own at the relay.
    field.address_[name] = field.flat_ ? fmt::format("127.1.{}.1", number) : field.inner_address_[name];
  }
  for (const std::string& region : field.regions())
    if (!field.address_.contains(region))
      return fail(Kind::conflict, "the lab that runs has no region " + region, "name its topology: --topology FILE");
  return field;
}

std::string Field::inner_address(const std::string& site) const {
  const auto found = inner_address_.find(site);
  return found == inner_address_.end() ? "" : found->second;
}

std::vector<std::string> Field::regions() const {
  std::vector<std::string> names;
  for (const auto& region : topology_.regions) names.push_back(region.name);
  return names;
}

Result<Json> Field::lab(const std::string& verb, const Json& body) const {
  return lab::ask(directory_, "POST", "/" + verb, body);
}

Result<Json> Field::lab_status() const { return lab::ask(directory_, "GET", "/status"); }

Result<void> Field::set_fault(const std::string& verb, Json body, const std::string& drill) const {
  body["holder"] = lab::json_of(lab::Holder{drill, lab::identify(::getpid())});
  (void)TRY(lab(verb, body));
  return {};
}

Result<void> Field::undo_faults() const {
  (void)TRY(lab("undo", {{"holder", lab::json_of(lab::Holder{"", lab::identify(::getpid())})}}));
  return {};
}

Result<Json> Field::agent(const std::string& region, const std::string& method, const std::string& path,
                          const Json& body, Micros timeout) const {
  HttpClient client({}, (directory_ / "sites" / region / "run" / "agent.sock").string());
  const auto response = client.send({method, "http://agent" + path, {}, body.is_null() ? "" : dump(body), timeout});
  if (!response) return wrap("the agent of " + region + " does not answer", response.error());
  const Json json = TRY(parse_json(response->body, "the agent's answer"));
  if (response->status < 300) return json;
  return fail(response->status == 409   ? Kind::conflict
              : response->status == 412 ? Kind::unsafe
                                        : Kind::unavailable,
              fmt::format("the agent of {} answers {}: {}", region, response->status,
                          member_or<std::string>(json, "what", "").value_or("")),
              member_or<std::string>(json, "fix", "").value_or(""));
}

Result<Authority> Field::authority(const std::string& residency, const std::string& region) const {
  const Json status = TRY(agent_status(region));
  for (const Json& each : TRY(member<Json>(status, "residencies"))) {
    if (TRY(member<std::string>(each, "residency")) != residency) continue;
    if (!each.contains("owner")) return fail(Kind::unavailable, "nobody owns " + residency + " yet");
    return Authority{TRY(member<std::string>(each, "owner")), TRY(member<std::string>(each, "mode")),
                     TRY(member<std::string>(each, "switch")), TRY(member<std::int64_t>(each, "epoch"))};
  }
  return fail(Kind::invalid_input, "the topology has no residency " + residency);
}

std::vector<Event> Field::events(std::size_t count) const {
  std::vector<Event> all;
  for (const std::string& region : regions()) {
    const auto answer = agent(region, "GET", fmt::format("/v1/events?count={}", count), {}, kSecond);
    const auto more = answer ? events_of(*answer) : Result<std::vector<Event>>(std::vector<Event>{});
    if (more) all.insert(all.end(), more->begin(), more->end());
  }
  return all;
}

std::string Field::database(const std::string& region) const {
  return fmt::format("host='{}' port={} dbname=app user=postgres", (directory_ / "sites" / region / "run").string(),
                     lab::postgres + (flat_ ? base_ : 0));
}

Result<std::set<std::string>> Field::markers(const std::string& residency, const std::string& region) const {
  auto connection = TRY(postgres::Connection::open(database(region)));
  const auto rows = TRY(connection.exec_params("select id from app.orders where residency = $1", {residency},
                                               monotonic_now() + 30 * kSecond));
  std::set<std::string> ids;
  for (int row = 0; row < rows.size(); ++row) ids.insert(rows.text(row, 0));
  return ids;
}

Result<std::set<std::string>> Field::salvaged(const std::string& residency, std::int64_t epoch,
                                              const std::string& region) const {
  auto connection = TRY(postgres::Connection::open(database(region)));
  const auto rows = TRY(connection.exec_params(
      "select key ->> 'id' from domicile.salvage where residency = $1 and epoch = $2::bigint and table_name = "
      "'app.orders' and net <> 'came and went'",
      {residency, std::to_string(epoch)}, monotonic_now() + 30 * kSecond));
  std::set<std::string> ids;
  for (int row = 0; row < rows.size(); ++row) ids.insert(rows.text(row, 0));
  return ids;
}

Result<std::vector<ClientSpec>> Field::clients(const std::string& residency, std::size_t count,
                                               const std::string& at) const {
  const auto* rules = topology::residency_of(topology_, residency);
  if (rules == nullptr) return fail(Kind::invalid_input, "the topology has no residency " + residency);
  auto connection = TRY(postgres::Connection::open(database(at)));
  std::vector<tenants::Entry> entries;
  for (std::size_t i = 0; i < count; ++i)
    entries.push_back({fmt::format("drill-{}-{:03}", residency, i),
                       residency,
                       {fmt::format("drill-{:03}.{}.example", i, residency)}});
  (void)TRY(postgres::import_tenants(connection, entries, {}, "drill"));
  std::vector<Gateway> gateways{{rules->home, address_.at(rules->home), lab::gateway + base_}};
  for (const std::string& region : regions())
    if (region != rules->home.str()) gateways.push_back({region, address_.at(region), lab::gateway + base_});
  std::vector<ClientSpec> clients;
  for (const auto& entry : entries) clients.push_back({entry.tenant, entry.hosts[0], residency, gateways});
  return clients;
}

Gateway Field::service(const std::string& from, const std::string& to, lab::Port port) const {
  const std::string own = inner_address(from), theirs = inner_address(to);
  const auto number = [](const std::string& address) { return address.substr(4, address.find('.', 4) - 4); };
  if (!flat_ || from == to || own.empty() || theirs.empty()) return {to, theirs, port + (flat_ ? base_ : 0)};
  return {to, fmt::format("127.{}.{}.1", number(own), number(theirs)), port + base_};
}

Result<Gateway> Field::gateway_inside(const std::string& region) const {
  const auto address = inner_address_.find(region);
  if (address == inner_address_.end()) return fail(Kind::invalid_input, "the lab has no region " + region);
  return Gateway{region, address->second, lab::gateway + (flat_ ? base_ : 0)};
}

Result<Process> Field::start_inside(const std::string& region, Command command) const {
  if (flat_) return Process::start(command);
  const std::string file = TRY(read_file(directory_ / "sites" / region / "postgres" / "postmaster.pid"));
  const std::string own = "/proc/" + file.substr(0, file.find('\n')) + "/ns/";
  auto network = std::make_shared<Fd>(::open((own + "net").c_str(), O_RDONLY | O_CLOEXEC));
  auto user = std::make_shared<Fd>(::open((own + "user").c_str(), O_RDONLY | O_CLOEXEC));
  struct stat theirs {
  }, ours{};
  if (!*network || !*user || ::fstat(user->get(), &theirs) != 0 || ::stat("/proc/self/ns/user", &ours) != 0)
    return tl::unexpected<Error>(errno_error("cannot look into the network of " + region));
  // An unprivileged lab has its networks inside a user namespace of its own; nobody may enter the one he is in.
  const bool enter_user = theirs.st_ino != ours.st_ino;
  command.in_child = [network, user, enter_user] {
    if (enter_user && ::syscall(SYS_setns, user->get(), CLONE_NEWUSER) != 0) return false;
    return ::syscall(SYS_setns, network->get(), CLONE_NEWNET) == 0;
  };
  return Process::start(command);
}

}  // namespace domicile::drill
