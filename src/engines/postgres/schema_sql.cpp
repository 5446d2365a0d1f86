#include "engines/postgres/schema_sql.hpp"

namespace domicile::postgres {
namespace {

// Directory: tenants and hosts, without personal data, held in full everywhere. The version counter is a sequence: a
// change costs no hot row, and reading it costs nothing.
constexpr const char* kTables = R"sql(
CREATE SCHEMA IF NOT EXISTS domicile;
REVOKE ALL ON SCHEMA domicile FROM PUBLIC;
CREATE TABLE IF NOT EXISTS domicile.version (version int NOT NULL, at timestamptz NOT NULL DEFAULT pg_catalog.now());
CREATE TABLE IF NOT EXISTS domicile.object_registry (
  kind   text NOT NULL,
  name   text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}',
  at     timestamptz NOT NULL DEFAULT pg_catalog.now(),
  PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS domicile.tenant (
  tenant_id text PRIMARY KEY,
  residency text NOT NULL,
  tombstone bool NOT NULL DEFAULT false);
CREATE TABLE IF NOT EXISTS domicile.host (
  host      text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES domicile.tenant);
-- A move lies in its tenant's row. `moving`: the other residency, while it lives; see core/moves/move.hpp.
ALTER TABLE domicile.tenant ADD COLUMN IF NOT EXISTS moving text, ADD COLUMN IF NOT EXISTS move jsonb;
CREATE INDEX IF NOT EXISTS tenant_moving ON domicile.tenant (tenant_id) WHERE moving IS NOT NULL;
CREATE INDEX IF NOT EXISTS host_tenant ON domicile.host (tenant_id);
CREATE TABLE IF NOT EXISTS domicile.pulse (
  "only" bool PRIMARY KEY DEFAULT true CHECK ("only"),
  at     timestamptz NOT NULL);
CREATE SEQUENCE IF NOT EXISTS domicile.directory_change;
)sql";

// What links keep. `marker` is published by every link, one row per residency; `copy_journal` is the importing side's:
// which tables are complete here, from which session of which link; `link_journal` has one row per link and end ('out':
// the slot here, 'in': the subscription here).
constexpr const char* kLinkTables = R"sql(
CREATE SCHEMA IF NOT EXISTS domicile;
CREATE TABLE IF NOT EXISTS domicile.marker (
  residency text PRIMARY KEY,
  clock_us  bigint NOT NULL,
  epoch     bigint NOT NULL,
  lsn       pg_lsn NOT NULL,
  sequences jsonb NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS domicile.copy_journal (
  residency  text NOT NULL,
  table_name text NOT NULL,
  link       text NOT NULL,
  session    text NOT NULL,
  complete   bool NOT NULL,
  rows       bigint NOT NULL DEFAULT 0,
  at         timestamptz NOT NULL DEFAULT pg_catalog.now(),
  PRIMARY KEY (residency, table_name));
CREATE TABLE IF NOT EXISTS domicile.link_journal (
  link      text NOT NULL,
  side      text NOT NULL CHECK (side IN ('out', 'in')),
  session   text NOT NULL,
  system_id text NOT NULL,
  timeline  bigint NOT NULL,
  lsn       pg_lsn NOT NULL,
  state     text NOT NULL,
  reason    text NOT NULL DEFAULT '',
  at        timestamptz NOT NULL DEFAULT pg_catalog.now(),
  PRIMARY KEY (link, side));
-- What the gate asks before a link streams: a slot that waits for a takeover has a log of what another region wrote.
CREATE OR REPLACE FUNCTION domicile.link_owned(link text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $f$
  SELECT NOT EXISTS (SELECT FROM domicile.link_journal j
    WHERE j.link = $1 AND j.side = 'out' AND j.state IN ('reverse', 'making')) $f$;
REVOKE ALL ON FUNCTION domicile.link_owned(text) FROM PUBLIC;
)sql";

// What a lost owner's epoch held that nobody else had, see salvage/book.hpp. Rows in full: their place is the region
// that wrote them. `repair`: how copies here were made equal to their owner's again, with the sums of both sides.
constexpr const char* kSalvage = R"sql(
CREATE TABLE IF NOT EXISTS domicile.salvage_run (
  residency    text NOT NULL,
  epoch        bigint NOT NULL,
  next_owner   text NOT NULL,
  base         pg_lsn NOT NULL,
  upto         pg_lsn NOT NULL,
  transactions bigint NOT NULL,
  rows         bigint NOT NULL,
  lost         text NOT NULL DEFAULT '',
  note         text NOT NULL DEFAULT '',
  at           timestamptz NOT NULL DEFAULT pg_catalog.now(),
  PRIMARY KEY (residency, epoch));
CREATE TABLE IF NOT EXISTS domicile.salvage (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  residency      text NOT NULL,
  epoch          bigint NOT NULL,
  table_name     text NOT NULL,
  key            jsonb NOT NULL,
  net            text NOT NULL,
  row            jsonb NOT NULL,
  first_lsn      pg_lsn NOT NULL,
  last_lsn       pg_lsn NOT NULL,
  committed_us   bigint NOT NULL,
  changes        int NOT NULL,
  theirs_changed bool NOT NULL,
  theirs_us      bigint NOT NULL,
  theirs_digest  text NOT NULL DEFAULT '',
  state          text NOT NULL DEFAULT 'open',
  decided_by     text NOT NULL DEFAULT '',
  reason         text NOT NULL DEFAULT '',
  how            text NOT NULL DEFAULT '',
  decided_at     timestamptz,
  FOREIGN KEY (residency, epoch) REFERENCES domicile.salvage_run);
CREATE INDEX IF NOT EXISTS salvage_open ON domicile.salvage (residency, epoch) WHERE state = 'open';
CREATE TABLE IF NOT EXISTS domicile.repair (
  residency text NOT NULL,
  epoch     bigint NOT NULL,
  source    text NOT NULL,
  at        timestamptz NOT NULL DEFAULT pg_catalog.now(),
  took_ms   bigint NOT NULL,
  bytes     bigint NOT NULL,
  whole     bool NOT NULL,
  tables    jsonb NOT NULL);
)sql";

// ENABLE ALWAYS: the apply worker fires no other triggers, and a receiver's snapshot has to follow too. Row level,
// because it fires no statement triggers on apply (PostgreSQL 15).
constexpr const char* kDirectory = R"sql(
CREATE OR REPLACE FUNCTION domicile.directory_changed() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  -- Once per transaction: a million rows need one new version, and it has to be seen only with them. A reader that
  -- compiles too early reads the version first and therefore comes again.
  IF pg_catalog.current_setting('domicile.directory_xid', true) IS DISTINCT FROM pg_catalog.pg_current_xact_id()::text THEN
    PERFORM pg_catalog.set_config('domicile.directory_xid', pg_catalog.pg_current_xact_id()::text, true);
    INSERT INTO domicile.directory_log (xid) VALUES (pg_catalog.pg_current_xact_id()) ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $f$;
CREATE TABLE IF NOT EXISTS domicile.directory_log (
  xid xid8 PRIMARY KEY,
  version bigint NOT NULL UNIQUE DEFAULT pg_catalog.nextval('domicile.directory_change'));
CREATE OR REPLACE FUNCTION domicile.directory_version() RETURNS text LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  -- Newest and sum of the last *visible* changes: one that commits late under a smaller number changes it as well.
  SELECT coalesce(pg_catalog.max(l.version), 0) || '.' || coalesce(pg_catalog.sum(l.version), 0)
  FROM (SELECT version FROM domicile.directory_log ORDER BY version DESC LIMIT 1000) l
$f$;
DO $do$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['tenant', 'host'] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgname = 'domicile_directory_changed'
                   AND tgrelid = ('domicile.' || t)::pg_catalog.regclass) THEN
      EXECUTE pg_catalog.format('CREATE TRIGGER domicile_directory_changed AFTER INSERT OR UPDATE OR DELETE ON '
        'domicile.%I FOR EACH ROW EXECUTE FUNCTION domicile.directory_changed()', t);
      EXECUTE pg_catalog.format('ALTER TABLE domicile.%I ENABLE ALWAYS TRIGGER domicile_directory_changed', t);
    END IF;
  END LOOP;
