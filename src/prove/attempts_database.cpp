// Statements in the forbidden region's own database: as the application, as the owner of its tables, as its agent.
#include "prove/ground.hpp"
#include "prove/plant.hpp"

namespace domicile::prove {
namespace {

const std::vector<std::string> kKept = {"DM001", "DM008"};  // by the lease, by the law
const std::vector<std::string> kRights = {"42501"};

std::string quoted(const std::string& value) { return postgres::Connection::quote_literal(value); }

// A row of app.orders with the canary in both personal columns.
std::string values(const Target& target, const std::string& residency) {
  return fmt::format("('{}', {}, {}, {}, {})", fresh_uuid(), quoted(residency), quoted(target.tenant),
                     quoted(target.canary.value), quoted(target.canary.email()));
}
std::string insert(const Target& target, const std::string& residency) {
  return "INSERT INTO app.orders (id, residency, tenant_id, customer_name, customer_email) VALUES " +
         values(target, residency);
}
std::string update(const Ground& ground, const Target& target, const std::string& set) {
  return fmt::format("UPDATE app.orders SET {} WHERE residency = {} AND id = '{}'", set, quoted(ground.residency),
                     target.order);
}
std::string name_set(const Target& target) { return "customer_name = " + quoted(target.canary.value); }

using Statements = std::function<std::vector<std::string>(const Ground&, const Target&)>;

// UPDATE of no row would be refused by nobody: the reduced row is there, plant() has seen it.
Attempt saying(const char* id, const char* what, const char* role, std::vector<std::string> rules, bool quick,
               Statements statements) {
  return {id,
          Layer::database,
          what,
          std::move(rules),
          quick,
          false,
          [role, statements = std::move(statements)](const Ground& ground, const Target& target) {
            return try_sql(ground, role, statements(ground, target));
          }};
}

// The columns are there, and so is the row; its values are not.
Outcome read_reduced(const Ground& ground, const Target& target) {
  const Outcome outcome =
      try_sql(ground, "app_owner",
              {fmt::format("SELECT id, customer_name, customer_email FROM app.orders WHERE id = '{}'", target.order),
               fmt::format("SELECT note FROM app.order_items WHERE order_id = '{}'", target.order)});
  if (outcome.refused || !outcome.trouble.empty()) return outcome;
  if (outcome.seen.find(target.order) == std::string::npos) return in_trouble("the order is not here");
  return lawful_by("reduced", outcome.seen);
}

Outcome copy_in(const Ground& ground, const Target& target) {
  auto connection = session_at(ground, ground.here, "app");
  if (!connection) return in_trouble(one_line(connection.error()));
  const auto done = [&]() -> Result<std::int64_t> {
    CHECK_OK(connection->begin_copy_in(
        "COPY app.orders (id, residency, tenant_id, customer_name, customer_email) FROM STDIN"));
    CHECK_OK(connection->put_copy(fmt::format("{}\t{}\t{}\t{}\t{}\n", fresh_uuid(), ground.residency, target.tenant,
                                              target.canary.value, target.canary.email())));
    return connection->end_copy_in();
  }();
  return done ? went_through() : outcome_of(done.error());
}

}  // namespace

std::vector<Attempt> database_attempts() {
  std::vector<Attempt> all = {
      saying("database.insert", "the application inserts the row", "app", kKept, true,
             [](const Ground& g, const Target& t) { return std::vector{insert(t, g.residency)}; }),
      saying("database.upsert", "the application inserts it over the reduced row", "app", kKept, false,
             [](const Ground& g, const Target& t) {
               return std::vector{
                   fmt::format("INSERT INTO app.orders (id, residency, tenant_id, customer_name) VALUES "
                               "('{}', {}, {}, {}) ON CONFLICT (residency, id) DO UPDATE SET "
                               "customer_name = excluded.customer_name",
                               t.order, quoted(g.residency), quoted(t.tenant), quoted(t.canary.value))};
             }),
      saying("database.merge", "the application merges it into the reduced row", "app", kKept, false,
             [](const Ground& g, const Target& t) {
               return std::vector{fmt::format(
                   "MERGE INTO app.orders o USING (VALUES ({})) AS v (name) ON o.residency = {} AND o.id = '{}' "
                   "WHEN MATCHED THEN UPDATE SET customer_name = v.name",
                   quoted(t.canary.value), quoted(g.residency), t.order)};
             }),
      saying("database.update", "the application fills in the reduced row's columns", "app", kKept, true,
             [](const Ground& g, const Target& t) { return std::vector{update(g, t, name_set(t))}; }),
      saying("database.note", "the application adds an item with a personal note", "app", kKept, false,
             [](const Ground& g, const Target& t) {
               return std::vector{
                   fmt::format("INSERT INTO app.order_items (id, residency, tenant_id, order_id, sku, "
                               "note) VALUES ('{}', {}, {}, '{}', 'a', {})",
                               fresh_uuid(), quoted(g.residency), quoted(t.tenant), t.order, quoted(t.canary.value))};
             }),
      saying("database.mislabelled", "a row that is labelled as one of here, of a tenant from elsewhere", "app",
             {"DM002", "DM008"}, true,
             [](const Ground& g, const Target& t) { return std::vector{insert(t, g.own_residency)}; }),
      saying("database.relabelled", "the reduced row gets another label and a name", "app",
             {"DM001", "DM002", "DM003", "DM008"}, true,
             [](const Ground& g, const Target& t) {
               return std::vector{update(g, t, "residency = " + quoted(g.own_residency) + ", " + name_set(t))};
             }),
      saying("database.tenant_changed", "a tenant of here gives its row to one from elsewhere", "app",
             {"DM002", "DM008"}, false,
             [](const Ground& g, const Target& t) {
               const std::string id = fresh_uuid();
               return std::vector{
                   fmt::format("INSERT INTO app.orders (id, residency, tenant_id) VALUES ('{}', {}, {})", id,
                               quoted(g.own_residency), quoted(g.own_tenant)),
                   fmt::format("UPDATE app.orders SET tenant_id = {}, {} WHERE residency = {} AND id = '{}'",
                               quoted(t.tenant), name_set(t), quoted(g.own_residency), id)};
             }),
      saying("database.owner", "the owner of the table inserts the row", "app_owner", kKept, true,
             [](const Ground& g, const Target& t) { return std::vector{insert(t, g.residency)}; }),
      saying("database.triggers_off", "the owner disables the triggers and inserts", "app_owner",
             {"DM001", "DM008", "42501"}, true,
             [](const Ground& g, const Target& t) {
               return std::vector<std::string>{"ALTER TABLE app.orders DISABLE TRIGGER USER", insert(t, g.residency)};
             }),
      saying("database.trigger_dropped", "the owner drops the guard's and the law's triggers and inserts", "app_owner",
             {"DM001", "DM008", "42501"}, false,
             [](const Ground& g, const Target& t) {
               return std::vector<std::string>{"DROP TRIGGER IF EXISTS domicile_guard_row ON app.orders",
                                               "DROP TRIGGER IF EXISTS \"~domicile_law\" ON app.orders",
                                               insert(t, g.residency)};
             }),
      saying("database.replica_role", "the owner says that it is replication", "app_owner", kRights, true,
             [](const Ground& g, const Target& t) {
               return std::vector<std::string>{"SET session_replication_role = replica", insert(t, g.residency)};
             }),
      saying("database.partition", "the owner makes a child of the table and inserts there", "app_owner", kKept, false,
             [](const Ground& g, const Target& t) {
               return std::vector<std::string>{
                   "BEGIN", "CREATE TABLE app.prove_child () INHERITS (app.orders)",
                   "INSERT INTO app.prove_child (id, residency, tenant_id, customer_name, customer_email) VALUES " +
                       values(t, g.residency),
                   "COMMIT"};
             }),
      saying("database.permit", "the application takes an import's permit", "app", kRights, true,
             [](const Ground& g, const Target& t) {
               return std::vector<std::string>{"BEGIN",
                                               fmt::format("SELECT domicile.permit({}, 'link')", quoted(g.residency)),
                                               insert(t, g.residency), "COMMIT"};
             }),
      saying("database.lease", "the owner gives its region a lease", "app_owner", kRights, false,
             [](const Ground& g, const Target& t) {
               return std::vector<std::string>{
                   fmt::format("SELECT domicile.lease_set({}, 1000, 4000000000000000, 'x')", quoted(g.residency)),
                   insert(t, g.residency)};
             }),
      saying("database.directory", "the application changes the tenant's residency in the directory", "app", kRights,
             true,
             [](const Ground& g, const Target& t) {
               return std::vector<std::string>{
                   fmt::format("UPDATE domicile.tenant SET residency = {} WHERE tenant_id = {}",
                               quoted(g.own_residency), quoted(t.tenant)),
                   insert(t, g.own_residency)};
             }),
      saying("database.agent", "the region's agent itself, with an import's permit", "domicile_agent", {"DM008"}, true,
             [](const Ground& g, const Target& t) {
               return std::vector<std::string>{"BEGIN",
                                               fmt::format("SELECT domicile.permit({}, 'link')", quoted(g.residency)),
                                               insert(t, g.residency), "COMMIT"};
             }),
      saying("database.subscription", "the owner subscribes to home by hand", "app_owner", kRights, false,
             [](const Ground& g, const Target&) {
               return std::vector<std::string>{
                   fmt::format("CREATE SUBSCRIPTION prove CONNECTION {} PUBLICATION {} WITH (slot_name = 'prove')",
                               quoted(g.config.sites.at(g.home).link), "domicile_salvage_" + g.residency)};
             }),
      saying("database.program", "the owner copies from a program", "app_owner", kRights, false,
             [](const Ground&, const Target& t) {
               return std::vector<std::string>{
                   fmt::format("COPY app.orders (customer_name) FROM PROGRAM 'echo {}'", t.canary.value)};
             }),
  };
  all.push_back({"database.read",
                 Layer::database,
                 "the owner reads the order's personal columns",
                 {"reduced"},
                 true,
                 false,
                 read_reduced});
  all.push_back(
      {"database.copy", Layer::database, "the application loads the row by COPY", kKept, false, false, copy_in});
  return all;
}

}  // namespace domicile::prove
