#include "cli/plan_layers.hpp"

#include <algorithm>
#include <set>

#include "cli/status_view.hpp"
#include "core/residency/links.hpp"
#include "core/snapshot/view.hpp"
#include "engines/etcd/rights.hpp"

namespace domicile::cli {
namespace {

using Texts = std::set<std::string>;

Texts texts_in(const Json& list) {
  Texts out;
  if (list.is_array())
    for (const Json& each : list)
      if (each.is_string()) out.insert(each.get<std::string>());
  return out;
}

std::string joined(const Texts& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ", ") + text;
  return out.empty() ? "none" : out;
}

bool is_voter(const topology::Topology& topology, const std::string& site) {
  return std::ranges::find(topology.voters, site, [](const auto& voter) { return voter.str(); }) !=
         topology.voters.end();
}

void own_member(const Json& own, const std::string& site, Layer& out) {
  if (!own.is_object()) return out.unknown.push_back("its member: the agent has not looked at it yet");
  if (const auto problem = text_at(own, "problem"); !problem.empty())
    return out.unknown.push_back("whether its member runs: " + problem);
  const auto name = text_at(own, "name");
  if (name.empty())
    out.unknown.push_back("its member's name: the quorum's members could not be listed");
  else if (name != site)
    out.differs.push_back(fmt::format("the agent's first endpoint is the member '{}', not {}", name, site));
  if (!true_at(own, "healthy"))
    out.differs.push_back("its member runs and sees no majority");
  else if (name == site)
    out.fine.push_back("member " + name + " runs");
}

void members(const Json& list, const topology::Topology& topology, Layer& out) {
  if (!list.is_array()) return out.unknown.push_back("the quorum's members: nobody could list them");
  const Texts names = texts_in(list);
  const auto sites = topology::sites_of(topology);
  bool fine = true;
  const auto differs = [&](std::string what) {
    out.differs.push_back(std::move(what));
    fine = false;
  };
  for (const auto& site : sites)
    if (!names.contains(site.str())) differs("the quorum has no member " + site.str());
  for (const auto& name : names) {
    const bool known = std::ranges::any_of(sites, [&](const auto& site) { return site.str() == name; });
    if (name.empty())
      differs("a member was added to the quorum and never started");
    else if (!known)
      differs("the quorum's member '" + name + "' is no site of the topology");
  }
  if (fine) out.fine.push_back("members " + joined(names));
}

void rights(const Json& told, const topology::Topology& topology, const std::string& site, Layer& out) {
  const auto user = text_at(told, "user");
  const Json& own = child_at(told, "rights");
  if (user != site) out.differs.push_back(fmt::format("the agent logs in as '{}', not as {}", user, site));
  if (const auto problem = text_at(own, "problem"); !problem.empty() || !own.is_object())
    return out.unknown.push_back("user and permissions: " + (problem.empty() ? "the agent does not tell" : problem));
  if (true_at(own, "administers"))
    out.differs.push_back("its login may administer users: authentication is off, or it is root");
  const Texts roles = texts_in(child_at(own, "roles")), have = texts_in(child_at(own, "permissions"));
  Texts want;
  for (const auto& permission : etcd::wanted_permissions(site, is_voter(topology, site)))
    want.insert(text_of(permission));
  if (roles != Texts{site})
    out.differs.push_back(fmt::format("its user has the roles {} instead of {}", joined(roles), site));
  for (const auto& permission : want)
    if (!have.contains(permission)) out.differs.push_back("its role lacks " + permission);
  for (const auto& permission : have)
    if (!want.contains(permission)) out.differs.push_back("its role may too much: " + permission);
  if (roles == Texts{site} && have == want) out.fine.push_back("user " + user + ": " + joined(have));
}

// A file of the gateway, and whether every worker obeys it.
void snapshot_file(const Json& file, const std::string& name, std::int64_t workers, Layer& out) {
  const auto written = number_at(file, "written"), obeyed = number_at(file, "obeyed");
  if (!written || !obeyed) return out.unknown.push_back(name + ": the agent does not tell");
  if (*written == 0)
    out.differs.push_back(name + " is missing or damaged");
  else if (workers > 0 && *obeyed < *written)
    out.differs.push_back(fmt::format("{}: {} is written, a worker obeys {}", name, *written, *obeyed));
  else if (workers > 0)
    out.fine.push_back(fmt::format("{} {} obeyed", name, *written));
}

void config_file(const Json& config, Layer& out) {
  const auto state = text_at(config, "state");
  if (state == "same")
    out.fine.push_back("nginx.conf as agent.yaml makes it");
  else if (state == "foreign")
    out.fine.push_back("nginx.conf is not made from agent.yaml and was not compared");
  else if (state == "missing")
    out.differs.push_back("nginx.conf is missing: domicile gateway config --write");
  else if (state == "differs")
    out.differs.push_back("nginx.conf is not what agent.yaml makes: domicile gateway config --write, then reload");
  else
    out.unknown.push_back("nginx.conf: " + text_at(config, "problem"));
}

Layer gateway_of(const Json& told, const std::string& policy_hash) {
  Layer out;
  const std::string agents = text_at(told, "policy");
  if (agents.empty())
    out.unknown.push_back("its policy: the agent does not tell");
  else if (agents != policy_hash)
    out.differs.push_back(fmt::format("the agent's topology has policy {}, this one {}: give it this file, restart it",
                                      agents.substr(0, 12), policy_hash.substr(0, 12)));
  const Json& gateway = child_at(told, "gateway");
  if (!gateway.is_object()) {
    out.fine.push_back("none: its agent.yaml names no gateway");
    return out;
  }
  const auto file = text_at(gateway, "policy");
  if (!file.empty() && file != policy_hash.substr(0, snapshot::kNameSize - 1))
    out.differs.push_back(fmt::format("authority.snap is made of policy {}", file.substr(0, 12)));
  else if (!file.empty())
    out.fine.push_back("policy " + file.substr(0, 12));
  config_file(child_at(gateway, "config"), out);
  if (const auto problem = text_at(gateway, "problem"); !problem.empty()) {
    out.unknown.push_back("what its workers obey: " + problem);
    return out;
  }
  const auto workers = number_at(gateway, "workers").value_or(0);
  if (workers == 0)
    out.differs.push_back("no worker of nginx lives");
  else
    out.fine.push_back(fmt::format("{} workers", workers));
  snapshot_file(child_at(gateway, "authority"), "authority.snap", workers, out);
  snapshot_file(child_at(gateway, "tenants"), "tenants.snap", workers, out);
  return out;
}

std::string painted(const std::string& text, const char* colour, bool on) {
  return on ? fmt::format("\033[{}m{}\033[0m", colour, text) : text;
}

std::string shown(const char* name, const Layer& layer, bool colour) {
  std::string out, fine;
  for (const auto& each : layer.fine) fine += (fine.empty() ? "" : "; ") + each;
  if (!fine.empty()) out += fmt::format("  {}: {}\n", name, fine);
  for (const auto& each : layer.differs)
    out += "  " + painted(fmt::format("~ {}: {}", name, each), "33", colour) + "\n";
  for (const auto& each : layer.unknown)
    out += "  " + painted(fmt::format("? {}: unknown: {}", name, each), "35", colour) + "\n";
  return out;
}

Json json_of(const Layer& layer) {
  return {{"fine", layer.fine}, {"differs", layer.differs}, {"unknown", layer.unknown}};
}

}  // namespace