END $do$;
)sql";

// PostgreSQL 15 lets only superusers make subscriptions. These do exactly what the agent needs and refuse every name
// that is not a link's; the subscription is registered, so that `remove` finds it.
constexpr const char* kSubscriptions = R"sql(
CREATE OR REPLACE FUNCTION domicile.link_name_check(name text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  IF name IS NULL OR name !~ '^domicile_[a-z0-9_]{1,54}$' OR name ~ '^domicile_salvage_' THEN
    RAISE EXCEPTION 'this is not the name of a link' USING ERRCODE = '42501';
  END IF;
END $f$;
CREATE OR REPLACE FUNCTION domicile.subscription_check(name text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  PERFORM domicile.link_name_check(name);
  IF NOT EXISTS (SELECT FROM domicile.object_registry r WHERE r.kind = 'subscription' AND r.name = $1) THEN
    RAISE EXCEPTION 'subscription % was not made by Domicile', name USING ERRCODE = '42501';
  END IF;
END $f$;
CREATE OR REPLACE FUNCTION domicile.subscription_create(name text, conninfo text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  PERFORM domicile.link_name_check(name);
  IF EXISTS (SELECT FROM pg_catalog.pg_subscription s, pg_catalog.pg_database d
             WHERE s.subdbid = d.oid AND d.datname = pg_catalog.current_database() AND s.subname = $1) THEN
    PERFORM domicile.subscription_check(name);
    EXECUTE pg_catalog.format('ALTER SUBSCRIPTION %I CONNECTION %L', name, conninfo);
    RETURN;
  END IF;
  -- It connects once, to learn its tables: without that every row would be dropped silently (tried on 15).
  EXECUTE pg_catalog.format('CREATE SUBSCRIPTION %I CONNECTION %L PUBLICATION %I WITH (create_slot = false, '
    'slot_name = %L, copy_data = false, enabled = false, synchronous_commit = local, disable_on_error = true)',
    name, conninfo, name, name);
  INSERT INTO domicile.object_registry (kind, name) VALUES ('subscription', $1) ON CONFLICT DO NOTHING;
END $f$;
CREATE OR REPLACE FUNCTION domicile.subscription_enable(name text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  PERFORM domicile.subscription_check(name);
  EXECUTE pg_catalog.format('ALTER SUBSCRIPTION %I ENABLE', name);
END $f$;
CREATE OR REPLACE FUNCTION domicile.subscription_disable(name text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  PERFORM domicile.subscription_check(name);
  EXECUTE pg_catalog.format('ALTER SUBSCRIPTION %I DISABLE', name);
END $f$;
CREATE OR REPLACE FUNCTION domicile.subscription_set_slot_none(name text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  PERFORM domicile.subscription_check(name);
  EXECUTE pg_catalog.format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', name);
END $f$;
CREATE OR REPLACE FUNCTION domicile.subscription_set_slot(name text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  PERFORM domicile.subscription_check(name);
  EXECUTE pg_catalog.format('ALTER SUBSCRIPTION %I SET (slot_name = %L)', name, name);
END $f$;
-- The applied position goes with it: it has to be journaled first. With a slot name set it would remove the peer's slot.
CREATE OR REPLACE FUNCTION domicile.subscription_drop(name text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  PERFORM domicile.subscription_check(name);
  IF (SELECT s.subslotname IS NOT NULL FROM pg_catalog.pg_subscription s WHERE s.subname = $1) THEN
    RAISE EXCEPTION 'subscription % still names its slot', name
      USING ERRCODE = '55000', HINT = 'call domicile.subscription_set_slot_none first';
  END IF;
  EXECUTE pg_catalog.format('DROP SUBSCRIPTION IF EXISTS %I', name);
  DELETE FROM domicile.object_registry r WHERE r.kind = 'subscription' AND r.name = $1;
END $f$;
-- DISABLE returns seconds before the worker is gone, and an agent may not signal a superuser's worker. Returns how many
-- are left.
CREATE OR REPLACE FUNCTION domicile.subscription_terminate(name text) RETURNS int LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE left_over int;
BEGIN
  PERFORM domicile.subscription_check(name);
  PERFORM pg_catalog.pg_terminate_backend(w.pid) FROM pg_catalog.pg_stat_subscription w
    WHERE w.subname = $1 AND w.pid IS NOT NULL;
  SELECT pg_catalog.count(*) INTO left_over FROM pg_catalog.pg_stat_subscription w
    WHERE w.subname = $1 AND w.pid IS NOT NULL;
  RETURN left_over;
END $f$;
-- True while every worker waits for more to arrive, or for its source to take the connection: nothing that it has
-- received is unapplied.
CREATE OR REPLACE FUNCTION domicile.subscription_idle(name text) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  PERFORM domicile.subscription_check(name);
  RETURN (SELECT pg_catalog.bool_and(coalesce(a.wait_event, '') IN ('LogicalApplyMain', 'LibPQWalReceiverConnect',
            'LibPQWalReceiverReceive'))
          FROM pg_catalog.pg_stat_subscription w JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid
          WHERE w.subname = $1) IS TRUE;
END $f$;
CREATE OR REPLACE FUNCTION domicile.subscription_position(name text) RETURNS pg_lsn LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE origin text;
BEGIN
  PERFORM domicile.subscription_check(name);
  SELECT 'pg_' || s.oid INTO origin FROM pg_catalog.pg_subscription s WHERE s.subname = $1;
  RETURN pg_catalog.pg_replication_origin_progress(origin, true);
END $f$;
CREATE OR REPLACE FUNCTION domicile.subscription_advance(name text, lsn pg_lsn) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE origin text;
BEGIN
  PERFORM domicile.subscription_check(name);
  SELECT 'pg_' || s.oid INTO origin FROM pg_catalog.pg_subscription s WHERE s.subname = $1;
  PERFORM pg_catalog.pg_replication_origin_advance(origin, lsn);
END $f$;
)sql";

// Who may not see other sessions sees no transaction of theirs either, and pg_read_all_stats would show their queries,
// rows and all. The making of a slot waits for these.
constexpr const char* kActivity = R"sql(
CREATE OR REPLACE FUNCTION domicile.open_transactions() RETURNS bigint LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
  WHERE backend_xid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()
$f$;
-- Sessions whose open transaction may have written a guarded table (their lock is stronger than a reader's), the oldest
-- first: a fence waits for them. Never what they ran. Apply's workers do not hold a fence.
CREATE OR REPLACE FUNCTION domicile.open_writers(min_age_ms bigint)
RETURNS TABLE (pid int, age_ms bigint, role text) LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT a.pid, w.age_ms, a.usename::text FROM pg_catalog.pg_stat_activity a,
    LATERAL (SELECT (extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::bigint AS age_ms) w
  WHERE a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
    AND a.datname = pg_catalog.current_database() AND w.age_ms >= $1
    AND EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation'
      AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      AND l.relation IN (SELECT t.tgrelid FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
        WHERE p.pronamespace = 'domicile'::pg_catalog.regnamespace))
  ORDER BY w.age_ms DESC
$f$;
-- Only of those: an agent ends nobody else's session.
CREATE OR REPLACE FUNCTION domicile.end_writers(pids int[])
RETURNS TABLE (pid int, age_ms bigint, role text) LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT w.pid, w.age_ms, w.role FROM domicile.open_writers(0) w
  WHERE w.pid = ANY ($1) AND pg_catalog.pg_terminate_backend(w.pid)
$f$;
)sql";

// What an agent needs to make commits wait for standbys. The settings themselves it writes by ALTER SYSTEM, which knows
// no function; the right to exactly those two comes with its other rights.
constexpr const char* kStandbys = R"sql(
CREATE OR REPLACE FUNCTION domicile.standby_reload() RETURNS boolean LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$ SELECT pg_catalog.pg_reload_conf() $f$;
-- The senders of links, as they obey the list of names; and how many commits wait.
CREATE OR REPLACE FUNCTION domicile.standby_senders()
RETURNS TABLE (link text, streaming boolean, priority int, confirmed pg_lsn) LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT r.application_name, r.state = 'streaming', r.sync_priority, r.flush_lsn
  FROM pg_catalog.pg_stat_replication r WHERE r.application_name ~ '^domicile_'
$f$;
CREATE OR REPLACE FUNCTION domicile.standby_waiting() RETURNS bigint LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE wait_event = 'SyncRep'
$f$;
-- Transactions from before `moment` that have written, or are about to write a guarded table.
CREATE OR REPLACE FUNCTION domicile.standby_older(moment timestamptz) RETURNS bigint LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a
  WHERE a.xact_start < $1 AND a.pid <> pg_catalog.pg_backend_pid() AND a.datname = pg_catalog.current_database()
    AND a.backend_type <> 'walsender' AND a.backend_type NOT LIKE 'logical replication%'
    AND (a.backend_xid IS NOT NULL OR EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND l.granted
      AND l.locktype = 'relation' AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
        'AccessExclusiveLock')
      AND l.relation IN (SELECT t.tgrelid FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
        WHERE p.pronamespace = 'domicile'::pg_catalog.regnamespace)))
$f$;
-- Ends the sessions that wait for a standby and began before `moment`: their clients are never told that it is done.
CREATE OR REPLACE FUNCTION domicile.standby_end_waiting(moment timestamptz) RETURNS bigint LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT pg_catalog.count(*) FILTER (WHERE pg_catalog.pg_terminate_backend(a.pid))
  FROM pg_catalog.pg_stat_activity a WHERE a.wait_event = 'SyncRep' AND a.xact_start < $1
$f$;
-- A slot comes to be once every open transaction is over, and a commit that waits is open: where a copy has to be made
-- anew each would wait for the other for ever.
CREATE OR REPLACE FUNCTION domicile.standby_unblock() RETURNS bigint LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
  SELECT domicile.standby_end_waiting(pg_catalog.clock_timestamp() - interval '2 s')
  WHERE EXISTS (SELECT FROM pg_catalog.pg_replication_slots s WHERE s.active AND s.confirmed_flush_lsn IS NULL
    AND s.slot_type = 'logical' AND s.database = pg_catalog.current_database())
$f$;
)sql";

// Publications belong to whoever ran `apply`. An agent may only bring one back to what `apply` wrote last.
constexpr const char* kRestore = R"sql(
CREATE OR REPLACE FUNCTION domicile.publication_restore(name text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE made text;
BEGIN
  SELECT r.detail ->> 'for' INTO made FROM domicile.object_registry r WHERE r.kind = 'publication' AND r.name = $1;
  IF made IS NULL THEN
    RAISE EXCEPTION 'what publication % was made as is not known', name USING ERRCODE = '42501', HINT = 'domicile apply';
  END IF;
  IF EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE p.pubname = $1) THEN
    EXECUTE pg_catalog.format('ALTER PUBLICATION %I SET (publish = ''insert, update, delete'', '
      'publish_via_partition_root = true)', name);
    EXECUTE pg_catalog.format('ALTER PUBLICATION %I SET ', name) || made;
  ELSE
    EXECUTE pg_catalog.format('CREATE PUBLICATION %I FOR ', name) || made ||
      ' WITH (publish = ''insert, update, delete'', publish_via_partition_root = true)';
  END IF;
END $f$;
)sql";

// First rows are read by the link's role, which has no right of its own: in the exporting session a view that `apply`'s
// own record of the publication describes gives it exactly the columns and rows of one table, the last one asked for. A
// view and not row security on the table: that would be OR-ed with policies which its owner makes later. Temporary and
// not lasting: a view forbids changes of its columns' types. It belongs to whoever owns this function, and so sees
// every row. Call it in a transaction of its own: the copy's would have an xid, and the making of a slot waits for
// those.
constexpr const char* kOutlet = R"sql(
CREATE OR REPLACE FUNCTION domicile.outlet(link text, role text, table_name text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE made jsonb; columns text;
BEGIN
  PERFORM domicile.link_name_check(link);
  IF role !~ '^domicile_link_[a-z0-9_]+$'
     OR NOT pg_catalog.starts_with(pg_catalog.reverse(link), pg_catalog.reverse(pg_catalog.substr(role, 14))) THEN
    RAISE EXCEPTION 'this is not the role of link %', link USING ERRCODE = '42501';
  END IF;
  SELECT r.detail -> 'tables' -> table_name INTO made FROM domicile.object_registry r
    WHERE r.kind = 'publication' AND r.name = link;
  IF made IS NULL THEN
    RAISE EXCEPTION 'link % lets out nothing of table %', link, table_name USING ERRCODE = '42501', HINT = 'domicile apply';
  END IF;
  SELECT coalesce(pg_catalog.string_agg(pg_catalog.quote_ident(c), ', '), '*') INTO columns
    FROM pg_catalog.jsonb_array_elements_text(made -> 'columns') c;
  DROP VIEW IF EXISTS pg_temp.domicile_outlet;
  EXECUTE pg_catalog.format('CREATE TEMPORARY VIEW domicile_outlet WITH (security_barrier) AS SELECT %s FROM %I.%I WHERE %s',
    columns, pg_catalog.split_part(table_name, '.', 1), pg_catalog.substr(table_name, pg_catalog.strpos(table_name, '.') + 1),
    made ->> 'filter');
  EXECUTE pg_catalog.format('GRANT SELECT ON pg_temp.domicile_outlet TO %I', role);
END $f$;
)sql";

// New functions are executable by everybody; here nobody may but whom a later grant names.
constexpr const char* kRights = R"sql(
DO $do$
DECLARE f pg_catalog.regprocedure;
BEGIN
  FOR f IN SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'domicile'::pg_catalog.regnamespace
           AND (p.proname ~ '^subscription_' OR p.proname ~ '^directory_' OR p.proname ~ '^standby_' OR p.proname IN ('link_name_check', 'open_transactions',
             'open_writers', 'end_writers', 'publication_restore', 'outlet')) LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
  END LOOP;
END $do$;
)sql";

// The registry is written by SECURITY DEFINER functions only; version and directory_log are read through functions.
constexpr const char* kAgentRights = R"sql(
GRANT USAGE ON SCHEMA domicile TO domicile_agent;
GRANT SELECT ON domicile.version, domicile.object_registry TO domicile_agent;
GRANT SELECT, INSERT, UPDATE ON domicile.salvage, domicile.salvage_run, domicile.repair TO domicile_agent;
GRANT SELECT, INSERT, UPDATE, DELETE ON domicile.tenant, domicile.host, domicile.marker, domicile.copy_journal,
  domicile.link_journal, domicile.pulse TO domicile_agent;
GRANT EXECUTE ON FUNCTION domicile.directory_version(), domicile.open_transactions(), domicile.open_writers(bigint),
  domicile.end_writers(int[]), domicile.publication_restore(text), domicile.outlet(text, text, text),
  domicile.subscription_create(text, text),
  domicile.subscription_enable(text), domicile.subscription_disable(text), domicile.subscription_set_slot_none(text),
  domicile.subscription_set_slot(text), domicile.subscription_drop(text), domicile.subscription_terminate(text),
  domicile.subscription_idle(text), domicile.subscription_position(text), domicile.subscription_advance(text, pg_lsn),
  domicile.standby_reload(), domicile.standby_senders(), domicile.standby_waiting(), domicile.standby_older(timestamptz),
  domicile.standby_end_waiting(timestamptz), domicile.standby_unblock() TO domicile_agent;
GRANT USAGE ON SCHEMA domicile TO domicile_gate;
GRANT EXECUTE ON FUNCTION domicile.link_owned(text) TO domicile_gate;
DO $do$
BEGIN
  IF pg_catalog.current_setting('is_superuser') = 'on' THEN
    GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names, synchronous_commit TO domicile_agent;
  END IF;
END $do$;
)sql";

}  // namespace

const std::string& agent_rights_sql() {
  static const std::string sql = kAgentRights;
  return sql;
}

const std::string& link_tables_sql() {
  static const std::string sql = kLinkTables;
  return sql;
}

const std::string& salvage_tables_sql() {
  static const std::string sql = kSalvage;
  return sql;
}

const std::string& schema_sql() {
  static const std::string sql = std::string(kTables) + kLinkTables + kSalvage + kDirectory + kSubscriptions +
                                 kActivity + kStandbys + kRestore + kOutlet + kRights;
  return sql;
}

}  // namespace domicile::postgres
