// Where the census looks: every byte that those sites of a lab hold which may not hold a residency in full.
#pragma once
#include <map>

#include "census/census.hpp"
#include "drill/field.hpp"

namespace domicile::prove {

using census::Place;

// Regions whose jurisdiction holds less than `full` of it, and voters, which hold nothing of anything.
std::vector<std::string> forbidden_sites(const topology::Topology& topology, const std::string& residency);

// The folders of a lab, and who speaks from which address inside it.
struct Layout {
  fs::path directory;                            // see lab.hpp
  fs::path recorded;                             // of `--record`
  std::map<std::string, std::string> addresses;  // site -> its own
};

// What lies on the disk of the sites `forbidden`, and of the lab itself, as it is now:
//
//   SITE: NAME        each entry of sites/SITE, whatever it is: postgres, etcd, agent, gate, gateway, logs …
//   SITE: tablespace  outside of its data directory
//   SITE: certs       its keys and certificates
//   SITE: tls NAME    what was said on the inner side of TLS, but for what clients in and before the site said to its
//                     servers: an attacker's own words
//   wan: FROM-TO      what the relay recorded of the ways that begin or end there
//   lab: NAME         what the lab keeps beside the sites. Not bin: copies of programs, made before anything was
//   planted
std::vector<Place> places_on_disk(const Layout& layout, const std::vector<std::string>& forbidden);

// What an agent is asked for: all that it tells without being asked about one thing.
std::vector<std::string> questions_to_agent(const topology::Topology& topology);

// The places of a running lab: those on the disk, and for each site that lives
//
//   SITE: answers     what agent and gate answer when they are asked: metrics, status, observed, events, denials …
//   SITE: deleted     files that its processes hold open and that have no name any more
//
// `scratch`: an empty folder outside of the lab; answers and deleted files are copied there, and it must outlive the
// census. `conflict` when the lab does not record. An agent or gate that should answer and does not becomes a place
// that is not there, which the census calls unsearched.
Result<std::vector<Place>> forbidden_places(const drill::Field& field, const std::string& residency,
                                            const fs::path& scratch);

}  // namespace domicile::prove
