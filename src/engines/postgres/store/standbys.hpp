// Standbys by PostgreSQL's synchronous replication: its list of names is the cluster's, so the guard says whose
// transactions wait, and everybody else's default is to be durable here only.
#pragma once
#include "core/replication/standbys.hpp"
#include "engines/postgres/store/store.hpp"

namespace domicile::postgres {

std::unique_ptr<replication::Standbys> make_standbys(StoreSettings settings);

// FIRST 2 (a, b): all of them, in this order. Empty for none.
std::string standby_names(const std::vector<std::string>& links);
// The links of such a list; empty optional: it is somebody else's.
std::optional<std::vector<std::string>> links_in(std::string_view names);

}  // namespace domicile::postgres
