-- Both forms of the guard: the directory, the list of guarded tables, and what keeps the triggers where they belong.
CREATE SCHEMA IF NOT EXISTS {{schema}};
CREATE TABLE IF NOT EXISTS {{schema}}.tenant (
  tenant_id text PRIMARY KEY, residency text NOT NULL, tombstone boolean NOT NULL DEFAULT false);
ALTER TABLE {{schema}}.tenant ADD COLUMN IF NOT EXISTS moving text, ADD COLUMN IF NOT EXISTS move jsonb;
CREATE TABLE IF NOT EXISTS {{schema}}.host (
  host text PRIMARY KEY, tenant_id text NOT NULL REFERENCES {{schema}}.tenant);
CREATE TABLE IF NOT EXISTS {{schema}}.guard_table (
  relid oid PRIMARY KEY, tenant_column text NOT NULL, residency_column text NOT NULL, row_function text NOT NULL);
-- What the law refuses on those tables, see law.hpp: as arguments of the trigger's function in the C form, where that
-- can be, else as the trigger's condition; and what PostgreSQL made of the condition on each table and child: somebody
-- who puts another one in its place is seen.
CREATE TABLE IF NOT EXISTS {{schema}}.guard_law (relid oid PRIMARY KEY, condition text NOT NULL);
ALTER TABLE {{schema}}.guard_law ADD COLUMN IF NOT EXISTS arguments text[];
CREATE TABLE IF NOT EXISTS {{schema}}.guard_law_made (relid oid PRIMARY KEY, condition text NOT NULL, qual text NOT NULL);
CREATE TABLE IF NOT EXISTS {{schema}}.guard_found_acl (function oid PRIMARY KEY, acl aclitem[]);
CREATE TABLE IF NOT EXISTS {{schema}}.guard_repairing (xid xid8 PRIMARY KEY);

-- Every trigger that must exist: on the tables named, their partitions and their children.
CREATE OR REPLACE VIEW {{schema}}.guard_want AS
WITH RECURSIVE named AS (
  SELECT relid, tenant_column, residency_column, row_function FROM {{schema}}.guard_table
  UNION ALL
  SELECT c.oid, NULL, NULL, 'guard_directory' FROM pg_catalog.pg_class c
  WHERE c.relnamespace = '{{schema}}'::regnamespace AND c.relname IN ('tenant', 'host')
), member AS (
  SELECT relid, tenant_column, residency_column, row_function, 0 AS depth, relid AS root FROM named
  UNION
  SELECT i.inhrelid, m.tenant_column, m.residency_column, m.row_function, m.depth + 1, m.root
  FROM member m JOIN pg_catalog.pg_inherits i ON i.inhparent = m.relid
)
SELECT m.relid, m.depth, f.trigger, f.type, f.function, f.arguments, f.condition
FROM member m
JOIN pg_catalog.pg_class c ON c.oid = m.relid AND c.relkind IN ('r', 'p')
CROSS JOIN LATERAL (SELECT CASE WHEN m.tenant_column IS NULL THEN '' ELSE
  pg_catalog.quote_literal(m.tenant_column) || ', ' || pg_catalog.quote_literal(m.residency_column) END) AS a(columns)
CROSS JOIN LATERAL (
  SELECT t.*, NULL::text FROM (VALUES {{row_triggers}}, ('domicile_guard_truncate', 34, 'guard_truncate', '')) AS t
  UNION ALL SELECT '~domicile_law', 23, 'guard_lawful',
    coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_literal(a), ', ' ORDER BY n)
              FROM pg_catalog.unnest(l.arguments) WITH ORDINALITY u(a, n)), ''),
    CASE WHEN l.arguments IS NULL THEN l.condition END
  FROM {{schema}}.guard_law l WHERE l.relid = m.root
) AS f(trigger, type, function, arguments, condition);

-- A condition as PostgreSQL keeps it, by column numbers: a renamed column changes nothing. Without the places in the text
-- that it was parsed from.
CREATE OR REPLACE FUNCTION {{schema}}.guard_qual(qual pg_node_tree) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $f$
  SELECT regexp_replace(qual::text, ' :location -?[0-9]+', '', 'g') $f$;

