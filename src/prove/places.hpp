// Where the census looks: every byte that those sites of a lab hold which may not hold a residency in full.
#pragma once
#include "census/census.hpp"
#include "drill/field.hpp"

namespace domicile::prove {

// Regions whose jurisdiction holds less than `full` of it, and voters, which hold nothing of anything.
std::vector<std::string> forbidden_sites(const topology::Topology& topology, const std::string& residency);

// The places of all forbidden sites, as they are now; names begin with the site or with "wan":
//
//   SITE: NAME        each entry of sites/SITE, whatever it is: postgres, etcd, agent, gate, gateway, logs …
//   SITE: certs       its keys and certificates
//   SITE: answers     what agent and gate answer when they are asked: metrics, status, observed, events, denials …
//   SITE: deleted     files that its processes hold open and that have no name any more
//   SITE: tls …       what was said on the inner side of TLS, but for what clients in and before the site said to it:
//                     an attacker's own words
//   wan: FROM-TO      what the relay recorded of the ways that begin or end there
//   lab: NAME         what the lab itself keeps beside the sites
//
// `scratch`: an empty folder outside of the lab; answers and deleted files are copied there, and it must outlive the
// census. `conflict` when the lab does not record. An agent or gate that should answer and does not becomes a place
// that is not there, which the census calls unsearched.
Result<std::vector<census::Place>> forbidden_places(const drill::Field& field, const std::string& residency,
                                                    const fs::path& scratch);

}  // namespace domicile::prove
