#include "cli/databases.hpp"

#include <unistd.h>

#include <iostream>

#include "base/file.hpp"
#include "base/http_client.hpp"
#include "base/json.hpp"
#include "core/topology/parse.hpp"
#include "core/topology/yaml.hpp"

namespace domicile::cli {

std::vector<Option> database_options(std::vector<Option> own) {
  own.insert(own.begin(),
             {{"topology", "FILE", "The topology (topology.yaml)."},
              {"connections", "FILE", "YAML, 'REGION: libpq connection string' of a superuser (connections.yaml)."},
              {"agent", "SOCKET", "Ask this agent who owns what; else each residency's home is taken."}});
  return own;
}

Result<topology::Topology> topology_of(const Args& args) {
  const std::string file = args.get("topology", "topology.yaml");
  return topology::load(TRY(read_file(file)), file);
}

Result<std::vector<Database>> databases_of(const Args& args, const topology::Topology& topology) {
  const std::string file = args.get("connections", "connections.yaml");
  const auto text = read_file(file);
  if (!text) return wrap("which databases? (--connections FILE)", text.error());
  const auto bad = [&](int line, std::string what, std::string fix) {
    Error error{Kind::invalid_input, std::move(what), std::move(fix), "DOM-P092"};
    error.where = fmt::format("{}:{}", file, line);
    return tl::unexpected<Error>(std::move(error));
  };
  const auto root = topology::yaml::parse(*text);
  if (!root) return bad(root.error().line, root.error().what, "REGION: host=… dbname=…");
  if (root->type != topology::yaml::Node::Type::map)
    return bad(root->line, "this is no map of regions", "REGION: host=… dbname=…");
  std::vector<Database> databases;
  bool secret = false;
  for (const auto& [key, value] : root->entries) {
    if (!topology::region_of(topology, key.text))
      return bad(key.line, "region '" + key.text + "' is not in the topology", "the topology's regions hold data");
    if (value.type != topology::yaml::Node::Type::scalar)
      return bad(value.line, "the connection of " + key.text + " is no string", "REGION: host=… dbname=…");
    for (const auto& other : databases)
      if (other.region == key.text) return bad(key.line, "region " + key.text + " stands twice", "keep one");
    secret = secret || value.text.find("password=") != std::string::npos ||
             (value.text.starts_with("postgres") && value.text.find("://") != std::string::npos &&
              value.text.find('@') != std::string::npos);
    databases.push_back({key.text, value.text});
  }
  if (databases.empty()) return bad(1, "it names no region", "REGION: host=… dbname=…");
  if (secret) (void)TRY(read_secret(file));
  return databases;
}

Result<postgres::Connection> open_database(const Database& database, const std::string& verb) {
  postgres::OpenOptions options;
  options.application_name = "domicile " + verb;
  auto connection = postgres::Connection::open(database.conninfo, options);
  if (!connection) return wrap("the database of " + database.region + " does not answer", connection.error());
  return connection;
}

namespace {

Result<Json> ask_agent(const Args& args, const std::string& path) {
  HttpRequest request;
  request.url = "http://agent" + path;
  request.timeout = 12 * kSecond;  // it asks other agents, and each of them its member of the quorum
  const auto reply = HttpClient({}, args.get("agent")).send(request);
  if (!reply) return wrap("the agent at " + args.get("agent") + " does not answer", reply.error());
  if (reply->status != 200)
    return fail(Kind::unavailable, fmt::format("the agent answered {} when asked for {}", reply->status, path));
  return parse_json(reply->body, "the agent's answer");
}

}  // namespace

Result<Json> layers_told(const Args& args) {
  if (!args.has("agent")) return Json();
  return ask_agent(args, "/v1/layers?everywhere=1");
}

Result<Ownership> ownership_of(const Args& args, const topology::Topology& topology) {
  Ownership out;
  if (!args.has("agent")) {
    for (const auto& residency : topology.residencies) out.owners[residency.name.str()] = residency.home.str();
    return out;
  }
  out.asked = true;
  const Json status = TRY(ask_agent(args, "/v1/status"));
  const auto region = TRY(member_or<std::string>(status, "region", ""));
  for (const Json& each : TRY(member<Json>(status, "residencies"))) {
    const auto owner = TRY(member_or<std::string>(each, "owner", ""));
    const auto name = TRY(member<std::string>(each, "residency"));
    // While it moves nobody has it: neither end is touched.
    const bool moving = member_or<std::string>(each, "mode", "").value_or("") == "moving";
    if (!owner.empty() && !moving) out.owners[name] = owner;
    const auto copy = each.find("copy");
    const auto state =
        copy == each.end() || !copy->is_object() ? "" : member_or<std::string>(*copy, "state", "").value_or("");
    const bool stands = state == "owner" || state == "stopped" || state == "resync";
    if (stands && owner != region) out.standing[region].insert(name);
  }
  return out;
}

Result<Directory> directory_of(const Args& args, const topology::Topology& topology) {
  const auto ownership = TRY(ownership_of(args, topology));
  const std::string name(topology::kDirectory);
  const auto owner = ownership.owners.find(name);
  if (owner == ownership.owners.end())
    return fail(Kind::unavailable, "nobody owns the residency 'directory' now", "domicile status", "DOM-T030");
  for (const auto& database : TRY(databases_of(args, topology)))
    if (database.region == owner->second)
      return Directory{database, !ownership.asked && owner->second == topology::directory_of(topology).home.str()};
  return fail(Kind::invalid_input, "tenants are written at " + owner->second + ", whose connection is not given",
              "add it to the --connections file", "DOM-T031");
}

std::set<std::string> tenant_residencies(const topology::Topology& topology) {
  std::set<std::string> names;
  for (const auto& residency : topology.residencies)
    if (residency.name.str() != topology::kDirectory) names.insert(residency.name.str());
  return names;
}

Result<bool> confirmed(const Args& args, Io& io, const std::string& question) {
  if (args.has("yes")) return true;
  if (::isatty(STDIN_FILENO) != 1) return fail(Kind::refused, "nobody is here to confirm it", "add --yes", "DOM-P093");
  io.err << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == "y" || answer == "yes") return true;
  io.err << "nothing was changed\n";
  return false;
}

}  // namespace domicile::cli
