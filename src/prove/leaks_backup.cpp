// Leaks by backups of the right side that lie on the wrong one.
#include <fstream>

#include "base/process.hpp"
#include "prove/leaks.hpp"

namespace domicile::prove {
namespace {

using census::Canary;

constexpr const char* kPrograms = "/usr/lib/postgresql/15/bin/";

Result<fs::path> folder_for(const Scene& scene) {
  const fs::path folder = scene.folder() / "backup";
  CHECK_OK(make_directories(folder, 0700));
  return folder;
}

Result<void> add_order(const Scene& scene, const Canary& canary) {
  auto sql = TRY(scene.sql(scene.owner));
  TRY(sql.exec_params(
      "insert into app.orders (id, residency, tenant_id, customer_email) values (gen_random_uuid(), $1, $2, $3)",
      {scene.residency, scene.tenant, canary.email()}));
  return {};
}

Result<void> succeed(std::vector<std::string> argv) {
  argv[0] = kPrograms + argv[0];
  const Outcome outcome = TRY(run({.argv = argv}, 60 * kSecond));
  if (outcome.exit_code != 0) return fail(Kind::failed, fmt::format("{} failed: {}", argv[0], outcome.err));
  return {};
}

// Enough orders before it that a compressed dump has more than one piece.
Result<void> add_orders(const Scene& scene, const Canary& canary) {
  auto sql = TRY(scene.sql(scene.owner));
  TRY(
      sql.exec_params("insert into app.orders (id, residency, tenant_id, customer_name) "
                      "select gen_random_uuid(), $1, $2, md5(i::text) from generate_series(1, 500) i",
                      {scene.residency, scene.tenant}));
  return add_order(scene, canary);
}

Result<Expected> dump_as(Scene& scene, const Canary& canary, const std::string& format, const std::string& file,
                         const std::string& chain) {
  CHECK_OK(add_orders(scene, canary));
  const fs::path target = TRY(folder_for(scene)) / file;
  CHECK_OK(succeed({"pg_dump", "--dbname", scene.field->database(scene.owner), "--table", "app.orders", "--format",
                    format, "--file", target.string()}));
  return Expected{scene.place("backup"), "/" + file, chain};
}

Result<Expected> base_backup(Scene& scene, const Canary& canary) {
  CHECK_OK(add_order(scene, canary));
  auto sql = TRY(scene.sql(scene.owner));
  // In place: written anew it would be another user's file.
  std::ofstream rules(scene.field->directory() / "sites" / scene.owner / "postgres" / "pg_hba.conf", std::ios::app);
  rules << "local replication all peer map=site\n" << std::flush;
  if (!rules) return fail(Kind::failed, "cannot let a base backup in");
  TRY(sql.exec("select pg_reload_conf()"));
  const fs::path target = TRY(folder_for(scene)) / "base";
  // The postmaster obeys its new rules a moment later.
  Result<void> made;
  if (!await(15 * kSecond, [&] {
        made = succeed({"pg_basebackup", "--dbname", scene.field->database(scene.owner), "--pgdata", target.string(),
                        "--format", "tar", "--compress", "1", "--wal-method", "none", "--checkpoint", "fast",
                        "--no-manifest"});
        return made.has_value();
      }))
    return tl::unexpected<Error>(made.error());
  return Expected{scene.place("backup"), "/base/base.tar.gz", "gzip"};
}

}  // namespace

std::vector<Planting> backup_leaks() {
  return {{"backup", "a dump as text",
           [](Scene& scene, const Canary& canary) { return dump_as(scene, canary, "plain", "orders.sql", "raw"); }},
          {"backup", "a compressed dump",
           [](Scene& scene, const Canary& canary) { return dump_as(scene, canary, "custom", "orders.dump", "dump"); }},
          {"backup", "a base backup, tar.gz", base_backup}};
}

}  // namespace domicile::prove
