// A link as its two ends see it, and the journals that both keep.
//
// At the exporting region one slot and one publication, at the importing one a subscription, all with the link's name.
// The tables of the schema `domicile` that this folder reads and writes are made by link_tables_sql() of
// schema_sql.hpp.
#pragma once
#include <string>
#include <vector>

#include "core/authority/record.hpp"
#include "core/residency/links.hpp"
#include "engines/postgres/links/sql.hpp"

namespace domicile::postgres::links {

using authority::Epoch;
using authority::Marker;
using authority::Position;

using MappedTable = residency::CarriedTable;

struct LinkSpec {
  std::string residency, from, to;
  std::string name;                 // residency::link_name(…): publication, slot and subscription
  std::vector<MappedTable> tables;  // without the marker table, which every link carries
};

// Its rows are in the first rows as well, since an UPDATE whose row is missing at the receiver is skipped silently.
using residency::marker_table;

// All that the link carries: its tables, then the marker table.
std::vector<MappedTable> tables_of(const LinkSpec& link);

// SQL: a table's name, its columns, and which of its rows belong to the link. A table without a residency column is the
// residency's whole.
std::string name_of(const Sql& sql, const MappedTable& table);
std::string column_list(const Sql& sql, const MappedTable& table);
std::string belongs(const Sql& sql, const LinkSpec& link, const MappedTable& table);

// One row of link_journal.
struct LinkJournal {
  std::string session;  // of the first rows that the slot began with; empty: a reverse slot
  Position position;    // out: the slot's; in: what was applied, in the source's numbering
  std::string state;    // out: exporting, ready. in: following, stopped, resync
  std::string reason;   // one sentence, for resync
};
Result<std::optional<LinkJournal>> read_link_journal(const Sql& sql, const std::string& link, bool outbound);
Result<void> write_link_journal(const Sql& sql, const std::string& link, bool outbound, const LinkJournal& journal);

}  // namespace domicile::postgres::links
