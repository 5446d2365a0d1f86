#include "engines/postgres/apply.hpp"

#include "engines/postgres/catalog.hpp"
#include "engines/postgres/schema_sql.hpp"

namespace domicile::postgres {
namespace {

using desired::Act;
using desired::Context;
using desired::Desired;
using desired::Seen;
using desired::Step;

std::string name(std::string_view identifier) { return Connection::quote_identifier(identifier); }
std::string qualified(const std::string& text) {
  const auto dot = text.find('.');
  return name(text.substr(0, dot)) + "." + name(text.substr(dot + 1));
}
constexpr const char* kOptions = "publish = 'insert, update, delete', publish_via_partition_root = true";

Result<void> record(Connection& connection, const std::string& kind, const std::string& object,
                    const Json& detail = Json::object()) {
  CHECK_OK(
      connection.exec_params("INSERT INTO domicile.object_registry (kind, name, detail) VALUES ($1, $2, $3::jsonb) "
                             "ON CONFLICT (kind, name) DO NOTHING",
                             {kind, object, dump(detail)}));
  return {};
}

class Applier {
 public:
  Applier(Connection& connection, const Context& context, const Seen& seen, const GuardSql& guard)
      : connection_(connection), context_(context), seen_(seen), guard_(guard), want_(desired_state(context, seen)) {}

  Result<void> run(const Step& step) {
    switch (step.act) {
      case Act::install_schema:
        return install_schema();
      case Act::create_role:
        return create_role(step.object);
      case Act::change_role:
        return change_role(step.object);
      case Act::install_guard:
        return install_guard();
      case Act::guard_table:
        return guard_table(step.object);
      case Act::law_table:
        return law_table(step.object);
      case Act::set_observe:
        return set_observe();
      case Act::grant_agent:
        return grant_agent(step.object);
      case Act::create_publication:
        return create_publication(step.object);
      case Act::change_publication:
        return change_publication(step.object);
      case Act::drop_publication:
        return drop_publication(step.object);
      default:
        return {};  // the agents'
    }
  }

 private:
  Result<void> exec(const std::string& sql) {
    CHECK_OK(connection_.exec(sql));
    return {};
  }

  Result<void> install_schema() {
    CHECK_OK(exec(schema_sql()));
    CHECK_OK(connection_.exec_params("INSERT INTO domicile.version (version) VALUES ($1)",
                                     {std::to_string(desired::kSchemaVersion)}));
    // A version that is brought up: the agent's role is there already and needs what is new.
    if (seen_.roles.contains(std::string(desired::kAgentRole)) && seen_.guard_installed) CHECK_OK(rights_of_agent());
    for (const auto& [publication, have] : seen_.publications)
      if (have.ours && want_.publications.contains(publication) && !want_.kept.contains(publication))
        CHECK_OK(record_publication(publication));
    return record(connection_, "schema", "domicile");
  }

  std::string attributes(const std::string& role) const {
    return want_.roles.at(role).login ? " LOGIN REPLICATION NOSUPERUSER NOBYPASSRLS"
                                      : " NOLOGIN NOREPLICATION NOSUPERUSER NOBYPASSRLS";
  }

  // The exporting agent becomes the link's role for the time of a table.
  Result<void> let_agent_become(const std::string& role) {
    if (want_.roles.at(role).login) return {};
    return exec(fmt::format("GRANT {} TO {}", name(role), name(desired::kAgentRole)));
  }

  Result<void> create_role(const std::string& role) {
    CHECK_OK(exec("CREATE ROLE " + name(role) + attributes(role) + " PASSWORD NULL"));
    CHECK_OK(let_agent_become(role));
    return record(connection_, "role", role);
  }

  Result<void> change_role(const std::string& role) {
    CHECK_OK(exec("ALTER ROLE " + name(role) + attributes(role)));
    return let_agent_become(role);
  }

  // What the agent calls and writes, by name: a function or table that is added later is closed until it is named here.
  // The guard's own functions come with the guard.
  Result<void> rights_of_agent() { return exec(agent_rights_sql()); }

