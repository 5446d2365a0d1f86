-- Both forms of the guard: the directory, the list of guarded tables, and what keeps the triggers where they belong.
CREATE SCHEMA IF NOT EXISTS {{schema}};
CREATE TABLE IF NOT EXISTS {{schema}}.tenant (
  tenant_id text PRIMARY KEY, residency text NOT NULL, tombstone boolean NOT NULL DEFAULT false);
ALTER TABLE {{schema}}.tenant ADD COLUMN IF NOT EXISTS moving text, ADD COLUMN IF NOT EXISTS move jsonb;
CREATE TABLE IF NOT EXISTS {{schema}}.host (
  host text PRIMARY KEY, tenant_id text NOT NULL REFERENCES {{schema}}.tenant);
CREATE TABLE IF NOT EXISTS {{schema}}.guard_table (
  relid oid PRIMARY KEY, tenant_column text NOT NULL, residency_column text NOT NULL, row_function text NOT NULL);
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
  SELECT relid, tenant_column, residency_column, row_function, 0 AS depth FROM named
  UNION
  SELECT i.inhrelid, m.tenant_column, m.residency_column, m.row_function, m.depth + 1
  FROM member m JOIN pg_catalog.pg_inherits i ON i.inhparent = m.relid
)
SELECT m.relid, m.depth, f.trigger, f.type, f.function, f.arguments
FROM member m
JOIN pg_catalog.pg_class c ON c.oid = m.relid AND c.relkind IN ('r', 'p')
CROSS JOIN LATERAL (SELECT CASE WHEN m.tenant_column IS NULL THEN '' ELSE
  pg_catalog.quote_literal(m.tenant_column) || ', ' || pg_catalog.quote_literal(m.residency_column) END) AS a(columns)
CROSS JOIN LATERAL (VALUES {{row_triggers}},
  ('domicile_guard_truncate', 34, 'guard_truncate', '')) AS f(trigger, type, function, arguments);

-- What is missing or switched off; empty when every table is guarded. Never raises: the reconciler reads it.
CREATE OR REPLACE FUNCTION {{schema}}.guard_missing() RETURNS TABLE (table_oid oid, table_name text, missing text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT w.relid, w.relid::regclass::text, w.trigger FROM {{schema}}.guard_want w
  WHERE NOT EXISTS (
    SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = w.relid AND t.tgname = w.trigger AND t.tgenabled = 'A' AND t.tgtype = w.type
      AND t.tgqual IS NULL AND p.proname = w.function AND p.pronamespace = '{{schema}}'::regnamespace)
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
      EXECUTE format('CREATE OR REPLACE TRIGGER %I %s ON %s FOR EACH %s EXECUTE FUNCTION {{schema}}.%I(%s)', w.trigger,
                     CASE w.type WHEN 29 THEN 'AFTER INSERT OR UPDATE OR DELETE' WHEN 5 THEN 'AFTER INSERT'
                       WHEN 25 THEN 'AFTER UPDATE OR DELETE' WHEN 34 THEN 'BEFORE TRUNCATE' END,
                     w.relid::regclass, CASE w.type WHEN 34 THEN 'STATEMENT' ELSE 'ROW' END, w.function, w.arguments);
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

CREATE OR REPLACE FUNCTION {{schema}}.guard_uninstall_table(name regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE w record;
BEGIN
  INSERT INTO {{schema}}.guard_repairing VALUES (pg_current_xact_id());
  FOR w IN SELECT t.tgname, t.tgrelid FROM pg_trigger t JOIN {{schema}}.guard_want g
             ON g.relid = t.tgrelid AND g.trigger = t.tgname
           WHERE t.tgparentid = 0 AND t.tgrelid IN (
             WITH RECURSIVE member AS (SELECT $1::oid AS relid UNION
               SELECT i.inhrelid FROM member m JOIN pg_inherits i ON i.inhparent = m.relid)
             SELECT relid FROM member) LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', w.tgname, w.tgrelid::regclass);
  END LOOP;
  DELETE FROM {{schema}}.guard_table g WHERE g.relid = $1;
  DELETE FROM {{schema}}.guard_repairing;
END $f$;

CREATE OR REPLACE FUNCTION {{schema}}.guard_grant(role text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA {{schema}} TO %I', role);
  EXECUTE format('GRANT EXECUTE ON FUNCTION {{schema}}.clock(), {{schema}}.lease_set(text, bigint, bigint, text),
    {{schema}}.lease_fence(text, bigint, text, int), {{schema}}.lease_close(text, bigint), {{schema}}.guard_state(),
    {{schema}}.permit(text, text), {{schema}}.guard_form(), {{schema}}.guard_missing(),
    {{schema}}.guard_repair() TO %I', role);
END $f$;
