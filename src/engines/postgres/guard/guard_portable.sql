-- The portable form, for a PostgreSQL that takes no library. A lease's end is the value of a sequence: read and set
-- outside MVCC, so that a transaction with an old snapshot sees a fence. Writers hold a shared advisory lock to the end
-- of their transaction. Time is the wall clock; a row is refused also when the clock stands before the moment at which
-- the lease was set. There is no check at commit. Operators are qualified: these functions run as their owner under the
-- caller's search_path, and a SET clause would cost each row more than the check itself.
CREATE TABLE IF NOT EXISTS {{schema}}.guard_lease (
  residency text PRIMARY KEY, id int NOT NULL UNIQUE, end_sequence oid NOT NULL, set_sequence oid NOT NULL,
  epoch bigint NOT NULL, state text NOT NULL, end_us bigint NOT NULL, switch_id text);
ALTER TABLE {{schema}}.guard_lease ADD COLUMN IF NOT EXISTS waits boolean NOT NULL DEFAULT false;
CREATE TABLE IF NOT EXISTS {{schema}}.guard_permit (xid xid8 NOT NULL, residency text NOT NULL, purpose text NOT NULL);
CREATE TABLE IF NOT EXISTS {{schema}}.guard_setting (observe boolean NOT NULL);
INSERT INTO {{schema}}.guard_setting SELECT false WHERE NOT EXISTS (SELECT FROM {{schema}}.guard_setting);

-- Any login could stall all writers with these: only roles that are granted them by name keep them.
INSERT INTO {{schema}}.guard_found_acl
  SELECT oid, proacl FROM pg_catalog.pg_proc
  WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^pg_(try_)?advisory_' ON CONFLICT DO NOTHING;
DO $d$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT function FROM {{schema}}.guard_found_acl LOOP
    EXECUTE pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
  END LOOP;
END $d$;

CREATE OR REPLACE FUNCTION {{schema}}.guard_form() RETURNS text LANGUAGE sql AS $f$ SELECT 'portable' $f$;
CREATE OR REPLACE FUNCTION {{schema}}.guard_wall() RETURNS bigint LANGUAGE sql VOLATILE AS $f$
  SELECT (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000000::float8)::bigint $f$;
CREATE OR REPLACE FUNCTION {{schema}}.guard_clock_id() RETURNS text LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $f$
  SELECT 'wall:' || system_identifier FROM pg_control_system() $f$;
CREATE OR REPLACE FUNCTION {{schema}}.clock(OUT clock_id text, OUT now_us bigint, OUT wall_us bigint, OUT lsn pg_lsn)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT {{schema}}.guard_clock_id(), {{schema}}.guard_wall(), {{schema}}.guard_wall(),
         CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END $f$;