  Result<void> install_guard() {
    CHECK_OK(exec(guard_.install));
    CHECK_OK(rights_of_agent());
    CHECK_OK(record(connection_, "guard", guard_.form));
    // The C form keeps its mode in the server's memory, so that what an earlier installation left there may be on.
    return set_observe();
  }

  Result<void> guard_table(const std::string& table) {
    const auto found = seen_.tables.find(table);
    if (found == seen_.tables.end()) return fail(Kind::conflict, "table " + table + " is gone");
    // A partition is guarded with its table: the guard keeps one entry for both.
    const auto& parent = found->second.parent;
    const auto root = parent.empty() ? found : seen_.tables.find(parent);
    const auto* mapped = topology::table_of(context_.topology, parent.empty() ? table : parent);
    if (!mapped || root == seen_.tables.end()) return fail(Kind::failed, "table " + table + " is not in the topology");
    CHECK_OK(exec(guard_.guard_table(root->second.schema, root->second.name, *mapped)));
    return record(connection_, "guarded", table);
  }

  Result<void> law_table(const std::string& table) {
    const auto found = seen_.tables.find(table);
    if (found == seen_.tables.end()) return fail(Kind::conflict, "table " + table + " is gone");
    const auto law = want_.laws.find(table);
    return exec(guard_.law_table(found->second.schema, found->second.name,
                                 law == want_.laws.end() ? desired::Law{} : law->second));
  }

  Result<void> set_observe() {
    CHECK_OK(connection_.exec_params("SELECT domicile.guard_observe($1::bool)", {want_.observe ? "true" : "false"}));
    CHECK_OK(
        connection_.exec_params("UPDATE domicile.object_registry SET detail = pg_catalog.jsonb_build_object('observe', "
                                "$1::text) WHERE kind = 'guard'",
                                {want_.observe ? "true" : "false"}));
    return {};
  }

  Result<void> grant_agent(const std::string& table) {
    const auto schema = table.substr(0, table.find('.'));
    CHECK_OK(exec("GRANT USAGE ON SCHEMA " + name(schema) + " TO domicile_agent"));
    CHECK_OK(exec("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE " + qualified(table) + " TO domicile_agent"));
    // A switch advances the sequences behind it, and markers carry their values.
    const auto sequences = TRY(connection_.exec_params(
        "SELECT s.oid::pg_catalog.regclass::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = "
        "d.objid "
        "AND s.relkind = 'S' WHERE d.refobjid = $1::pg_catalog.regclass AND d.deptype IN ('a', 'i')",
        {qualified(table)}));
    for (int r = 0; r < sequences.size(); ++r)
      CHECK_OK(exec("GRANT SELECT, UPDATE ON SEQUENCE " + sequences.text(r, 0) + " TO domicile_agent"));
    return record(connection_, "grant", table);
  }

  std::string table_list(const std::string& publication) const {
    std::string list;
    for (const auto& table : want_.publications.at(publication).tables) {
      list += (list.empty() ? "TABLE " : ", TABLE ") + qualified(table.table);
      std::string columns;
      for (const auto& column : table.columns) columns += (columns.empty() ? "" : ", ") + name(column);
      if (!columns.empty()) list += " (" + columns + ")";
      if (!table.filter.empty()) list += " WHERE (" + filter_sql(table.filter) + ")";
    }
    return list;
  }

  // (residency = 'eu'::text), with the column quoted: it may be a key word.
  static std::string filter_sql(const std::string& filter) {
    const auto end = filter.find(" = ");
    return name(filter.substr(1, end - 1)) + filter.substr(end, filter.size() - end - 1);
  }

  Result<void> create_publication(const std::string& publication) {
    CHECK_OK(exec(
        fmt::format("CREATE PUBLICATION {} FOR {} WITH ({})", name(publication), table_list(publication), kOptions)));
    return record_publication(publication);
  }

