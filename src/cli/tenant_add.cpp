#include "cli/databases.hpp"
#include "cli/registry.hpp"
#include "engines/postgres/tenants.hpp"

namespace domicile::cli {
namespace {

Result<void> check(const Args& args) {
  if (args.has("residency")) return {};
  return fail(Kind::invalid_input, "in which residency?", "--residency R: it never changes silently later", "DOM-T032");
}

Result<Exit> run(const Args& args, Io& io) {
  const auto topology = TRY(topology_of(args));
  const std::vector<std::string> hosts(args.words.begin() + 1, args.words.end());
  const tenants::Entry entry =
      TRY(tenants::entry_of(args.words[0], args.get("residency"), hosts, tenant_residencies(topology)));
  const auto directory = TRY(directory_of(args, topology));
  auto connection = TRY(open_database(directory.database, "tenant add"));
  const auto report = TRY(postgres::import_tenants(
      connection, {&entry, 1}, {args.has("add-host"), directory.before_agents, {}}, "command line"));
  io.out << fmt::format("{} {} with {} {}\n", entry.tenant, report.tenants_added ? "added" : "was there",
                        report.hosts_added, report.hosts_added == 1 ? "new host" : "new hosts");
  return Exit::ok;
}

}  // namespace

Verb tenant_add_verb() {
  return {"tenant add",
          "Add a tenant with its hosts to the directory.",
          {"TENANT", "HOST..."},
          database_options({{"residency", "R", "Its residency."},
                            {"add-host", "", "The tenant may be there already; add hosts to it."}}),
          {"domicile tenant add acme acme.example.com --residency eu",
           "domicile tenant add acme www.acme.example --residency eu --add-host"},
          run,
          check};
}

}  // namespace domicile::cli
