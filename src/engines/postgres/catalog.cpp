#include "engines/postgres/catalog.hpp"

#include <algorithm>

#include "core/desired/desired.hpp"
#include "engines/postgres/objects.hpp"

namespace domicile::postgres {
namespace {

using desired::GuardState;
using desired::Seen;
using desired::SeenTable;

std::vector<std::string> list_of(std::string_view json) {
  std::vector<std::string> out;
  const auto parsed = parse_json(json, "a list");
  if (parsed && parsed->is_array())
    for (const auto& item : *parsed) out.push_back(item.is_string() ? item.get<std::string>() : std::string());
  return out;
}

std::string array_of(const std::vector<std::string>& names) {
  std::string out = "{";
  for (const auto& name : names) out += (out.size() > 1 ? ",\"" : "\"") + name + "\"";  // identifiers: no quotes inside
  return out + "}";
}

Result<void> read_server(Connection& connection, Seen& seen) {
  const auto rows = TRY(connection.exec(
      "SELECT pg_catalog.current_database(), (SELECT system_identifier FROM pg_catalog.pg_control_system()), "
      "pg_catalog.current_setting('wal_level'), pg_catalog.current_setting('fsync'), "
      // The session's own value may be set; what other sessions begin with is reset_val.
      "(SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'synchronous_commit'), "
      "pg_catalog.current_setting('max_prepared_transactions'), "
      "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)"));
  auto& server = seen.server;
  server.version = connection.server_version();
  server.database = rows.text(0, 0);
  server.system_id = rows.text(0, 1);
  server.wal_level = rows.text(0, 2);
  server.fsync = rows.text(0, 3);
  server.synchronous_commit = rows.text(0, 4);
  server.max_prepared_transactions = static_cast<int>(rows.integer_or(0, 5, 0));
  server.superuser = rows.truth(0, 6);
  return {};
}

Result<std::set<std::pair<std::string, std::string>>> read_schema(Connection& connection, Seen& seen) {
  std::set<std::pair<std::string, std::string>> registry;
  const auto rows =
      TRY(connection.exec("SELECT pg_catalog.to_regnamespace('domicile') IS NOT NULL, "
                          "pg_catalog.to_regclass('domicile.version') IS NOT NULL "
                          "AND pg_catalog.to_regclass('domicile.object_registry') IS NOT NULL, "
                          "pg_catalog.to_regproc('domicile.guard_form') IS NOT NULL, "
                          // The youngest of the guard's functions: a guard without them is installed anew.
                          "pg_catalog.to_regprocedure('domicile.guard_law_table(regclass, text, text[])') IS NOT NULL "
                          "AND pg_catalog.to_regprocedure('domicile.lease_waits(text, boolean)') IS NOT NULL"));
  if (!rows.truth(0, 1)) {
    // An empty schema, as another part may have made it, is no obstacle.
    const auto objects = TRY(connection.exec(
        "SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.to_regnamespace('domicile')"));
    seen.foreign_schema = rows.truth(0, 0) && objects.integer_or(0, 0, 0) > 0;
    return registry;
  }
  const auto version = TRY(connection.exec("SELECT max(version) FROM domicile.version"));
  if (!version.null(0, 0)) seen.schema_version = static_cast<int>(version.integer_or(0, 0, 0));
  const auto objects = TRY(connection.exec("SELECT kind, name, detail ->> 'observe' FROM domicile.object_registry"));
  for (int r = 0; r < objects.size(); ++r) {
    registry.emplace(objects.text(r, 0), objects.text(r, 1));
    if (objects.at(r, 0) == "guard") {
      seen.guard_installed = true;
      seen.guard_form = objects.text(r, 1);
      seen.guard_observes = objects.at(r, 2) == "true";
    }
  }
  // Registered, but somebody removed it by hand.
  if (!rows.truth(0, 2)) seen.guard_form.clear();
  seen.guard_installed = seen.guard_installed && rows.truth(0, 3);
  return registry;
}

// Mapped tables and every partition below them (`root` is the mapped one).
constexpr const char* kTables = R"sql(
WITH RECURSIVE mapped AS (
  SELECT c.oid, c.oid AS root FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname || '.' || c.relname = ANY ($1::text[])
  UNION ALL
  SELECT i.inhrelid, m.root FROM mapped m JOIN pg_catalog.pg_inherits i ON i.inhparent = m.oid)
SELECT n.nspname, c.relname, pg_catalog.pg_get_userbyid(c.relowner),
  CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'f' THEN 'foreign table' WHEN 'v' THEN 'view'
    WHEN 'm' THEN 'materialized view' ELSE 'other' END,
  CASE c.relpersistence WHEN 'p' THEN 'permanent' WHEN 'u' THEN 'unlogged' ELSE 'temporary' END,
  CASE WHEN m.oid <> m.root THEN (SELECT rn.nspname || '.' || rc.relname FROM pg_catalog.pg_class rc
    JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace WHERE rc.oid = m.root) END,
  c.relreplident = 'f',
  (SELECT coalesce(pg_catalog.json_agg(r.rolname ORDER BY r.rolname), '[]') FROM pg_catalog.pg_roles r
   WHERE r.rolcanlogin AND NOT r.rolsuper AND pg_catalog.pg_has_role(r.oid, c.relowner, 'MEMBER')),
  (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(a.attname,
     pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated <> '',
     CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
     -- Constants, and built-in functions and operators whose answer never changes.
     d.adbin IS NULL OR d.adbin::text !~ '\{(?!CONST|RELABELTYPE|FUNCEXPR|OPEXPR)' AND NOT EXISTS (
       SELECT FROM pg_catalog.regexp_matches(d.adbin::text, ':(?:op)?funcid ([0-9]+)', 'g') f(id)
       JOIN pg_catalog.pg_proc p ON p.oid = f.id[1]::oid
       WHERE p.provolatile <> 'i' OR p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace)) ORDER BY a.attnum), '[]')
   FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(ic.relname, x.indisprimary, x.indpred IS NOT NULL,
     NOT x.indimmediate, (SELECT pg_catalog.json_agg(a.attname ORDER BY k.ordinality)
       FROM pg_catalog.unnest(x.indkey) WITH ORDINALITY k(attnum, ordinality) LEFT JOIN pg_catalog.pg_attribute a
         ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum > 0
       WHERE k.ordinality <= x.indnkeyatts)) ORDER BY ic.relname), '[]')
   FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
   WHERE x.indrelid = c.oid AND x.indisunique),
  (SELECT coalesce(pg_catalog.json_agg(a.attname ORDER BY a.attname), '[]')
   FROM pg_catalog.pg_index x JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey)
   WHERE x.indrelid = c.oid AND x.indisvalid AND (c.relreplident = 'd' AND x.indisprimary
     OR c.relreplident = 'i' AND x.indisreplident)),
  (SELECT coalesce(pg_catalog.json_agg(r.rolname ORDER BY r.rolname), '[]') FROM pg_catalog.pg_roles r
   WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolname !~ '^domicile_'
     AND pg_catalog.has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE')),
  (SELECT coalesce(pg_catalog.json_agg(r.rolname ORDER BY r.rolname), '[]') FROM pg_catalog.pg_roles r
   WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolname !~ '^domicile_'
     AND pg_catalog.has_table_privilege(r.oid, c.oid, 'TRUNCATE')),
  -- Ours, by tgtype: INSERT 4, DELETE 8, UPDATE 16, TRUNCATE 32, all covered by triggers that are ENABLE ALWAYS.
  (SELECT count(*) FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
   JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace WHERE t.tgrelid = c.oid AND pn.nspname = 'domicile'
   AND t.tgname <> '~domicile_law'),
  (SELECT pg_catalog.bit_or(t.tgtype) & 60 = 60 AND pg_catalog.bool_and(t.tgenabled = 'A')
   FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
   JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace WHERE t.tgrelid = c.oid AND pn.nspname = 'domicile'
   AND t.tgname <> '~domicile_law'),
  (SELECT pg_catalog.bool_and(pg_catalog.has_table_privilege(r.oid, c.oid, p)) AND
     pg_catalog.bool_and(pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE'))
   FROM pg_catalog.pg_roles r, pg_catalog.unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
   WHERE r.rolname = 'domicile_agent'),
  (SELECT coalesce(pg_catalog.json_agg(t.tgname ORDER BY t.tgname), '[]') FROM pg_catalog.pg_trigger t
   WHERE t.tgrelid = c.oid AND t.tgtype & 3 = 3 AND t.tgtype & 20 <> 0 AND t.tgparentid = 0
     AND t.tgname > '~domicile_law')
FROM mapped m JOIN pg_catalog.pg_class c ON c.oid = m.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY 1, 2)sql";

Result<void> read_tables(Connection& connection, const topology::Topology& topology, Seen& seen) {
  std::vector<std::string> names;
  for (const auto& table : topology.tables) names.push_back(table.qualified());
  const auto rows = TRY(connection.exec_params(kTables, {array_of(names)}));
  for (int r = 0; r < rows.size(); ++r) {
    SeenTable table{rows.text(r, 0), rows.text(r, 1), rows.text(r, 2),
                    rows.text(r, 3), rows.text(r, 4), rows.text(r, 5)};
    table.identity_full = rows.truth(r, 6);
    table.owner_logins = list_of(rows.at(r, 7));
    for (const auto& c : TRY(parse_json(rows.at(r, 8), "columns")))
      table.columns.push_back({c[0].get<std::string>(), c[1].get<std::string>(), c[2].get<bool>(), c[3].get<bool>(),
                               c[4].is_string() ? c[4].get<std::string>() : std::string(), c[5].get<bool>()});
    for (const auto& u : TRY(parse_json(rows.at(r, 9), "indexes"))) {
      desired::SeenUnique unique{u[0].get<std::string>(), {}, u[1].get<bool>(), u[2].get<bool>(), u[3].get<bool>()};
      for (const auto& c : u[4]) unique.columns.push_back(c.is_string() ? c.get<std::string>() : std::string());
      table.uniques.push_back(std::move(unique));
    }
    table.identity = list_of(rows.at(r, 10));
    table.writers = list_of(rows.at(r, 11));
    table.truncaters = list_of(rows.at(r, 12));
    if (rows.integer_or(r, 13, 0) > 0) table.guard = rows.truth(r, 14) ? GuardState::whole : GuardState::broken;
    table.agent_granted = rows.truth(r, 15);
    table.after_law = list_of(rows.at(r, 16));
    const auto name = table.qualified();
    seen.tables.emplace(name, std::move(table));
  }
  return {};
}

// What the guard itself knows of its triggers: it misses one whose condition is another one, too.
Result<void> read_guard(Connection& connection, Seen& seen) {
  if (!seen.guard_installed) return {};
  const auto missing = TRY(connection.exec(
      "SELECT DISTINCT n.nspname || '.' || c.relname FROM domicile.guard_missing() m JOIN pg_catalog.pg_class c "
      "ON c.oid = m.table_oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"));
  for (int r = 0; r < missing.size(); ++r)
    if (const auto found = seen.tables.find(missing.text(r, 0));
        found != seen.tables.end() && found->second.guard == GuardState::whole)
      found->second.guard = GuardState::broken;
  const auto laws = TRY(connection.exec(
      "SELECT n.nspname || '.' || c.relname, l.condition FROM domicile.guard_law l JOIN pg_catalog.pg_class c "
      "ON c.oid = l.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"));
  for (int r = 0; r < laws.size(); ++r)
    if (const auto found = seen.tables.find(laws.text(r, 0)); found != seen.tables.end())
      found->second.law = laws.text(r, 1);
  return {};
}

Result<void> read_links(Connection& connection, const std::set<std::pair<std::string, std::string>>& registry,
                        Seen& seen) {
  const auto publications = TRY(connection.exec(
      "SELECT pubname, puballtables, pubviaroot, pg_catalog.concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END, "
      "CASE WHEN pubupdate THEN 'update' END, CASE WHEN pubdelete THEN 'delete' END, "
      "CASE WHEN pubtruncate THEN 'truncate' END) FROM pg_catalog.pg_publication"));
  for (int r = 0; r < publications.size(); ++r) {
    const auto name = publications.text(r, 0);
    seen.publications[name] = {name, registry.contains({"publication", name}), publications.truth(r, 1),
                               publications.truth(r, 2), publications.text(r, 3)};
  }
  // A schema's publication (FOR TABLES IN SCHEMA) lets out its tables too, present and future.
  const auto tables = TRY(connection.exec(
      "SELECT p.pubname, n.nspname || '.' || c.relname, pg_catalog.pg_get_expr(pr.prqual, pr.prrelid), "
      "(SELECT coalesce(pg_catalog.json_agg(a.attname ORDER BY a.attname COLLATE \"C\"), '[]') "
      " FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (pr.prattrs)) "
      "FROM pg_catalog.pg_publication_rel pr JOIN pg_catalog.pg_publication p ON p.oid = pr.prpubid "
      "JOIN pg_catalog.pg_class c ON c.oid = pr.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
      "UNION ALL SELECT p.pubname, n.nspname || '.' || c.relname, NULL, '[]' "
      "FROM pg_catalog.pg_publication_namespace pn JOIN pg_catalog.pg_publication p ON p.oid = pn.pnpubid "
      "JOIN pg_catalog.pg_namespace n ON n.oid = pn.pnnspid JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid "
      "AND c.relkind IN ('r', 'p')"));
  for (int r = 0; r < tables.size(); ++r) {
    auto filter = tables.text(r, 2);
    std::erase(filter, '"');
    auto& publication = seen.publications[tables.text(r, 0)];
    publication.tables.push_back({tables.text(r, 1), list_of(tables.at(r, 3)), std::move(filter)});
  }
  for (auto& [name, publication] : seen.publications) std::sort(publication.tables.begin(), publication.tables.end());

  const auto subscriptions = TRY(connection.exec(
      "SELECT s.subname, s.subslotname, s.subenabled FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d "
      "ON d.oid = s.subdbid WHERE d.datname = pg_catalog.current_database()"));
  for (int r = 0; r < subscriptions.size(); ++r) {
    const auto name = subscriptions.text(r, 0);
    seen.subscriptions[name] = {name, subscriptions.text(r, 1), subscriptions.truth(r, 2),
                                registry.contains({"subscription", name})};
  }
  const auto slots =
      TRY(connection.exec("SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE slot_type = 'logical' AND NOT "
                          "temporary AND database = "
                          "pg_catalog.current_database()"));
  for (int r = 0; r < slots.size(); ++r) {
    seen.slots.insert(slots.text(r, 0));
    if (registry.contains({"slot", slots.text(r, 0)})) seen.our_slots.insert(slots.text(r, 0));
  }
  const auto roles = TRY(
      connection.exec("SELECT rolname, rolcanlogin, rolreplication, rolsuper, rolbypassrls FROM pg_catalog.pg_roles "
                      "WHERE rolname ~ '^domicile_((agent|gate)$|link_)'"));
  for (int r = 0; r < roles.size(); ++r)
    seen.roles[roles.text(r, 0)] = {roles.truth(r, 1), roles.truth(r, 2), roles.truth(r, 3), roles.truth(r, 4),
                                    registry.contains({"role", roles.text(r, 0)})};
  const auto replicators =
      TRY(connection.exec("SELECT rolname FROM pg_catalog.pg_roles WHERE rolreplication AND NOT rolsuper "
                          "AND rolname !~ '^domicile_((agent|gate)$|link_)'"));
  for (int r = 0; r < replicators.size(); ++r) seen.replicators.insert(replicators.text(r, 0));
  const auto journal = TRY(connection.exec("SELECT pg_catalog.to_regclass('domicile.link_journal') IS NOT NULL"));
  if (!journal.truth(0, 0)) return {};
  const auto carried = TRY(
      connection.exec("SELECT link FROM domicile.link_journal WHERE side = 'out' AND state IN ('exporting', 'ready')"));
  for (int r = 0; r < carried.size(); ++r) seen.carried.insert(carried.text(r, 0));
  return {};
}

}  // namespace

Result<Seen> observe_inside(Connection& connection, const topology::Topology& topology) {
  Seen seen;
  CHECK_OK(read_server(connection, seen));
  const auto registry = TRY(read_schema(connection, seen));
  CHECK_OK(read_tables(connection, topology, seen));
  CHECK_OK(read_guard(connection, seen));
  CHECK_OK(read_links(connection, registry, seen));
  CHECK_OK(read_objects(connection, topology, seen));
  return seen;
}

Result<Seen> observe(Connection& connection, const topology::Topology& topology) {
  auto transaction = TRY(Transaction::begin(connection, "ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  auto seen = TRY(observe_inside(connection, topology));
  CHECK_OK(transaction.commit());
  return seen;
}

}  // namespace domicile::postgres
