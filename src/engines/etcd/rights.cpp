#include "engines/etcd/rights.hpp"

#include "engines/etcd/base64.hpp"
#include "engines/etcd/etcd_quorum.hpp"

namespace domicile::etcd {
namespace {

std::string printable(const std::string& key) {
  std::string out;
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && c != '\\')
      out += c;
    else
      out += fmt::format("\\x{:02x}", byte);
  }
  return out;
}

}  // namespace

std::string text_of(const Permission& permission) {
  const std::string key = permission.type + " " + printable(permission.key);
  if (permission.range_end.empty()) return key;
  if (permission.range_end == prefix_end(permission.key)) return key + "*";
  return key + ".." + printable(permission.range_end);
}

std::set<Permission> wanted_permissions(const std::string& site, bool voter) {
  const auto under = [](const char* type, std::string_view prefix) {
    return Permission{type, std::string(prefix), prefix_end(std::string(prefix))};
  };
  std::set<Permission> set{under("READ", kRoot)};
  if (voter) return set;
  set.insert(under("READWRITE", kAuthority));
  set.insert({"READWRITE", std::string(kBeat) + site, ""});
  return set;
}

Result<std::set<Permission>> permissions_in(const Json& perms) {
  if (!perms.is_array()) return fail(Kind::corrupt, "etcd's answer has no list 'perm'");
  std::set<Permission> have;
  for (const auto& perm : perms) {
    const auto key = TRY(member_or<std::string>(perm, "key", ""));
    const auto range_end = TRY(member_or<std::string>(perm, "range_end", ""));
    Permission permission;
    permission.type = TRY(member_or<std::string>(perm, "permType", "READ"));  // the enumeration's first is left out
    permission.key = TRY(from_base64(key));
    permission.range_end = TRY(from_base64(range_end));
    have.insert(std::move(permission));
  }
  return have;
}

Result<OwnRights> own_rights(Client& client, const std::string& user) {
  OwnRights rights;
  const Json own = TRY(client.call("/v3/auth/user/get", {{"name", user}}, Effect::reads));
  const Json roles = TRY(member_or<Json>(own, "roles", Json::array()));
  if (!roles.is_array()) return fail(Kind::corrupt, "etcd's answer has no list 'roles'");
  for (const auto& role : roles) {
    if (!role.is_string()) return fail(Kind::corrupt, "a role of etcd's answer is no text");
    rights.roles.insert(role.get<std::string>());
  }
  for (const auto& role : rights.roles) {
    const Json shown = TRY(client.call("/v3/auth/role/get", {{"role", role}}, Effect::reads));
    const Json perms = TRY(member_or<Json>(shown, "perm", Json::array()));
    rights.permissions.merge(TRY(permissions_in(perms)));
  }
  const auto list = client.call("/v3/auth/user/list", Json::object(), Effect::reads);
  if (!list && list.error().kind != Kind::refused) return tl::unexpected<Error>(list.error());
  rights.administers = list.has_value();
  return rights;
}

}  // namespace domicile::etcd
