// What a region's PostgreSQL looks like, as a value: everything that the difference to the desired state and the
// readiness of a schema are decided from. Nothing volatile: two observations of an unchanged database are equal.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "core/topology/topology.hpp"

namespace domicile::desired {

struct SeenColumn {
  std::string name, type;  // as format_type prints it: text, numeric(10,2)
  bool not_null = false, generated = false;
  std::string otherwise = {};  // its default, as an expression; empty: NULL
  bool steady = true;  // that is the same value in every row: no function that is volatile, stable or not built in
  bool operator==(const SeenColumn&) const = default;
};

struct SeenUnique {  // a unique index, whether a constraint made it or not
  std::string name;
  std::vector<std::string> columns;  // empty string: an expression
  bool primary = false, partial = false, deferrable = false;
  bool operator==(const SeenUnique&) const = default;
};

enum class GuardState { none, broken, whole };  // broken: a trigger is missing, or disabled

struct SeenTable {
  std::string schema, name, owner;
  std::string kind = "table";             // table, partitioned, foreign, view, other
  std::string persistence = "permanent";  // permanent, unlogged, temporary
  std::string parent = {};                // qualified, of a partition
  std::vector<SeenColumn> columns = {};
  std::vector<SeenUnique> uniques = {};
  std::vector<std::string> identity = {};  // columns of the replica identity; empty: none, or FULL
  bool identity_full = false;
  GuardState guard = GuardState::none;
  std::vector<std::string> writers = {};       // login roles but superusers that may write it
  std::vector<std::string> truncaters = {};    // the same, TRUNCATE
  std::vector<std::string> owner_logins = {};  // login roles but superusers that are its owner, or members of it
  bool agent_granted = false;                  // domicile_agent may read and write it
  bool public_reads = false;                   // PUBLIC may read a column of it
  std::string law = {};                        // what it is held to, see law.hpp; empty: nothing
  std::vector<std::string> after_law = {};     // BEFORE ROW triggers of others that would fire after the law's
  std::string qualified() const { return schema + "." + name; }
  bool operator==(const SeenTable&) const = default;
};

// What is not mapped and may hold tenants' rows or let them out, see objects.hpp.
struct SeenObject {
  topology::ObjectKind kind = topology::ObjectKind::table;
  std::string name;      // qualified; a function with the types of its arguments
  std::string how = {};  // unlogged; a function's language, a foreign table's server, a slot's plugin or physical …
  std::vector<std::string> columns = {};  // of a table: those that are called as a mapped table's tenant or residency
  std::vector<std::string> mapped = {};   // mapped tables that it reads, refers to or feeds
  bool definer = false;                   // a function that runs as its owner, who may read mapped tables
  bool open = false;                      // PUBLIC or a link's role may read or call it
  bool operator==(const SeenObject&) const = default;
};

struct SeenSetting {
  std::string name, value;
  std::string scope = {};  // of a role or database, as ALTER names it; empty: everybody's
  bool operator==(const SeenSetting&) const = default;
};

struct PublishedTable {
  std::string table;                 // qualified
  std::vector<std::string> columns;  // sorted; empty: every column
  std::string filter = {};           // (residency = 'us'::text), as pg_get_expr prints it without quotes; empty: none
  auto operator<=>(const PublishedTable&) const = default;
};

struct SeenPublication {
  std::string name;
  bool ours = false;  // in our registry
  bool all_tables = false, via_root = false;
  std::string publish = "insert, update, delete";
  std::vector<PublishedTable> tables = {};  // sorted
  bool operator==(const SeenPublication&) const = default;
};

struct SeenSubscription {
  std::string name, slot;  // slot empty: NONE
  bool enabled = false, ours = false;
  bool operator==(const SeenSubscription&) const = default;
};

struct SeenRole {
  bool login = false, replication = false, superuser = false, bypass_rls = false;
  bool ours = true;  // in our registry
  bool operator==(const SeenRole&) const = default;
};

struct SeenServer {
  int version = 0;  // 150020
  std::string database, system_id, wal_level = "logical", fsync = "on", synchronous_commit = "on";
  int max_prepared_transactions = 0;
  bool superuser = true;  // whoever looked
  bool operator==(const SeenServer&) const = default;
};

struct Seen {
  SeenServer server;
  std::optional<int> schema_version;  // of `domicile`; empty: not installed
  bool foreign_schema = false;        // a schema `domicile` that is not ours
  bool guard_installed = false, guard_observes = false;
  std::string guard_form;                   // c, portable; empty: none
  std::map<std::string, SeenTable> tables;  // mapped tables and their partitions, those that exist
  std::map<std::string, SeenPublication> publications;
  std::map<std::string, SeenSubscription> subscriptions;
  std::set<std::string> our_slots;  // of publications that were ours and are gone
  // Links whose slot here carries, or carried, an epoch that this region owned, by its journal. Changes with every
  // switch and is therefore no part of what a plan is bound to; the steps that follow from it are.
  std::set<std::string> carried;
  std::set<std::string> slots;            // names of logical slots of this database
  std::map<std::string, SeenRole> roles;  // those called domicile_%
  std::set<std::string> replicators;      // other roles with REPLICATION, but superusers
  std::vector<SeenObject> objects;        // by kind and name
  std::vector<SeenSetting> settings;      // those that decide what the server's log and archive hold
  bool operator==(const Seen&) const = default;
};

Json to_json(const Seen& seen);
// What a saved plan is bound to.
std::string base_hash(const Seen& seen);

}  // namespace domicile::desired
