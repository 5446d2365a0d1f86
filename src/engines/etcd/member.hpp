// How a member of the quorum is started: the one source of etcd's settings, for the lab, the tests and deploy/.
//
// Certificates (etcd 3.4, tried): the member's own one needs serverAuth and clientAuth, because its JSON gateway dials
// its own gRPC port with it ("connection closed" otherwise). A *client's* certificate must have no common name, because
// the gateway refuses every call of one that has, as soon as authentication is on; a subject such as O= is fine.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/http_client.hpp"

namespace domicile::etcd {

struct Member {
  std::string name;  // the site's
  fs::path data;
  std::string client_url, peer_url;            // listened at and advertised; https
  std::map<std::string, std::string> cluster;  // name -> peer URL of every member, this one included
  std::string cluster_token = "domicile";      // keeps two clusters apart that were given the same addresses
  TlsFiles tls;                                // for clients and for peers
  bool joins = false;                          // a running cluster (after `etcdctl member add`), not a new one
};

// What must hold for every member of every quorum, as etcd's long options without dashes. Domicile's lease times are
// computed with these elections.
std::map<std::string, std::string> member_settings();
// All arguments, without the program's name.
std::vector<std::string> member_flags(const Member& member);

}  // namespace domicile::etcd
