// What a region's PostgreSQL should look like: a pure function of the topology, the authority and what salvage is open.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/desired/law.hpp"
#include "core/desired/seen.hpp"
#include "core/residency/links.hpp"

namespace domicile::desired {

inline constexpr int kSchemaVersion = 6;
inline constexpr std::string_view kAgentRole = "domicile_agent";
inline constexpr std::string_view kGateRole = "domicile_gate";  // the only one that replicates on behalf of peers

// domicile_link_<peer>, '-' as '_'. Its login ends at the gate; in the database it is a role without login, which reads
// the first rows of its links and nothing else.
std::string link_role(std::string_view peer);
// A second slot of that link's, where what has changed since a takeover is read while the first one is made anew.
std::string since_slot(std::string_view link);
// The row filter as PostgreSQL prints it, without identifier quotes.
std::string filter_text(std::string_view column, std::string_view residency);

struct Publication {
  std::string name;
  std::vector<PublishedTable> tables;  // sorted
  bool operator==(const Publication&) const = default;
};

struct Subscription {
  std::string name, from;  // its publication and slot have the same name
  bool enabled = false;    // `from` owns the residency now
  bool operator==(const Subscription&) const = default;
};

struct Desired {
  std::string region;
  std::map<std::string, Publication> publications;
  std::map<std::string, Subscription> subscriptions;
  std::set<std::string> slots;
  std::set<std::string> kept;  // of an ended epoch: neither changed nor dropped while its salvage is open
  std::map<std::string, SeenRole> roles;
  std::set<std::string> guarded;    // qualified mapped tables; their partitions come with them
  std::map<std::string, Law> laws;  // of those; none: a table that may hold everything here
  bool observe = false;             // the guard only logs
  bool operator==(const Desired&) const = default;
};

struct Context {
  const topology::Topology& topology;
  std::string region;
  residency::Owners owners = {};
  // Residencies whose salvage of an ended epoch is not closed: their slots and publications stay, even when the
  // topology has dropped them.
  std::set<std::string> salvage_open = {};
  bool observe = false;
  // Nobody was asked: `owners` are the homes. Then nothing that may belong to an ended epoch is touched.
  bool owners_assumed = false;
  std::optional<topology::Date> today = {};  // judges acceptances of objects; empty: none has expired
};

// `seen` tells the columns of each replica identity, which every column list has to hold, and names what salvage keeps.
Desired desired_state(const Context& context, const Seen& seen);

}  // namespace domicile::desired
