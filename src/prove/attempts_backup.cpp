// Copies in whole: PostgreSQL's own programs, at home through the gate, and of the forbidden region itself.
#include "base/process.hpp"
#include "prove/ground.hpp"
#include "prove/hostile.hpp"

namespace domicile::prove {
namespace {

constexpr const char* kPrograms = "/usr/lib/postgresql/15/bin/";
constexpr Micros kPatience = 60 * kSecond;

std::string link_of(const Ground& ground) { return ground.config.sites.at(ground.home).link; }

Outcome through_the_gate(const Ground& ground, std::vector<std::string> argv) {
  argv[0] = kPrograms + argv[0];
  const auto ran = run({argv}, kPatience);
  if (!ran) return in_trouble(one_line(ran.error()));
  if (ran->exit_code == 0) return went_through(ran->out);
  const std::string id = denial_in(ran->err);
  if (id.empty()) return in_trouble("it ended without a denial of the gate");
  const auto rule = rule_of_denial(ground, ground.home, id);
  return rule ? refused_by(*rule, id, ran->out + ran->err) : in_trouble(one_line(rule.error()));
}

// What the region may dump lawfully is what it holds: the order is in it, and its personal columns are empty.
Outcome dump_here(const Ground& ground, const Target& target) {
  const auto ran = run({{std::string(kPrograms) + "pg_dump", "-d", ground.field->database(ground.here), "--role=app",
                         "-t", "app.orders", "-t", "app.order_items", "--inserts"}},
                       kPatience);
  if (!ran) return in_trouble(one_line(ran.error()));
  if (ran->exit_code != 0) return in_trouble("pg_dump ended with " + std::to_string(ran->exit_code));
  if (ran->out.find(target.order) == std::string::npos) return in_trouble("the order is not in the dump");
  return lawful_by("reduced", ran->out);
}

// Searched with the rest, in scratch.
Outcome base_backup_here(const Ground& ground, const Target&) {
  const fs::path folder = ground.scratch / "base-backup";
  const auto ran =
      run({{std::string(kPrograms) + "pg_basebackup", "-D", folder.string(), "-d", ground.field->database(ground.here),
            "-X", "fetch", "-c", "fast", "--no-sync", "--no-password"}},
          3 * kPatience);
  if (!ran) return in_trouble(one_line(ran.error()));
  // As the lab's own settings have it: not even its superuser takes one.
  if (ran->err.find("no pg_hba.conf entry for replication") != std::string::npos) return refused_by("pg_hba");
  if (ran->exit_code != 0) return in_trouble("pg_basebackup ended with " + std::to_string(ran->exit_code));
  std::error_code code;
  if (!fs::exists(folder / "PG_VERSION", code)) return in_trouble("the backup is not there");
  return lawful_by("searched");
}

Attempt starting(const char* id, const char* what, std::vector<std::string> rules, bool quick,
                 std::function<std::vector<std::string>(const Ground&)> argv) {
  return {
      id,
      Layer::backup,
      what,
      std::move(rules),
      quick,
      false,
      [argv = std::move(argv)](const Ground& ground, const Target&) { return through_the_gate(ground, argv(ground)); }};
}

}  // namespace

std::vector<Attempt> backup_attempts() {
  std::vector<Attempt> all = {
      starting(
          "backup.base_backup", "pg_basebackup of home", {"physical"}, true,
          [](const Ground& g) {
            return std::vector<std::string>{"pg_basebackup", "-D", (g.scratch / "home").string(), "-d", link_of(g)};
          }),
      starting("backup.log", "pg_receivewal of home", {"physical"}, false,
               [](const Ground& g) {
                 return std::vector<std::string>{"pg_receivewal", "-D", g.scratch.string(), "-d", link_of(g), "-n"};
               }),
      starting("backup.logical", "pg_recvlogical of home with a slot of its own", {"statement"}, false,
               [](const Ground& g) {
                 return std::vector<std::string>{"pg_recvlogical", "-d",    link_of(g),
                                                 "--slot",         "prove", "--create-slot"};
               }),
      starting("backup.dump", "pg_dump of home", {"startup"}, true,
               [](const Ground& g) {
                 return std::vector<std::string>{"pg_dump", "-d", link_of(g)};
               }),
  };
  all.push_back(
      {"backup.dump_here", Layer::backup, "pg_dump of the forbidden side", {"reduced"}, true, false, dump_here});
  all.push_back({"backup.base_backup_here",
                 Layer::backup,
                 "a base backup of the forbidden side, with its log",
                 {"searched", "pg_hba"},
                 false,
                 false,
                 base_backup_here});
  return all;
}

}  // namespace domicile::prove
