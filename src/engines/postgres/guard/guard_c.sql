-- The C form: the checks live in the library, these are its names in SQL.
CREATE OR REPLACE FUNCTION {{schema}}.guard_row() RETURNS trigger LANGUAGE c AS '{{library}}', 'domicile_guard_row';
CREATE OR REPLACE FUNCTION {{schema}}.guard_directory() RETURNS trigger LANGUAGE c AS '{{library}}', 'domicile_guard_directory';
CREATE OR REPLACE FUNCTION {{schema}}.guard_truncate() RETURNS trigger LANGUAGE c AS '{{library}}', 'domicile_guard_truncate';
CREATE OR REPLACE FUNCTION {{schema}}.guard_lawful() RETURNS trigger LANGUAGE c AS '{{library}}', 'domicile_guard_lawful';
CREATE OR REPLACE FUNCTION {{schema}}.guard_label(tenant text, residency text, name text) RETURNS boolean
  LANGUAGE c AS '{{library}}', 'domicile_guard_label';
CREATE OR REPLACE FUNCTION {{schema}}.guard_boot_id() RETURNS text STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_boot_id';
CREATE OR REPLACE FUNCTION {{schema}}.guard_now() RETURNS bigint STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_now';
CREATE OR REPLACE FUNCTION {{schema}}.lease_set(residency text, epoch bigint, end_us bigint, clock_id text) RETURNS void
  STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_lease_set';
CREATE OR REPLACE FUNCTION {{schema}}.lease_close(residency text, epoch bigint) RETURNS void
  STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_lease_close';
CREATE OR REPLACE FUNCTION {{schema}}.lease_waits(residency text, waits boolean) RETURNS void
  STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_lease_waits';
CREATE OR REPLACE FUNCTION {{schema}}.lease_waiting() RETURNS SETOF text
  STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_lease_waiting';
CREATE OR REPLACE FUNCTION {{schema}}.guard_fence_lock(residency text, epoch bigint, switch_id text) RETURNS boolean
  STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_fence_lock';
CREATE OR REPLACE FUNCTION {{schema}}.guard_fence(residency text, epoch bigint, switch_id text) RETURNS pg_lsn
  STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_fence';
CREATE OR REPLACE FUNCTION {{schema}}.guard_holders(residency text) RETURNS int[]
  STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_holders';
CREATE OR REPLACE FUNCTION {{schema}}.guard_state(
  OUT residency text, OUT epoch bigint, OUT state text, OUT end_us bigint, OUT clock_id text, OUT switch_id text)
  RETURNS SETOF record STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_state';
CREATE OR REPLACE FUNCTION {{schema}}.permit(residency text, purpose text) RETURNS void
  STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_permit';
CREATE OR REPLACE FUNCTION {{schema}}.guard_observe(observe boolean) RETURNS void
  STRICT LANGUAGE c AS '{{library}}', 'domicile_guard_observe';
CREATE OR REPLACE FUNCTION {{schema}}.guard_form() RETURNS text LANGUAGE sql AS $f$ SELECT 'c' $f$;
CREATE OR REPLACE FUNCTION {{schema}}.guard_row_function(text, text) RETURNS text
  LANGUAGE sql AS $f$ SELECT 'guard_row' $f$;
CREATE OR REPLACE FUNCTION {{schema}}.clock(OUT clock_id text, OUT now_us bigint, OUT wall_us bigint, OUT lsn pg_lsn)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT {{schema}}.guard_boot_id(), {{schema}}.guard_now(), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
         CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END
$f$;
-- deadlock_timeout: the fence itself finds a holder that waits for somebody who queues behind it, and lets him pass.
CREATE OR REPLACE FUNCTION {{schema}}.lease_fence(residency text, epoch bigint, switch_id text, lock_timeout_ms int,
  OUT fenced boolean, OUT lsn pg_lsn, OUT holders int[])
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '0' SET deadlock_timeout = '50ms' AS $f$
BEGIN
  PERFORM set_config('lock_timeout', greatest(lock_timeout_ms, 1)::text, true);
  BEGIN
    PERFORM {{schema}}.guard_fence_lock(residency, epoch, switch_id);
  EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    fenced := false;
    holders := {{schema}}.guard_holders(residency);
    RETURN;
  END;
  fenced := true;
  holders := '{}';
  lsn := {{schema}}.guard_fence(residency, epoch, switch_id);
END $f$;
