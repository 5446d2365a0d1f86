// domicile quorum init: users and roles of a quorum that an administrator has started.
#include <algorithm>

#include "cli/registry.hpp"
#include "engines/etcd/bootstrap.hpp"

namespace domicile::cli {

namespace {

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> items;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    if (comma > at) items.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return items;
}

// SITE and PASSWORD_FILE of a word; empty: it is not of that form.
std::pair<std::string, std::string> site_user(const std::string& word) {
  const auto equals = word.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == word.size()) return {};
  return {word.substr(0, equals), word.substr(equals + 1)};
}

Result<void> check(const Args& args) {
  for (const auto& word : args.words)
    if (site_user(word).first.empty())
      return fail(Kind::invalid_input, fmt::format("'{}' is not SITE=PASSWORD_FILE", word));
  for (const auto& voter : split(args.get("voters")))
    if (std::ranges::none_of(args.words, [&](const auto& word) { return site_user(word).first == voter; }))
      return fail(Kind::invalid_input, fmt::format("the voter {} has no {}=PASSWORD_FILE", voter, voter));
  return {};
}

Result<Exit> run(const Args& args, Io& io) {
  const etcd::Access root{.endpoints = split(args.get("endpoints")),
                          .tls = {args.get("ca"), args.get("certificate"), args.get("key")},
                          .user = "root",
                          .password_file = args.get("root-password")};
  const auto voters = split(args.get("voters"));
  std::vector<etcd::SiteUser> users;
  for (const auto& word : args.words) {
    const auto [site, file] = site_user(word);
    users.push_back({site, file, std::find(voters.begin(), voters.end(), site) != voters.end()});
  }
  for (const auto& change : TRY(etcd::ensure_auth(root, users))) io.out << change << '\n';
  io.err << "the quorum's users are as they should be\n";
  return Exit::ok;
}

}  // namespace

Verb quorum_init_verb() {
  return {"quorum init",
          "Set up etcd's users: root, and one for each site with no more rights than it needs. Safe to repeat.",
          {"SITE=PASSWORD_FILE..."},
          {{"endpoints", "URLS", "etcd's members, with commas between them", true},
           {"ca", "FILE", "whose certificates are trusted", true},
           {"certificate", "FILE", "the client's own certificate, without a common name", true},
           {"key", "FILE", "its key", true},
           {"root-password", "FILE", "the password of etcd's root, 0600", true},
           {"voters", "SITES", "sites that hold no data: they may only read"}},
          {"domicile quorum init --endpoints https://10.10.0.1:2379,https://10.20.0.1:2379 --ca ca.pem "
           "--certificate etcd-client.pem --key etcd-client.key --root-password root.password "
           "us-east-1=us.password eu-central-1=eu.password eu-west-1=west.password"},
          run,
          check};
}

}  // namespace domicile::cli