-- In observe mode a WARNING that only the server's log gets: with LOG it would print the statement, values and all.
CREATE OR REPLACE FUNCTION {{schema}}.guard_refuse(code text, name text, what text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $f$
DECLARE
  denial text := 'q-' || right(replace(gen_random_uuid()::text, '-', ''), 16);
BEGIN
  IF (SELECT bool_or(observe) FROM {{schema}}.guard_setting) THEN
    IF current_setting('domicile.observed', true) IS DISTINCT FROM code THEN
      RAISE WARNING USING ERRCODE = code, MESSAGE = format('domicile would refuse a write to "%s": %s', name, what);
      PERFORM set_config('domicile.observed', code, true);
    END IF;
    RETURN;
  END IF;
  -- The client has the id in DETAIL, which the server's log leaves out where it may hold no row's value.
  RAISE WARNING USING ERRCODE = code, MESSAGE = format('domicile: denial %s: %s, a write to "%s": %s', denial, code, name, what);
  RAISE EXCEPTION USING ERRCODE = code, MESSAGE = format('write to "%s" refused: %s', name, what),
    DETAIL = format('Denial %s.', denial),
    HINT = CASE code WHEN 'DM002' THEN 'See "domicile tenant show".' WHEN 'DM003' THEN 'Move the tenant instead.'
      WHEN 'DM004' THEN 'Use DELETE with a residency.' WHEN 'DM006' THEN 'Retry after the move.'
      WHEN 'DM008' THEN 'Write it where its residency is held in full; "domicile explain table" names the regions.'
      ELSE 'Send the write to the residency''s owner; "domicile status --writers" names it.' END;
END $f$;

-- Is this row an import that may pass? Asked only where the lease does not cover it.
CREATE OR REPLACE FUNCTION {{schema}}.guard_import(want text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  IF current_setting('session_replication_role') = 'replica' AND EXISTS (
       SELECT FROM pg_stat_get_activity(pg_backend_pid()) WHERE backend_type LIKE 'logical replication%') THEN
    RETURN true;
  END IF;
  RETURN EXISTS (SELECT FROM {{schema}}.guard_permit p
                 WHERE p.xid = pg_current_xact_id_if_assigned() AND p.residency = want);
END $f$;

-- The residencies whose commits wait for synchronous standbys, made anew when that changes: a constant, because a query
-- would answer by the snapshot of a transaction that has begun before.
CREATE OR REPLACE FUNCTION {{schema}}.guard_waits_made() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  EXECUTE format('CREATE OR REPLACE FUNCTION {{schema}}.guard_waits(residency text) RETURNS boolean LANGUAGE plpgsql AS '
    '$b$ BEGIN RETURN residency OPERATOR(pg_catalog.=) ANY (%L::pg_catalog.text[]); END $b$',
    ARRAY(SELECT l.residency FROM {{schema}}.guard_lease l WHERE l.waits ORDER BY 1));
  EXECUTE 'REVOKE ALL ON FUNCTION {{schema}}.guard_waits(text) FROM PUBLIC';
END $f$;
SELECT {{schema}}.guard_waits_made();

-- The shared part of all row triggers. Lock first, then the sequences: a fence that has the lock has set them.
-- Its callers are SECURITY DEFINER and call it in an expression: PERFORM would start an executor for each row. They name
-- a collation, which becomes that of its variables: another one, such as that of TG_TABLE_NAME, is not the index's.
CREATE OR REPLACE FUNCTION {{schema}}.guard_check(residency text, tenant text, name text, directory boolean)
RETURNS boolean LANGUAGE plpgsql AS $f$
DECLARE id int; end_sequence oid; set_sequence oid; home text; tombstone boolean; moving text;
  until bigint; since bigint; present bigint; inbound boolean;
BEGIN
  SELECT l.id, l.end_sequence, l.set_sequence, t.residency, t.tombstone, t.moving
    INTO id, end_sequence, set_sequence, home, tombstone, moving
    FROM (SELECT 1) one LEFT JOIN {{schema}}.guard_lease l ON l.residency OPERATOR(pg_catalog.=) $1
    LEFT JOIN {{schema}}.tenant t ON t.tenant_id OPERATOR(pg_catalog.=) $2;
  inbound := pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'replica'
             AND {{schema}}.guard_import($1);
  IF id IS NULL THEN
    IF inbound OR {{schema}}.guard_import($1) THEN RETURN true; END IF;
    PERFORM {{schema}}.guard_refuse('DM001', name, 'this site does not own the residency');
    RETURN true;
  END IF;
  IF inbound THEN
    IF pg_catalog.pg_sequence_last_value(end_sequence) OPERATOR(pg_catalog.>) 0 THEN
      PERFORM {{schema}}.guard_refuse('DM001', name, 'rows from elsewhere for a residency that this site owns');
    END IF;
    RETURN true;
  END IF;
  IF pg_catalog.pg_advisory_xact_lock_shared(4476749, id) IS NULL THEN NULL; END IF;
  until := pg_catalog.pg_sequence_last_value(end_sequence);
  since := pg_catalog.pg_sequence_last_value(set_sequence);
  present := (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000000::float8)::bigint;
  IF until OPERATOR(pg_catalog.=) 0 THEN
    IF {{schema}}.guard_import($1) THEN RETURN true; END IF;
    PERFORM {{schema}}.guard_refuse('DM001', name, 'this site does not own the residency');
  ELSIF present OPERATOR(pg_catalog.>=) until OR present OPERATOR(pg_catalog.<) since THEN
    PERFORM {{schema}}.guard_refuse('DM001', name, 'this site''s lease of the residency is over');
  END IF;
  IF {{schema}}.guard_waits($1) AND pg_catalog.set_config('synchronous_commit', 'on', true) IS NULL THEN NULL; END IF;
  IF directory THEN RETURN true; END IF;
  IF home IS NULL THEN
    PERFORM {{schema}}.guard_refuse('DM002', name, 'its tenant is not in the directory');
  ELSIF home OPERATOR(pg_catalog.<>) residency THEN
    -- Before the directory changes its copy is written, and afterwards what it has left is deleted.
    IF moving OPERATOR(pg_catalog.=) residency AND {{schema}}.guard_import($1) THEN RETURN true; END IF;
    PERFORM {{schema}}.guard_refuse('DM002', name, 'its tenant belongs to another residency');
  ELSIF tombstone THEN
    IF {{schema}}.guard_import($1) THEN RETURN true; END IF;
    PERFORM {{schema}}.guard_refuse('DM006', name, 'its tenant is moving or has moved');
  END IF;
  RETURN true;
END $f$;

CREATE OR REPLACE FUNCTION {{schema}}.guard_directory() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$
BEGIN
  IF {{schema}}.guard_check('directory' COLLATE pg_catalog."default", NULL, TG_TABLE_NAME::text, true) THEN END IF;
  RETURN NULL;
END $f$;
CREATE OR REPLACE FUNCTION {{schema}}.guard_truncate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$
BEGIN
  PERFORM {{schema}}.guard_refuse('DM004', TG_TABLE_NAME::text, 'TRUNCATE names no residency');
  RETURN NULL;
END $f$;
-- Called for rows that the law's condition has found, and for no other. The server's log would get the statement, and of
-- a COPY the row as the context; a superuser's function may silence both, and what it sets holds until the transaction
-- has ended, which is after the error has been logged.
CREATE OR REPLACE FUNCTION {{schema}}.guard_lawful() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$
BEGIN
  PERFORM {{schema}}.guard_refuse('DM008', TG_TABLE_NAME::text, 'its residency may not be held in full in this region');
  RETURN NEW;
END $f$;
-- Silent as guard_lawful, for what guard_label refuses: a function with settings costs more than the question itself.
CREATE OR REPLACE FUNCTION {{schema}}.guard_mislabelled(name text, what text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $f$
BEGIN
  PERFORM {{schema}}.guard_refuse('DM002', name, what);
END $f$;
-- Part of the law's condition: does the row's tenant have the residency that the row says? Asked here because the guard's
-- own triggers ask when the row's bytes are already stored. Raises, or is false.
CREATE OR REPLACE FUNCTION {{schema}}.guard_label(tenant text, residency text, name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $f$
DECLARE home text;
BEGIN
  SELECT t.residency INTO home FROM {{schema}}.tenant t WHERE t.tenant_id OPERATOR(pg_catalog.=) $1;
  IF home OPERATOR(pg_catalog.=) residency OR {{schema}}.guard_import($2) THEN RETURN false; END IF;
  IF home IS NULL THEN
    PERFORM {{schema}}.guard_mislabelled(name, 'its tenant is not in the directory');
  ELSE
    PERFORM {{schema}}.guard_mislabelled(name, 'its tenant belongs to another residency');
  END IF;
  RETURN false;
END $f$;
DO $d$
BEGIN
  IF pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' THEN
    ALTER FUNCTION {{schema}}.guard_mislabelled(text, text) SET log_min_error_statement = panic;
    ALTER FUNCTION {{schema}}.guard_mislabelled(text, text) SET log_error_verbosity = terse;
    ALTER FUNCTION {{schema}}.guard_lawful() SET log_min_error_statement = panic;
    ALTER FUNCTION {{schema}}.guard_lawful() SET log_error_verbosity = terse;
  END IF;
END $d$;

-- PL/pgSQL reaches a column by name only at compile time: two trigger functions per pair of column names, one for INSERT,
-- one for UPDATE and DELETE. A write that passes is recognised at once: PL/pgSQL sets up each expression anew in each
-- transaction, node by node, and a query costs most of all, so the residencies' numbers and sequences, which never
-- change, are constants of the function, the directory is the only table read, and the lease's begin and end are compared
-- in one call. This way only ever lets pass what guard_check would; everything else goes on to guard_check. So a function
-- that was made before a residency was known is slow for it, not wrong.
-- The lock comes first: WHERE is evaluated before what is selected. width_bucket is 1 from the first bound, inclusive, to
-- the second, exclusive. A residency's number is its place in the arrays.
CREATE OR REPLACE FUNCTION {{schema}}.guard_row_function(tenant_column text, residency_column text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE name text := 'guard_row_' || md5(format('%I %I', tenant_column, residency_column));
  residencies text[]; ends oid[]; sets oid[]; waits text := ''; made record;
BEGIN
  -- Only where something waits does this way ask for it.
  SELECT format($c$
       AND (NOT (%L::pg_catalog.bool[])[n] OR pg_catalog.set_config('synchronous_commit', 'on', true) IS NOT NULL)$c$,
       array_agg(coalesce(l.waits, false) ORDER BY n)) INTO waits
    FROM generate_series(1, (SELECT max(id) FROM {{schema}}.guard_lease)) n LEFT JOIN {{schema}}.guard_lease l ON l.id = n
    HAVING bool_or(l.waits);
  SELECT coalesce(array_agg(l.residency ORDER BY n), '{}'), coalesce(array_agg(l.end_sequence ORDER BY n), '{}'),
      coalesce(array_agg(l.set_sequence ORDER BY n), '{}')
    INTO residencies, ends, sets
    FROM generate_series(1, (SELECT max(id) FROM {{schema}}.guard_lease)) n LEFT JOIN {{schema}}.guard_lease l ON l.id = n;
  FOR made IN VALUES
    (name, 'NEW', '', ''),
    (name || '_change', 'OLD',
     format($c$AND (TG_OP OPERATOR(pg_catalog.=) 'DELETE'
       OR OLD.%2$I::pg_catalog.text OPERATOR(pg_catalog.=) NEW.%2$I::pg_catalog.text
          AND OLD.%1$I::pg_catalog.text OPERATOR(pg_catalog.=) NEW.%1$I::pg_catalog.text)$c$, tenant_column, residency_column),
     format($c$IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
    IF (OLD.%2$I::text OPERATOR(pg_catalog.=) NEW.%2$I::text) IS NOT TRUE THEN
      PERFORM {{schema}}.guard_refuse('DM003', TG_TABLE_NAME::text, 'a row''s residency cannot be changed');
    END IF;
    IF (OLD.%1$I::text OPERATOR(pg_catalog.=) NEW.%1$I::text) IS NOT TRUE THEN
      IF {{schema}}.guard_check(NEW.%2$I::text COLLATE pg_catalog."default", NEW.%1$I::text, TG_TABLE_NAME::text, false) THEN END IF;
    END IF;
  END IF;$c$, tenant_column, residency_column))
  LOOP
    EXECUTE format($g$CREATE OR REPLACE FUNCTION {{schema}}.%1$I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $b$
DECLARE n int;
BEGIN
  n := pg_catalog.array_position(%4$L::pg_catalog.text[], %7$s.%3$I::pg_catalog.text COLLATE pg_catalog."default");
  IF pg_catalog.width_bucket(
       (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000000::pg_catalog.float8)::bigint,
       ARRAY[pg_catalog.pg_sequence_last_value((%6$L::pg_catalog.oid[])[n]),
             pg_catalog.pg_sequence_last_value((%5$L::pg_catalog.oid[])[n])]) OPERATOR(pg_catalog.=) 1
     AND pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.<>) 'replica'
     %8$s
     FROM {{schema}}.tenant t WHERE t.tenant_id OPERATOR(pg_catalog.=) %7$s.%2$I::pg_catalog.text
       AND t.residency OPERATOR(pg_catalog.=) %7$s.%3$I::pg_catalog.text COLLATE pg_catalog."default" AND NOT t.tombstone
       AND pg_catalog.pg_advisory_xact_lock_shared(4476749, n) IS NOT NULL%10$s
    THEN RETURN NULL; END IF;
  %9$s
  IF {{schema}}.guard_check(%7$s.%3$I::text COLLATE pg_catalog."default", %7$s.%2$I::text, TG_TABLE_NAME::text, false) THEN END IF;
  RETURN NULL;
END $b$$g$, made.column1, tenant_column, residency_column, residencies, ends, sets, made.column2, made.column3, made.column4, coalesce(waits, ''));
    EXECUTE format('GRANT EXECUTE ON FUNCTION {{schema}}.%I() TO PUBLIC', made.column1);
  END LOOP;
  RETURN name;
END $f$;

-- The row of a residency, locked; made at its first sight.
CREATE OR REPLACE FUNCTION {{schema}}.guard_lease_row(want text, new_epoch bigint) RETURNS {{schema}}.guard_lease
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE lease {{schema}}.guard_lease; number int;
BEGIN
  -- Durable here, and never held up by a standby.
  PERFORM set_config('synchronous_commit', 'local', true);
  IF want !~ '^[A-Za-z0-9._:/-]{1,63}$' OR new_epoch <= 0 THEN
    RAISE EXCEPTION USING ERRCODE = 'DM007', MESSAGE = 'lease command refused: not a residency and epoch';
  END IF;
  SELECT * INTO lease FROM {{schema}}.guard_lease WHERE residency = want FOR UPDATE;
  IF NOT FOUND THEN
    LOCK TABLE {{schema}}.guard_lease IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(max(id), 0) + 1 INTO number FROM {{schema}}.guard_lease;
    EXECUTE format('CREATE SEQUENCE {{schema}}.%I MINVALUE 0 START 0', 'guard_end_' || number);
    EXECUTE format('CREATE SEQUENCE {{schema}}.%I MINVALUE 0 START 0', 'guard_set_' || number);
    PERFORM setval(format('{{schema}}.%I', 'guard_end_' || number)::regclass, 0),
            setval(format('{{schema}}.%I', 'guard_set_' || number)::regclass, 0);
    INSERT INTO {{schema}}.guard_lease VALUES (want, number, format('{{schema}}.%I', 'guard_end_' || number)::regclass,
      format('{{schema}}.%I', 'guard_set_' || number)::regclass, 0, 'closed', 0, NULL) RETURNING * INTO lease;
    -- The triggers' functions hold what was known when they were made.
    PERFORM {{schema}}.guard_row_function(g.tenant_column, g.residency_column)
      FROM (SELECT DISTINCT tenant_column, residency_column FROM {{schema}}.guard_table) g;
  END IF;
  IF new_epoch < lease.epoch THEN
    RAISE EXCEPTION USING ERRCODE = 'DM007', MESSAGE = 'lease command refused: a higher epoch is known here';
  END IF;
  RETURN lease;
END $f$;

CREATE OR REPLACE FUNCTION {{schema}}.lease_set(residency text, epoch bigint, end_us bigint, clock_id text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE lease {{schema}}.guard_lease := {{schema}}.guard_lease_row($1, $2); until bigint := $3;
BEGIN
  -- PREPARE TRANSACTION cannot be seen from here. The setting needs a restart, and no lease is opened or extended after.
  IF current_setting('max_prepared_transactions') <> '0' THEN
    RAISE EXCEPTION USING ERRCODE = 'DM005', MESSAGE = 'lease command refused: prepared transactions are possible',
      HINT = 'Set max_prepared_transactions = 0 and restart PostgreSQL.';
  END IF;
  IF $4 IS DISTINCT FROM {{schema}}.guard_clock_id() THEN
    RAISE EXCEPTION USING ERRCODE = 'DM007', MESSAGE = 'lease command refused: the end is of another clock';
  ELSIF lease.epoch = $2 AND lease.state = 'fenced' THEN
    RAISE EXCEPTION USING ERRCODE = 'DM007', MESSAGE = 'lease command refused: this epoch is fenced here';
  END IF;
  IF lease.epoch = $2 AND lease.state = 'open' THEN until := greatest(until, lease.end_us); END IF;
  UPDATE {{schema}}.guard_lease l SET epoch = $2, state = 'open', end_us = until, switch_id = NULL
    WHERE l.residency = $1;
  PERFORM setval(lease.set_sequence::regclass, {{schema}}.guard_wall());
  PERFORM setval(lease.end_sequence::regclass, until);
END $f$;

CREATE OR REPLACE FUNCTION {{schema}}.lease_close(residency text, epoch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE lease {{schema}}.guard_lease := {{schema}}.guard_lease_row($1, $2);
BEGIN
  PERFORM setval(lease.end_sequence::regclass, 0);
  IF lease.epoch = $2 AND lease.state = 'fenced' THEN RETURN; END IF;
  UPDATE {{schema}}.guard_lease l SET epoch = $2, state = 'closed', switch_id = NULL WHERE l.residency = $1;
END $f$;

CREATE OR REPLACE FUNCTION {{schema}}.lease_fence(residency text, epoch bigint, switch_id text, lock_timeout_ms int,
  OUT fenced boolean, OUT lsn pg_lsn, OUT holders int[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '0' AS $f$
DECLARE lease {{schema}}.guard_lease := {{schema}}.guard_lease_row($1, $2);
BEGIN
  PERFORM set_config('lock_timeout', greatest($4, 1)::text, true);
  fenced := true;
  holders := '{}';
  IF lease.epoch = $2 AND lease.state = 'fenced' THEN
    IF lease.switch_id IS DISTINCT FROM $3 THEN
      RAISE EXCEPTION USING ERRCODE = 'DM007', MESSAGE = 'lease command refused: another switch has fenced this epoch';
    END IF;
  ELSE
    BEGIN
      PERFORM pg_advisory_xact_lock(4476749, lease.id);
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
      fenced := false;
      holders := ARRAY(SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 4476749
        AND objid = lease.id AND objsubid = 2 AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()));
      RETURN;
    END;
    PERFORM setval(lease.end_sequence::regclass, 0);
    UPDATE {{schema}}.guard_lease l SET epoch = $2, state = 'fenced', switch_id = $3 WHERE l.residency = $1;
  END IF;
  lsn := pg_logical_emit_message(true, 'domicile.fence', $1);
END $f$;

CREATE OR REPLACE FUNCTION {{schema}}.lease_waits(residency text, waits boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE lease {{schema}}.guard_lease := {{schema}}.guard_lease_row($1, greatest((SELECT max(l.epoch)
  FROM {{schema}}.guard_lease l WHERE l.residency = $1), 1));
BEGIN
  IF lease.waits IS DISTINCT FROM $2 THEN
    UPDATE {{schema}}.guard_lease l SET waits = $2 WHERE l.residency = $1;
    PERFORM {{schema}}.guard_waits_made();
    PERFORM {{schema}}.guard_row_function(g.tenant_column, g.residency_column)
      FROM (SELECT DISTINCT tenant_column, residency_column FROM {{schema}}.guard_table) g;
  END IF;
END $f$;
CREATE OR REPLACE FUNCTION {{schema}}.lease_waiting() RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT l.residency FROM {{schema}}.guard_lease l WHERE l.waits $f$;

CREATE OR REPLACE FUNCTION {{schema}}.guard_state(
  OUT residency text, OUT epoch bigint, OUT state text, OUT end_us bigint, OUT clock_id text, OUT switch_id text)
RETURNS SETOF record LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT l.residency, l.epoch, l.state, l.end_us, {{schema}}.guard_clock_id(), l.switch_id FROM {{schema}}.guard_lease l
$f$;
CREATE OR REPLACE FUNCTION {{schema}}.permit(residency text, purpose text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  DELETE FROM {{schema}}.guard_permit p WHERE p.xid < pg_snapshot_xmin(pg_current_snapshot());
  INSERT INTO {{schema}}.guard_permit VALUES (pg_current_xact_id(), $1, $2);
END $f$;
CREATE OR REPLACE FUNCTION {{schema}}.guard_observe(observe boolean) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  UPDATE {{schema}}.guard_setting SET observe = $1 $f$;