Layers layers_of(const Json& told, const topology::Topology& topology, const std::string& site) {
  std::string unknown;
  if (!told.is_object())
    unknown = "no agent was asked (--agent SOCKET)";
  else if (told.contains("unknown"))
    unknown = text_at(told, "unknown");
  else if (const auto who = text_at(told, "region"); who != site)
    unknown = "the agent at its address calls itself '" + who + "'";
  if (!unknown.empty()) return {{{}, {}, {unknown}}, {{}, {}, {unknown}}};
  Layers out;
  const Json& etcd = child_at(told, "etcd");
  own_member(child_at(etcd, "own"), site, out.etcd);
  members(child_at(etcd, "members"), topology, out.etcd);
  for (const auto& alarm : texts_in(child_at(etcd, "alarms"))) out.etcd.differs.push_back("the quorum raises " + alarm);
  rights(etcd, topology, site, out.etcd);
  if (!is_voter(topology, site)) out.gateway = gateway_of(told, residency::policy_hash(topology));
  return out;
}

std::map<std::string, Layers> all_layers(const Json& told, const topology::Topology& topology) {
  std::map<std::string, Layers> out;
  for (const auto& site : topology::sites_of(topology)) {
    const Json& answer = child_at(told, site.str().c_str());
    const bool left_out = told.is_object() && !answer.is_object();
    out[site.str()] =
        layers_of(left_out ? Json{{"unknown", "the agent that was asked does not know this site"}} : answer, topology,
                  site.str());
  }
  return out;
}

std::string shown(const Layers& layers, bool colour) {
  return shown("etcd", layers.etcd, colour) + shown("gateway", layers.gateway, colour);
}

Json json_of(const Layers& layers) { return {{"etcd", json_of(layers.etcd)}, {"gateway", json_of(layers.gateway)}}; }

}  // namespace domicile::cli
