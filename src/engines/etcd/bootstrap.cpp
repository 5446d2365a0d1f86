#include "engines/etcd/bootstrap.hpp"

#include <algorithm>
#include <set>

#include "base/file.hpp"
#include "engines/etcd/base64.hpp"
#include "engines/etcd/rights.hpp"

namespace domicile::etcd {

namespace {

Json body_of(const std::string& role, const Permission& permission) {
  Json perm{{"permType", permission.type}, {"key", to_base64(permission.key)}};
  if (!permission.range_end.empty()) perm["range_end"] = to_base64(permission.range_end);
  return {{"name", role}, {"perm", perm}};
}

bool says(const Error& error, const char* words) { return error.what.find(words) != std::string::npos; }

// One run of ensure_auth. It writes only what differs: every change of users or roles makes all tokens stale.
class Bootstrap {
 public:
  explicit Bootstrap(const Access& root) : access_(root), client_(root) {}

  Result<std::vector<std::string>> run(const std::vector<SiteUser>& sites) {
    enabled_ = TRY(authentication_enabled());
    for (const auto& site : sites) {
      CHECK_OK(role(site.site));
      CHECK_OK(permissions(site));
      CHECK_OK(user(site.site, site.password_file, site.site));
    }
    CHECK_OK(role("root"));
    CHECK_OK(user("root", access_.password_file, "root"));
    if (!enabled_) CHECK_OK(change("auth/enable", Json::object(), "authentication on"));
    return changes_;
  }

 private:
  Result<Json> ask(const std::string& path, const Json& body) {
    return client_.call("/v3/" + path, body, Effect::reads);
  }

  Result<void> change(const std::string& path, const Json& body, std::string what) {
    const auto done = client_.call("/v3/" + path, body, Effect::writes);
    if (!done) return wrap("cannot set up the quorum's users: " + what, done.error());
    changes_.push_back(std::move(what));
    return {};
  }

  // 3.4 has no call that tells; logging in does.
  Result<bool> authentication_enabled() {
    const std::string password = TRY(read_password(access_.password_file));
    const auto answer = ask("auth/authenticate", {{"name", "root"}, {"password", password}});
    if (answer) return true;
    if (says(answer.error(), "authentication is not enabled")) return false;
    return wrap("cannot log in to etcd as root", answer.error());
  }

  // The names in `list` of what `path` shows; none when there is no such user or role.
  Result<std::optional<Json>> shown(const std::string& path, const Json& body, const char* list) {
    const auto answer = ask(path, body);
    if (!answer && says(answer.error(), "not found")) return std::optional<Json>();
    if (!answer) return tl::unexpected<Error>(answer.error());
    Json items = TRY(member_or<Json>(*answer, list, Json::array()));
    if (!items.is_array()) return fail(Kind::corrupt, fmt::format("etcd's answer has no list '{}'", list));
    return std::optional<Json>(std::move(items));
  }

  Result<void> role(const std::string& name) {
    if (TRY(shown("auth/role/get", {{"role", name}}, "perm"))) return {};
    return change("auth/role/add", {{"name", name}}, "role " + name);
  }

  Result<void> permissions(const SiteUser& site) {
    const Json perms = TRY(shown("auth/role/get", {{"role", site.site}}, "perm")).value_or(Json::array());
    const auto have = TRY(permissions_in(perms));
    const auto want = wanted_permissions(site.site, site.voter);
    for (const auto& permission : have) {
      if (want.contains(permission)) continue;
      Json body{{"role", site.site}, {"key", to_base64(permission.key)}};
      if (!permission.range_end.empty()) body["range_end"] = to_base64(permission.range_end);
      CHECK_OK(change("auth/role/revoke", body, fmt::format("{} loses {}", site.site, permission.key)));
    }
    for (const auto& permission : want)
      if (!have.contains(permission))
        CHECK_OK(change("auth/role/grant", body_of(site.site, permission),
                        fmt::format("{} gets {} {}", site.site, permission.type, permission.key)));
    return {};
  }

  Result<void> user(const std::string& name, const std::string& password_file, const std::string& role_name) {
    const std::string password = TRY(read_password(password_file));
    const auto roles = TRY(shown("auth/user/get", {{"name", name}}, "roles"));
    const Json credentials{{"name", name}, {"password", password}};
    if (!roles)
      CHECK_OK(change("auth/user/add", credentials, "user " + name));
    else if (!TRY(password_is_right(credentials)))
      CHECK_OK(change("auth/user/changepw", credentials, "password of " + name));
    const Json have = roles.value_or(Json::array());
    if (std::find(have.begin(), have.end(), Json(role_name)) == have.end())
      CHECK_OK(change("auth/user/grant", {{"user", name}, {"role", role_name}}, fmt::format("{} is {}", name, name)));
    for (const auto& other : have)
      if (other.is_string() && other != Json(role_name))
        CHECK_OK(change("auth/user/revoke", {{"name", name}, {"role", other}},
                        fmt::format("{} is no longer {}", name, other.get<std::string>())));
    return {};
  }

  // Without authentication nobody can log in, and so nobody can tell: then it is set again.
  Result<bool> password_is_right(const Json& credentials) {
    if (!enabled_) return false;
    const auto answer = ask("auth/authenticate", credentials);
    if (answer) return true;
    if (says(answer.error(), "authentication failed")) return false;
    return tl::unexpected<Error>(answer.error());
  }

  Access access_;
  Client client_;
  bool enabled_ = false;
  std::vector<std::string> changes_;
};

}  // namespace

Result<std::vector<std::string>> ensure_auth(const Access& root, const std::vector<SiteUser>& sites) {
  if (root.user != "root") return fail(Kind::invalid_input, "the quorum's users are set up as etcd's user root");
  for (const auto& site : sites)
    if (site.site == "root" || site.site.empty())
      return fail(Kind::invalid_input, "a site of the quorum cannot be called root");
  return Bootstrap(root).run(sites);
}

}  // namespace domicile::etcd