  Result<void> change_publication(const std::string& publication) {
    CHECK_OK(exec(fmt::format("ALTER PUBLICATION {} SET ({})", name(publication), kOptions)));
    CHECK_OK(exec(fmt::format("ALTER PUBLICATION {} SET {}", name(publication), table_list(publication))));
    return record_publication(publication);
  }

  // With what it was made as: what an agent may bring it back to (domicile.publication_restore), and what first rows
  // are read by (domicile.outlet).
  Result<void> record_publication(const std::string& publication) {
    Json tables = Json::object();
    for (const auto& table : want_.publications.at(publication).tables)
      tables[table.table] = {{"columns", table.columns},
                             {"filter", table.filter.empty() ? "true" : filter_sql(table.filter)}};
    const Json detail{{"for", table_list(publication)}, {"tables", tables}};
    CHECK_OK(record(connection_, "publication", publication, detail));
    CHECK_OK(connection_.exec_params(
        "UPDATE domicile.object_registry SET detail = $2::jsonb WHERE kind = 'publication' AND name = $1",
        {publication, dump(detail)}));
    return {};
  }

  Result<void> drop_publication(const std::string& publication) {
    CHECK_OK(exec("DROP PUBLICATION IF EXISTS " + name(publication)));
    // The agent drops the slot later, and `remove` too: it has to be known as ours until then.
    if (seen_.slots.contains(publication)) CHECK_OK(record(connection_, "slot", publication));
    CHECK_OK(connection_.exec_params("DELETE FROM domicile.object_registry WHERE kind = 'publication' AND name = $1",
                                     {publication}));
    return {};
  }

