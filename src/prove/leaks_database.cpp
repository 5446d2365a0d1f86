// Leaks into the database of the wrong side: by the superuser, whom nothing there can stop, and by replication.
#include "prove/leaks.hpp"

namespace domicile::prove {
namespace {

using census::Canary;
using postgres::Connection;

constexpr Micros kStatement = 20 * kSecond;

Result<std::string> path_of(Connection& sql, const std::string& relation) {
  const auto rows = TRY(sql.exec_params("select pg_relation_filepath($1::regclass)", {relation}));
  return "/" + rows.text(0, 0);
}

Result<void> each(Connection& sql, const std::vector<std::string>& statements) {
  for (const std::string& statement : statements) TRY(sql.exec(statement, monotonic_now() + kStatement));
  return {};
}

// Guard and law of app.orders, and what would put their triggers back at the next change of the table.
Result<void> switch_off(Connection& sql) {
  const auto watchers = TRY(sql.exec("select evtname from pg_event_trigger where evtenabled <> 'D'"));
  for (int row = 0; row < watchers.size(); ++row)
    TRY(sql.exec("alter event trigger " + Connection::quote_identifier(watchers.text(row, 0)) + " disable"));
  TRY(sql.exec("alter table app.orders disable trigger all", monotonic_now() + kStatement));
  return {};
}

Result<Expected> row_past_the_guard(Scene& scene, const Canary& canary) {
  auto sql = TRY(scene.sql(scene.site));
  auto change = TRY(postgres::Transaction::begin(sql));
  CHECK_OK(switch_off(sql));
  TRY(sql.exec_params(
      "insert into app.orders (id, residency, tenant_id, customer_name) values (gen_random_uuid(), $1, $2, $3)",
      {scene.residency, scene.tenant, canary.value}));
  CHECK_OK(change.commit());
  return Expected{scene.place("postgres"), TRY(path_of(sql, "app.orders"))};
}

// As a region does that keeps what it may not hold.
Result<Expected> salvage_of_another(Scene& scene, const Canary& canary) {
  auto sql = TRY(scene.sql(scene.site));
  TRY(
      sql.exec_params("insert into domicile.salvage_run (residency, epoch, next_owner, base, upto, transactions, rows) "
                      "values ($1, 9, 'leak', '0/0', '0/0', 1, 1)",
                      {scene.residency}));
  TRY(sql.exec_params(
      "insert into domicile.salvage (residency, epoch, table_name, key, net, row, first_lsn, last_lsn, "
      "committed_us, changes, theirs_changed, theirs_us) values ($1, 9, 'app.orders', '{}', 'inserted', "
      "jsonb_build_object('customer_name', $2::text), '0/0', '0/0', 0, 1, false, 0)",
      {scene.residency, canary.value}));
  return Expected{scene.place("postgres"), TRY(path_of(sql, "domicile.salvage"))};
}

Result<Expected> undone_row(Scene& scene, const Canary& canary) {
  auto sql = TRY(scene.sql(scene.site));
  CHECK_OK(each(sql, {"begin", "create table leak.undone (v text)"}));
  TRY(sql.exec_params("insert into leak.undone values ($1)", {canary.value}));
  TRY(sql.exec("rollback"));
  return Expected{scene.place("postgres"), "/pg_wal/", "wal"};
}

// Too much for a tuple even compressed, so that it is compressed and then cut.
Result<Expected> compressed_value(Scene& scene, const Canary& canary) {
  std::string value;
  for (unsigned i = 1; value.size() < 100'000; ++i) value += std::to_string(i * 2654435761U) + "..........";
  auto sql = TRY(scene.sql(scene.site));
  TRY(sql.exec("create table leak.toasted (v text compression pglz)"));
  TRY(sql.exec_params("insert into leak.toasted values ($1)", {value + canary.value}));
  const auto toast =
      TRY(sql.exec("select reltoastrelid::regclass::text from pg_class where oid = 'leak.toasted'::regclass"));
  return Expected{scene.place("postgres"), TRY(path_of(sql, toast.text(0, 0))), "toast-pglz"};
}

Result<Expected> statistics(Scene& scene, const Canary& canary) {
  auto sql = TRY(scene.sql(scene.site));
  TRY(sql.exec("create table leak.people (v text)"));
  TRY(sql.exec_params("insert into leak.people select $1::text from generate_series(1, 50)", {canary.value}));
  CHECK_OK(each(sql, {"analyze leak.people", "truncate leak.people"}));
  return Expected{scene.place("postgres"), TRY(path_of(sql, "pg_statistic"))};
}

Result<Expected> sort_in_a_temporary_file(Scene& scene, const Canary& canary) {
  auto sql = std::make_shared<Connection>(TRY(scene.sql(scene.site)));
  CHECK_OK(each(*sql, {"set work_mem = '64kB'", "begin",
                       "declare leak cursor for select md5(i::text) || " + Connection::quote_literal(canary.value) +
                           " v from generate_series(1, 20000) i order by v",
                       "fetch 1 from leak"}));
  scene.kept.push_back(std::move(sql));
  return Expected{scene.place("postgres"), "/pgsql_tmp/"};
}

Result<Expected> large_object(Scene& scene, const Canary& canary) {
  auto sql = TRY(scene.sql(scene.site));
  TRY(sql.exec_params("select lo_from_bytea(0, convert_to($1, 'UTF8'))", {canary.value}));
  return Expected{scene.place("postgres"), TRY(path_of(sql, "pg_largeobject"))};
}

Result<Expected> failing_statement(Scene& scene, const Canary& canary) {
  auto sql = TRY(scene.sql(scene.site));
  if (sql.exec_params("select $1::text::integer", {canary.value}))
    return fail(Kind::failed, "a statement that must fail did not");
  return Expected{scene.place("logs"), "/postgres.log"};
}

Result<Expected> copy_to_a_file(Scene& scene, const Canary& canary) {
  auto sql = TRY(scene.sql(scene.site));
  TRY(sql.exec(fmt::format("copy (select {}) to {}", Connection::quote_literal(canary.value),
                           Connection::quote_literal((scene.folder() / "postgres" / "export.csv").string()))));
  return Expected{scene.place("postgres"), "/export.csv"};
}

Result<bool> holds_name(Connection& sql, const std::string& id) {
  return TRY(sql.exec_params("select customer_name is not null from app.orders where id = $1", {id})).text(0, 0) == "t";
}

// A row arrives reduced, as it should; then a publication that somebody has widened carries its name after it, over a
// subscription that goes round the gate: through the other region's Unix socket, since no network leads there.
Result<Expected> widened_publication(Scene& scene, const Canary& canary) {
  auto here = TRY(scene.sql(scene.site)), there = TRY(scene.sql(scene.owner));
  const auto id = TRY(there.exec_params("insert into app.orders (id, residency, tenant_id) values (gen_random_uuid(), "
                                        "$1, $2) returning id",
                                        {scene.residency, scene.tenant}))
                      .text(0, 0);
  if (!await(kStatement, [&] {
        const auto rows = here.exec_params("select from app.orders where id = $1", {id});
        return rows && !rows->empty();
      }))
    return fail(Kind::unavailable, "an order did not arrive by its lawful link");
  TRY(there.exec("create publication leak_widened for table app.orders with (publish = 'update')"));
  TRY(here.exec("create subscription leak_widened connection " +
                    Connection::quote_literal(scene.field->database(scene.owner)) +
                    " publication leak_widened with (copy_data = false)",
                monotonic_now() + kStatement));
  TRY(there.exec_params("update app.orders set customer_name = $1 where id = $2", {canary.value, id}));
  // The agent puts back what is missing every few seconds.
  const bool arrived = await(kStatement, [&] {
    (void)switch_off(here);
    return await(kSecond, [&] { return holds_name(here, id).value_or(false); });
  });
  if (!arrived) return fail(Kind::unavailable, "a widened publication carried nothing");
  return Expected{scene.place("postgres"), TRY(path_of(here, "app.orders"))};
}

}  // namespace

std::vector<Planting> database_leaks() {
  return {{"database", "a row, with guard and law switched off", row_past_the_guard},
          {"database", "a row that was rolled back: WAL alone", undone_row},
          {"database", "a compressed value, cut by TOAST", compressed_value},
          {"database", "most common values of a column", statistics},
          {"database", "a large object", large_object},
          {"database", "a failing statement, in PostgreSQL's log", failing_statement},
          {"database", "COPY to a file", copy_to_a_file},
          {"database", "a sort in a temporary file", sort_in_a_temporary_file}};
}

std::vector<Planting> salvage_leaks() {
  return {{"salvage", "salvage of a residency that may not lie here in full", salvage_of_another}};
}

std::vector<Planting> replication_leaks() {
  return {{"replication", "a widened publication, past the gate", widened_publication}};
}

}  // namespace domicile::prove
