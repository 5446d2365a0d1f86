// Who may do what in the quorum: a password user per site, because the JSON gateway knows no certificate names.
#pragma once
#include <string>
#include <vector>

#include "engines/etcd/etcd_client.hpp"

namespace domicile::etcd {

struct SiteUser {
  std::string site;           // the user and its role have this name
  std::string password_file;  // 0600
  bool voter = false;         // reads only: it owns nothing and has no beat
};

// Makes users, roles and authentication as they should be, and nothing else; says what it changed, nothing when all was
// right. `root`'s user must be "root"; its password becomes the one in its file. Safe to repeat after a failure
// anywhere. A password that changed in its file is changed in etcd. Users that are not named here are left alone. What
// each may do: rights.hpp.
Result<std::vector<std::string>> ensure_auth(const Access& root, const std::vector<SiteUser>& sites);

}  // namespace domicile::etcd
