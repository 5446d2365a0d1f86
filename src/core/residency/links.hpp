// Links: every flow of data that a topology calls for. All replication, in every engine, is these.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/topology/topology.hpp"

namespace domicile::residency {

using topology::Form;

struct Link {
  std::string residency;
  std::string from, to;    // regions: a potential owner, and a receiver other than it
  Form form = Form::full;  // what the receiver's jurisdiction may hold; never none
  bool operator==(const Link&) const = default;
};

// domicile_<residency>_<from>_<to>, '-' as '_': the publication, the slot and the subscription of the link. Parsing a
// topology has made sure that it is unique and fits into PostgreSQL's 63 bytes.
using topology::link_name;
inline std::string name_of(const Link& link) { return link_name(link.residency, link.from, link.to); }
// The full-column publication from which salvage is read: domicile_salvage_<residency>.
std::string salvage_publication(std::string_view residency);

// All of them, from the first day: sorted by residency, then home, standbys in their order, receivers by name.
std::vector<Link> links_of(const topology::Topology& topology);

using Owners = std::map<std::string, std::string>;  // residency -> current owner

// Those whose `from` owns their residency now; the others are the reverse slots. A residency without owner has none.
std::vector<Link> active_links(const topology::Topology& topology, const Owners& owners);

// A table as a link carries it.
struct CarriedTable {
  std::string schema, name;
  std::string residency_column;      // of type text, NOT NULL, part of the replica identity; empty: every row belongs
  std::vector<std::string> columns;  // what this link's form lets out; the residency is one of them
  std::string qualified() const { return schema + "." + name; }
  bool operator==(const CarriedTable&) const = default;
};
// What a link of that residency carries beside the marker table. Those of the reserved residency `directory` name
// residencies as data, so none of their rows is filtered.
std::vector<CarriedTable> carried_tables(const topology::Topology& topology, std::string_view residency, Form form);
// domicile.marker is one more table of each link.
CarriedTable marker_table();

// The columns that `form` lets out: residency and tenant first, then shared, then (full only) personal, in the file's
// order. None for Form::none.
std::vector<std::string> columns_for(const topology::Table& table, Form form);

// SHA-256, hex, of the canonical JSON of all that decides where data may be: regions, residencies, tables. Neither the
// file's layout nor times, approvals and acceptances change it.
std::string policy_hash(const topology::Topology& topology);
std::string policy_text(const topology::Topology& topology);  // what is hashed

}  // namespace domicile::residency
