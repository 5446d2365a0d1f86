// PostgreSQL as a replicated store: the guard's leases and the links, behind the port of core/replication/store.hpp.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/log.hpp"
#include "core/replication/store.hpp"
#include "core/residency/links.hpp"
#include "engines/postgres/links/link.hpp"

namespace domicile::postgres {

struct StoreSettings {
  std::string region;
  std::string database;                      // conninfo of this region's database
  std::map<std::string, std::string> peers;  // region -> conninfo by which subscriptions here reach it
  std::shared_ptr<const topology::Topology> topology;
  Micros deadline = 2 * kSecond;  // of one call; taking a fence and stopping a link have their own
};

// The link as the runtime wants it: its name and the columns that its form lets out of each table. The directory's link
// carries the tenants and their hosts, whole.
links::LinkSpec link_spec(const topology::Topology& topology, const replication::LinkName& name);

std::unique_ptr<replication::Store> make_store(StoreSettings settings);

// A session of its own with the region's database, for what is no Store: first rows, the directory.
Result<Connection> open_session(const StoreSettings& settings, const char* application_name);

}  // namespace domicile::postgres
