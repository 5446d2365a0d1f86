#include "engines/postgres/objects.hpp"

#include <algorithm>
#include <tuple>

#include "core/desired/objects.hpp"
#include "core/desired/value_logs.hpp"

namespace domicile::postgres {
namespace {

using desired::Seen;
using desired::SeenObject;

template <class Range>
std::string array_of(const Range& names) {
  std::string out = "{";
  for (const auto& name : names) {
    out += out.size() > 1 ? ",\"" : "\"";
    out += name;  // identifiers and names of ours: no quotes inside
    out += '"';
  }
  return out + "}";
}

std::vector<std::string> list_of(const Json& json) {
  std::vector<std::string> out;
  for (const auto& item : json)
    if (item.is_string()) out.push_back(item.get<std::string>());
  return out;
}

// $1: mapped tables, $2: columns by which an unmapped table is one of tenants' rows, $3: extensions that reach out.
// `mapped` has their partitions too. Temporary tables and views are their session's own and not
// looked at.
constexpr const char* kObjects = R"sql(
WITH RECURSIVE mapped AS (
  SELECT c.oid, n.nspname || '.' || c.relname AS root FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname || '.' || c.relname = ANY ($1::text[])
  UNION ALL
  SELECT i.inhrelid, m.root FROM mapped m JOIN pg_catalog.pg_inherits i ON i.inhparent = m.oid
), theirs AS (
  SELECT oid, nspname FROM pg_catalog.pg_namespace
  WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'domicile') AND nspname !~ '^pg_(toast|temp_|toast_temp_)'
), over AS (  -- views of mapped tables, and views of those
  SELECT r.ev_class AS view, m.root FROM mapped m JOIN pg_catalog.pg_depend d
    ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = m.oid
    AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid WHERE r.ev_class <> m.oid
  UNION
  SELECT r.ev_class, o.root FROM over o JOIN pg_catalog.pg_depend d
    ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = o.view
    AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid WHERE r.ev_class <> o.view
), links AS (SELECT oid FROM pg_catalog.pg_roles WHERE rolname ~ '^domicile_link_'
), tables AS (
  SELECT c.oid, CASE c.relkind WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind,
    n.nspname || '.' || c.relname AS name, CASE WHEN c.relkind = 'f' THEN (SELECT s.srvname::text
      FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
      WHERE f.ftrelid = c.oid) WHEN c.relpersistence = 'u' THEN 'unlogged' ELSE '' END AS how,
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
      AND NOT a.attisdropped AND a.attname = ANY ($2::text[]) ORDER BY 1) AS columns,
    ARRAY(SELECT DISTINCT m.root FROM pg_catalog.pg_constraint k JOIN mapped m ON m.oid = k.confrelid
      WHERE k.contype = 'f' AND k.conrelid = c.oid ORDER BY 1) AS refers
  FROM pg_catalog.pg_class c JOIN theirs n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'f') AND NOT (c.relispartition AND c.relkind <> 'f')
    AND NOT EXISTS (SELECT FROM mapped m WHERE m.oid = c.oid)
), functions AS (
  SELECT n.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' AS name, l.lanname,
    l.lanpltrusted AS trusted, p.prosecdef AND p.prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype,
      'pg_catalog.event_trigger'::pg_catalog.regtype) AND EXISTS (SELECT FROM mapped m
      WHERE pg_catalog.has_any_column_privilege(p.proowner, m.oid, 'SELECT')) AS definer,
    pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')
      OR EXISTS (SELECT FROM links r WHERE pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')) AS open
  FROM pg_catalog.pg_proc p JOIN theirs n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  -- An extension's own functions came with it; those that reach out are told by the extension's name.
  WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    AND d.objid = p.oid AND d.deptype = 'e')
)
SELECT kind, name, how, pg_catalog.to_json(columns), pg_catalog.to_json(refers), false, false FROM tables
WHERE kind = 'foreign table' OR how = 'unlogged' OR pg_catalog.cardinality(columns) + pg_catalog.cardinality(refers) > 0
UNION ALL
SELECT CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END, n.nspname || '.' || c.relname, '', '[]',
  (SELECT pg_catalog.json_agg(DISTINCT o.root ORDER BY o.root) FROM over o WHERE o.view = c.oid), false,
  -- With its reader's own rights a view opens nothing.
  NOT EXISTS (SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) x
    WHERE x.option_name = 'security_invoker' AND x.option_value::bool)
  AND (pg_catalog.has_any_column_privilege('public', c.oid, 'SELECT')
    OR EXISTS (SELECT FROM links r WHERE pg_catalog.has_any_column_privilege(r.oid, c.oid, 'SELECT')))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND c.oid IN (SELECT view FROM over) AND n.nspname !~ '^pg_temp_'
  AND (c.relkind = 'm' OR NOT EXISTS (SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) x
    WHERE x.option_name = 'security_invoker' AND x.option_value::bool))
