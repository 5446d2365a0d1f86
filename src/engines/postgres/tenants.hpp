// The tenant directory in PostgreSQL: written at the region that owns the residency `directory`, read everywhere.
#pragma once
#include <functional>
#include <span>

#include "core/tenants/import.hpp"
#include "engines/postgres/connection.hpp"

namespace domicile::postgres {

struct ImportReport {
  std::int64_t tenants_added = 0, hosts_added = 0, unchanged = 0;
};

struct ImportOptions {
  bool add_hosts = false;  // a tenant that is there may get further hosts
  // At the directory's home only: while no owner of it was ever known here, the guard lets the first tenants in. The
  // session has to be a superuser's or the agent's.
  bool before_agents = false;
  std::function<void(std::size_t entries)> progress = {};
};

// All entries or none: COPY into temporary tables, then set-based checks against the directory. `conflict` with every
// entry at fault (the first 100) when the directory contradicts; an entry that is there already changes nothing.
Result<ImportReport> import_tenants(Connection& connection, std::span<const tenants::Entry> entries,
                                    const ImportOptions& options, std::string_view file);

struct Tenant {
  std::string id, residency;
  bool tombstone = false;
  std::vector<std::string> hosts;  // sorted
};
// Sorted by id, from behind `after`; `residency` empty: all.
Result<std::vector<Tenant>> list_tenants(Connection& connection, const std::string& residency, const std::string& after,
                                         int limit);
Result<std::optional<Tenant>> find_tenant(Connection& connection, const std::string& id);

// Changes whenever the directory does; equal means that a compiled snapshot is still right. Read it *before* the rows.
Result<std::string> directory_version(Connection& connection);
// Every living tenant's host, in one snapshot, streamed: host, tenant, residency. Returns the version that the rows
// have at least.
Result<std::string> read_directory(
    Connection& connection,
    const std::function<Result<void>(std::string_view host, std::string_view tenant, std::string_view residency)>& row);

}  // namespace domicile::postgres