  Connection& connection_;
  const Context& context_;
  const Seen& seen_;
  const GuardSql& guard_;
  Desired want_;
};

Result<std::vector<std::string>> registered(Connection& connection, const std::string& kind) {
  const auto rows =
      TRY(connection.exec_params("SELECT name FROM domicile.object_registry WHERE kind = $1 ORDER BY name", {kind}));
  std::vector<std::string> names;
  for (int r = 0; r < rows.size(); ++r) names.push_back(rows.text(r, 0));
  return names;
}

// The sender of a subscription that has just been dropped needs a moment to notice.
Result<void> wait_for_slots(Connection& connection) {
  const Micros end = monotonic_now() + 5 * kSecond;
  for (;;) {
    const auto busy = TRY(connection.exec(
        "SELECT s.slot_name FROM pg_catalog.pg_replication_slots s JOIN domicile.object_registry r ON r.name = "
        "s.slot_name AND r.kind IN ('slot', 'publication') WHERE s.active AND s.database = "
        "pg_catalog.current_database()"));
    if (busy.empty()) return {};
    if (monotonic_now() >= end)
      return fail(Kind::refused, "slot " + busy.text(0, 0) + " is being read",
                  "remove Domicile from the region that reads it first, or stop it");
    CHECK_OK(connection.exec("SELECT pg_catalog.pg_sleep(0.05)"));
  }
}

// Before the functions go that a waiting commit's release needs, and outside of a transaction, as ALTER SYSTEM wants
// it.
Result<void> reset_standbys(Connection& connection) {
  const auto ours = TRY(connection.exec(
      "SELECT name FROM pg_catalog.pg_settings WHERE name = 'synchronous_standby_names' AND reset_val LIKE 'FIRST % "
      "(domicile\\_%' UNION ALL SELECT name FROM pg_catalog.pg_settings WHERE name = 'synchronous_commit' AND "
      "reset_val = 'local' AND sourcefile LIKE '%postgresql.auto.conf'"));
  for (int row = 0; row < ours.size(); ++row) CHECK_OK(connection.exec("ALTER SYSTEM RESET " + ours.text(row, 0)));
  if (!ours.empty()) CHECK_OK(connection.exec("SELECT pg_catalog.pg_reload_conf()"));
  return {};
}

Result<void> remove_tables_rights(Connection& connection, std::vector<std::string>& done) {
  // Triggers by their function's schema: partitions that were attached later have clones, which go with their parent's.
  const auto triggers = TRY(connection.exec(
      "SELECT pg_catalog.format('DROP TRIGGER IF EXISTS %I ON %s', t.tgname, t.tgrelid::pg_catalog.regclass), "
      "t.tgrelid::pg_catalog.regclass::text FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid "
      "JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid "
      "WHERE p.pronamespace = 'domicile'::pg_catalog.regnamespace AND t.tgparentid = 0 "
      "AND c.relnamespace <> 'domicile'::pg_catalog.regnamespace"));
  for (int r = 0; r < triggers.size(); ++r) {
    CHECK_OK(connection.exec(triggers.text(r, 0)));
    done.push_back("took the guard off " + triggers.text(r, 1));
  }
  return {};
}

// RESTRICT everywhere: what somebody built on our schema stops this, and nothing of theirs goes.
Result<void> remove_schema(Connection& connection, std::vector<std::string>& done) {
  CHECK_OK(connection.exec("DROP EXTENSION IF EXISTS domicile"));
  const auto statements = TRY(connection.exec(
      "SELECT 'DROP TABLE ' || pg_catalog.string_agg(c.oid::pg_catalog.regclass::text, ', ') FROM pg_catalog.pg_class "
      "c "
      "WHERE c.relnamespace = 'domicile'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p') HAVING count(*) > 0 "
      "UNION ALL SELECT 'DROP SEQUENCE ' || pg_catalog.string_agg(c.oid::pg_catalog.regclass::text, ', ') "
      "FROM pg_catalog.pg_class c WHERE c.relnamespace = 'domicile'::pg_catalog.regnamespace AND c.relkind = 'S' "
      "AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')) "
      "HAVING count(*) > 0 "
      "UNION ALL SELECT 'DROP FUNCTION ' || pg_catalog.string_agg(p.oid::pg_catalog.regprocedure::text, ', ') "
      "FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'domicile'::pg_catalog.regnamespace HAVING count(*) > 0"));
  for (int r = 0; r < statements.size(); ++r) CHECK_OK(connection.exec(statements.text(r, 0)));
  CHECK_OK(connection.exec("DROP SCHEMA domicile"));
  done.push_back("dropped schema domicile");
  return {};
}

Result<void> remove_roles(Connection& connection, const std::vector<std::string>& roles,
                          std::vector<std::string>& done) {
  for (const auto& role : roles) {
    const auto there = TRY(connection.exec_params("SELECT FROM pg_catalog.pg_roles WHERE rolname = $1", {role}));
    if (there.empty()) continue;
    const auto owned = TRY(connection.exec_params(
        "SELECT count(*) FROM pg_catalog.pg_shdepend WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass "
        "AND refobjid = $1::pg_catalog.regrole AND deptype = 'o'",
        {name(role)}));
    if (owned.integer_or(0, 0, 0) > 0)
      return fail(Kind::refused, "role " + role + " owns objects that Domicile did not create",
                  "give them another owner (REASSIGN OWNED), then remove again");
    // It owns nothing: this takes back grants only.
    CHECK_OK(connection.exec("DROP OWNED BY " + name(role)));
    CHECK_OK(connection.exec("DROP ROLE " + name(role)));
    done.push_back("dropped role " + role);
  }
  return {};
}

Examined examined(const Context& context, Seen seen) {
  auto plan = desired::diff(desired::desired_state(context, seen), seen);
  auto findings = desired::readiness(context, seen);
  return {std::move(seen), std::move(plan), std::move(findings)};
}

}  // namespace

Result<Examined> examine(Connection& connection, const Context& context) {
  return examined(context, TRY(observe(connection, context.topology)));
}

Result<void> apply(Connection& connection, const Context& context, const desired::Plan& plan, const GuardSql& guard,
                   const StepDone& done) {
  auto transaction = TRY(Transaction::begin(connection));
  // One apply at a time; it ends with the transaction. What the plan was made from is compared behind the lock: of two
  // that were planned alike the second is refused.
  CHECK_OK(connection.exec("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('domicile.apply'))"));
  const auto now = examined(context, TRY(observe_inside(connection, context.topology)));
  if (now.plan != plan)
    return fail(Kind::conflict, "region " + context.region + ": the database is not what the plan was made from",
                "make a new plan", "DOM-P090");
  if (desired::refuses(now.findings))
    return fail(Kind::refused,
                "region " + context.region + ": the schema is not ready: " + now.findings[0].object + ": " +
                    now.findings[0].cause,
                "domicile plan prints the migration", now.findings[0].code);
  if (!plan.changes()) return {};
  // A tenant table that somebody holds must not make everybody queue behind us.
  CHECK_OK(connection.exec("SET LOCAL lock_timeout = '5s'"));
  Applier applier(connection, context, now.seen, guard);
  for (const auto& step : plan.steps) {
    if (desired::by_agent(step.act)) continue;
    if (auto made = applier.run(step); !made) return wrap(context.region + ": " + step.sentence, made.error());
    if (done) done(step);
  }
  return transaction.commit();
}

Result<std::vector<std::string>> remove_subscriptions(Connection& connection) {
  std::vector<std::string> done;
  const auto there = TRY(connection.exec("SELECT pg_catalog.to_regclass('domicile.object_registry') IS NOT NULL"));
  if (!there.truth(0, 0)) return done;
  for (const auto& subscription : TRY(registered(connection, "subscription"))) {
    const auto rows =
        TRY(connection.exec_params("SELECT FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = "
                                   "s.subdbid WHERE s.subname = $1 "
                                   "AND d.datname = pg_catalog.current_database()",
                                   {subscription}));
    if (rows.empty()) continue;
    CHECK_OK(connection.exec("ALTER SUBSCRIPTION " + name(subscription) + " DISABLE"));
    CHECK_OK(connection.exec("ALTER SUBSCRIPTION " + name(subscription) + " SET (slot_name = NONE)"));
    CHECK_OK(connection.exec("DROP SUBSCRIPTION " + name(subscription)));
    done.push_back("dropped subscription " + subscription);
  }
  return done;
}

Result<std::vector<std::string>> remove(Connection& connection, const GuardSql& guard) {
  const auto there = TRY(connection.exec("SELECT pg_catalog.to_regclass('domicile.object_registry') IS NOT NULL"));
  if (!there.truth(0, 0)) return std::vector<std::string>{};
  auto done = TRY(remove_subscriptions(connection));
  CHECK_OK(reset_standbys(connection));
  CHECK_OK(wait_for_slots(connection));
  auto transaction = TRY(Transaction::begin(connection));
  CHECK_OK(connection.exec("SET LOCAL lock_timeout = '5s'"));
  const auto roles = TRY(registered(connection, "role"));
  const auto publications = TRY(registered(connection, "publication"));
  for (const auto& slot : TRY(registered(connection, "slot")))
    CHECK_OK(connection.exec_params(
        "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots "
        "WHERE slot_name = $1 AND database = pg_catalog.current_database()",
        {slot}));
  // Slots have the names of our publications. One that is being read refuses, and nothing was removed but
  // subscriptions.
  for (const auto& publication : publications) {
    CHECK_OK(connection.exec_params(
        "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots "
        "WHERE slot_name = $1 AND database = pg_catalog.current_database()",
        {publication}));
    CHECK_OK(connection.exec("DROP PUBLICATION IF EXISTS " + name(publication)));
    done.push_back("dropped publication " + publication);
  }
  // The guard first: its event trigger would put back every trigger that is dropped while it is there.
  CHECK_OK(connection.exec(guard.uninstall));
  CHECK_OK(remove_tables_rights(connection, done));
  CHECK_OK(remove_schema(connection, done));
  CHECK_OK(remove_roles(connection, roles, done));
  CHECK_OK(transaction.commit());
  return done;
}

}  // namespace domicile::postgres