-- What is missing or switched off; empty when every table is guarded. Never raises: the reconciler reads it.
CREATE OR REPLACE FUNCTION {{schema}}.guard_missing() RETURNS TABLE (table_oid oid, table_name text, missing text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT w.relid, w.relid::regclass::text, w.trigger FROM {{schema}}.guard_want w
  WHERE NOT EXISTS (
    SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = w.relid AND t.tgname = w.trigger AND t.tgenabled = 'A' AND t.tgtype = w.type
      AND CASE WHEN w.condition IS NULL THEN t.tgqual IS NULL
               WHEN t.tgparentid <> 0 THEN t.tgqual IS NOT NULL  -- its parent's
               ELSE EXISTS (SELECT FROM {{schema}}.guard_law_made q WHERE q.relid = w.relid AND q.condition = w.condition
                            AND q.qual = {{schema}}.guard_qual(t.tgqual)) END
      AND p.proname = w.function AND p.pronamespace = '{{schema}}'::regnamespace
      AND right(pg_get_triggerdef(t.oid), length(w.function || w.arguments) + 2) = w.function || '(' || w.arguments || ')')
  ORDER BY w.depth, w.relid
$f$;

CREATE OR REPLACE FUNCTION {{schema}}.guard_repair() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE w record;
BEGIN
  -- The commands below fire the event trigger again. What ends that is a row that only this transaction sees and no
  -- other role can write: a setting could be made by a table's owner, who then drops the trigger unnoticed.
  INSERT INTO {{schema}}.guard_repairing VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RETURN; END IF;
  FOR w IN SELECT g.* FROM {{schema}}.guard_want g
           JOIN {{schema}}.guard_missing() m ON m.table_oid = g.relid AND m.missing = g.trigger ORDER BY g.depth LOOP
    -- A partition's row trigger is a clone of its parent's: it can be enabled, not replaced.
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = w.relid AND tgname = w.trigger AND tgparentid <> 0) THEN
      EXECUTE format('CREATE OR REPLACE TRIGGER %I %s ON %s FOR EACH %s %s EXECUTE FUNCTION {{schema}}.%I(%s)', w.trigger,
                     CASE w.type WHEN 29 THEN 'AFTER INSERT OR UPDATE OR DELETE' WHEN 5 THEN 'AFTER INSERT'
                       WHEN 25 THEN 'AFTER UPDATE OR DELETE' WHEN 34 THEN 'BEFORE TRUNCATE'
                       WHEN 23 THEN 'BEFORE INSERT OR UPDATE' END,
                     w.relid::regclass, CASE w.type WHEN 34 THEN 'STATEMENT' ELSE 'ROW' END,
                     'WHEN (' || w.condition || ')', w.function, w.arguments);
      INSERT INTO {{schema}}.guard_law_made
        SELECT w.relid, w.condition, {{schema}}.guard_qual(t.tgqual) FROM pg_trigger t
        WHERE w.condition IS NOT NULL AND t.tgrelid = w.relid AND t.tgname = w.trigger
      ON CONFLICT (relid) DO UPDATE SET (condition, qual) = (excluded.condition, excluded.qual);
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', w.relid::regclass, w.trigger);
  END LOOP;
  DELETE FROM {{schema}}.guard_repairing;
END $f$;

CREATE OR REPLACE FUNCTION {{schema}}.guard_follow() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN PERFORM {{schema}}.guard_repair(); END $f$;

CREATE OR REPLACE FUNCTION {{schema}}.guard_install_table(name regclass, tenant_column text, residency_column text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  INSERT INTO {{schema}}.guard_table VALUES
    (name, $2, $3, {{schema}}.guard_row_function($2, $3))
  ON CONFLICT (relid) DO UPDATE SET (tenant_column, residency_column, row_function) =
    (excluded.tenant_column, excluded.residency_column, excluded.row_function);
  PERFORM {{schema}}.guard_repair();
END $f$;

-- Everything below a table, and itself.
CREATE OR REPLACE FUNCTION {{schema}}.guard_members(name regclass) RETURNS SETOF oid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $f$
  WITH RECURSIVE member AS (SELECT $1::oid AS relid UNION
    SELECT i.inhrelid FROM member m JOIN pg_inherits i ON i.inhparent = m.relid)
  SELECT relid FROM member $f$;

-- The law of a guarded table; NULL takes it off. `arguments`: the same for the C form's function, where it can be said so.
CREATE OR REPLACE FUNCTION {{schema}}.guard_law_table(name regclass, condition text, arguments text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE member oid;
BEGIN
  IF $2 IS NOT NULL THEN
    INSERT INTO {{schema}}.guard_law VALUES (name, $2, CASE {{schema}}.guard_form() WHEN 'c' THEN $3 END)
    ON CONFLICT (relid) DO UPDATE SET (condition, arguments) = (excluded.condition, excluded.arguments);
    PERFORM {{schema}}.guard_repair();
    RETURN;
  END IF;
  DELETE FROM {{schema}}.guard_law l WHERE l.relid = $1;
  FOR member IN SELECT {{schema}}.guard_members($1) LOOP
    DELETE FROM {{schema}}.guard_law_made m WHERE m.relid = member;
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = member AND tgname = '~domicile_law' AND tgparentid = 0) THEN
      EXECUTE format('DROP TRIGGER "~domicile_law" ON %s', member::regclass);
    END IF;
  END LOOP;
END $f$;

CREATE OR REPLACE FUNCTION {{schema}}.guard_uninstall_table(name regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE w record;
BEGIN
  INSERT INTO {{schema}}.guard_repairing VALUES (pg_current_xact_id());
  FOR w IN SELECT t.tgname, t.tgrelid FROM pg_trigger t JOIN {{schema}}.guard_want g
             ON g.relid = t.tgrelid AND g.trigger = t.tgname
           WHERE t.tgparentid = 0 AND t.tgrelid IN (SELECT {{schema}}.guard_members($1)) LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', w.tgname, w.tgrelid::regclass);
  END LOOP;
  DELETE FROM {{schema}}.guard_law_made m WHERE m.relid IN (SELECT {{schema}}.guard_members($1));
  DELETE FROM {{schema}}.guard_law l WHERE l.relid = $1;
  DELETE FROM {{schema}}.guard_table g WHERE g.relid = $1;
  DELETE FROM {{schema}}.guard_repairing;
END $f$;

CREATE OR REPLACE FUNCTION {{schema}}.guard_grant(role text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA {{schema}} TO %I', role);
  EXECUTE format('GRANT SELECT ON {{schema}}.guard_law TO %I', role);
  EXECUTE format('GRANT EXECUTE ON FUNCTION {{schema}}.clock(), {{schema}}.lease_set(text, bigint, bigint, text),
    {{schema}}.lease_fence(text, bigint, text, int), {{schema}}.lease_close(text, bigint), {{schema}}.guard_state(),
    {{schema}}.lease_waits(text, boolean), {{schema}}.lease_waiting(),
    {{schema}}.permit(text, text), {{schema}}.guard_form(), {{schema}}.guard_missing(),
    {{schema}}.guard_repair() TO %I', role);
END $f$;
