// What a site's login may do in the quorum: what it should be, and what etcd says that it is. A login may read its own
// user and role, and no others.
#pragma once
#include <compare>
#include <set>
#include <string>

#include "engines/etcd/etcd_client.hpp"

namespace domicile::etcd {

struct Permission {
  std::string type, key, range_end;  // range_end empty: the key alone
  auto operator<=>(const Permission&) const = default;
};

// "READWRITE domicile/authority/*"; a range that is no prefix: "READ a..b". Bytes that cannot be printed are escaped.
std::string text_of(const Permission& permission);

// A region: read everything under domicile/, write every domicile/authority/, and only its own domicile/beat/. A voter
// reads only.
std::set<Permission> wanted_permissions(const std::string& site, bool voter);

Result<std::set<Permission>> permissions_in(const Json& perms);  // the list `perm` of an answer

struct OwnRights {
  std::set<std::string> roles;
  std::set<Permission> permissions;  // of all of them
  bool administers = false;          // it may list the users: authentication is off, or it is root
};
// `refused`: not readable by this login.
Result<OwnRights> own_rights(Client& client, const std::string& user);

}  // namespace domicile::etcd
