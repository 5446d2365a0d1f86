// What the verbs that speak to databases share: which databases, which topology, who owns what.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "cli/command.hpp"
#include "core/residency/links.hpp"
#include "engines/postgres/connection.hpp"

namespace domicile::cli {

// --topology, --connections, --agent, and the verb's own.
std::vector<Option> database_options(std::vector<Option> own);

Result<topology::Topology> topology_of(const Args& args);

struct Database {
  std::string region, conninfo;
};
// --connections FILE, YAML: `REGION: libpq connection string`, in the file's order. `refused` when it holds a password
// and others may read it; `invalid_input` for a region that the topology does not have.
Result<std::vector<Database>> databases_of(const Args& args, const topology::Topology& topology);
Result<postgres::Connection> open_database(const Database& database, const std::string& verb);

struct Ownership {
  residency::Owners owners;
  bool asked = false;  // an agent said so; else homes
  // By region: residencies whose copy there stands still and may hold what nobody else has. Of the agent that was
  // asked.
  std::map<std::string, std::set<std::string>> standing = {};
};
// As the agent behind --agent sees it; a residency that nobody owns yet has none. Without --agent: each one's home.
Result<Ownership> ownership_of(const Args& args, const topology::Topology& topology);
// What the agents of all sites tell about etcd and their gateways: site -> answer. Null without --agent.
Result<Json> layers_told(const Args& args);

// The database at which tenants are written: that of the directory's owner.
struct Directory {
  Database database;
  bool before_agents = false;  // it is the directory's home and no agent was asked
};
Result<Directory> directory_of(const Args& args, const topology::Topology& topology);
std::set<std::string> tenant_residencies(const topology::Topology& topology);

// True: go on. With --yes nobody is asked; where nobody can be asked, --yes is demanded.
Result<bool> confirmed(const Args& args, Io& io, const std::string& question);

}  // namespace domicile::cli