UNION ALL
SELECT 'function', name, lanname, '[]', '[]', definer AND trusted, open FROM functions
WHERE NOT trusted OR definer
UNION ALL
SELECT 'sequence', n.nspname || '.' || s.relname, '', '[]', pg_catalog.json_agg(DISTINCT m.root ORDER BY m.root),
  false, false
FROM mapped m JOIN pg_catalog.pg_attrdef ad ON ad.adrelid = m.oid
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = ad.oid
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend o JOIN mapped om ON om.oid = o.refobjid
  WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objid = s.oid AND o.deptype IN ('a', 'i'))
GROUP BY 2
UNION ALL
SELECT 'foreign server', s.srvname, w.fdwname, '[]', '[]', false, false
FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
UNION ALL
SELECT 'extension', extname, '', '[]', '[]', false, false FROM pg_catalog.pg_extension
WHERE extname = ANY ($3::text[])
UNION ALL
SELECT 'large objects', 'pg_largeobject', '', '[]', '[]', false, false
WHERE EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)
UNION ALL
-- Those of pgoutput are among Seen::slots.
SELECT 'slot', slot_name, CASE slot_type WHEN 'physical' THEN 'physical' ELSE plugin END, '[]', '[]', false, false
FROM pg_catalog.pg_replication_slots WHERE NOT temporary AND (slot_type = 'physical'
  OR plugin <> 'pgoutput' AND database = pg_catalog.current_database())
)sql";

// What sessions begin with, not what this one has set; and what roles or databases begin with instead.
constexpr const char* kSettings = R"sql(
SELECT name, reset_val, '' FROM pg_catalog.pg_settings WHERE name = ANY ($1::text[])
UNION ALL
-- Of a module that is loaded into some sessions only nobody sees more than what the configuration says.
SELECT n, pg_catalog.current_setting(n, true), '' FROM pg_catalog.unnest($1::text[]) n
WHERE pg_catalog.current_setting(n, true) IS NOT NULL AND n NOT IN (SELECT name FROM pg_catalog.pg_settings)
UNION ALL
SELECT pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1),
  pg_catalog.concat_ws(' IN DATABASE ', 'ROLE ' || CASE WHEN s.setrole = 0 THEN 'ALL'
    ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(s.setrole)) END,
    (SELECT pg_catalog.quote_ident(d.datname) FROM pg_catalog.pg_database d WHERE d.oid = s.setdatabase))
FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
WHERE pg_catalog.split_part(c, '=', 1) = ANY ($1::text[]) AND (s.setdatabase = 0
  OR s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
ORDER BY 1, 3, 2)sql";

std::vector<std::string> mapped_names(const topology::Topology& topology) {
  std::vector<std::string> names;
  for (const auto& table : topology.tables) names.push_back(table.qualified());
  return names;
}

}  // namespace

Result<void> read_objects(Connection& connection, const topology::Topology& topology, Seen& seen) {
  const auto rows = TRY(
      connection.exec_params(kObjects, {array_of(mapped_names(topology)), array_of(desired::carrier_columns(topology)),
                                        array_of(desired::kReachingExtensions)}));
  for (int r = 0; r < rows.size(); ++r) {
    const auto kind = topology::object_kind_of(rows.at(r, 0));
    if (!kind) return fail(Kind::corrupt, "an object of an unknown kind in the catalogs");
    SeenObject object{*kind, rows.text(r, 1), rows.text(r, 2)};
    object.columns = list_of(TRY(parse_json(rows.at(r, 3), "columns")));
    object.mapped = list_of(TRY(parse_json(rows.at(r, 4), "tables")));
    object.definer = rows.truth(r, 5);
    object.open = rows.truth(r, 6);
    seen.objects.push_back(std::move(object));
  }
  std::sort(seen.objects.begin(), seen.objects.end(), [](const SeenObject& a, const SeenObject& b) {
    return std::tie(a.kind, a.name) < std::tie(b.kind, b.name);
  });

  const auto settings = TRY(connection.exec_params(kSettings, {array_of(desired::kValueSettings)}));
  for (int r = 0; r < settings.size(); ++r)
    seen.settings.push_back({settings.text(r, 0), settings.text(r, 1), settings.text(r, 2)});

  std::vector<std::string> tables;
  for (const auto& [name, table] : seen.tables) tables.push_back(name);
  const auto readable = TRY(connection.exec_params(
      "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
      "c.relnamespace WHERE n.nspname || '.' || c.relname = ANY ($1::text[]) AND "
      "pg_catalog.has_any_column_privilege('public', c.oid, 'SELECT')",
      {array_of(tables)}));
  for (int r = 0; r < readable.size(); ++r) seen.tables.at(readable.text(r, 0)).public_reads = true;
  return {};
}

}  // namespace domicile::postgres
