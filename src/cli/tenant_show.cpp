#include "base/json.hpp"
#include "cli/databases.hpp"
#include "cli/registry.hpp"
#include "engines/postgres/tenants.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const auto topology = TRY(topology_of(args));
  const auto ownership = TRY(ownership_of(args, topology));
  const auto directory = TRY(directory_of(args, topology));
  auto connection = TRY(open_database(directory.database, "tenant show"));
  const auto tenant = TRY(postgres::find_tenant(connection, args.words[0]));
  if (!tenant)
    return fail(Kind::failed, "the directory has no tenant '" + args.words[0] + "'", "domicile tenant add", "DOM-T033");
  const auto owner = ownership.owners.find(tenant->residency);
  const std::string place = owner == ownership.owners.end() ? "" : owner->second;
  if (args.has("json")) {
    io.out << dump({{"tenant", tenant->id},
                    {"residency", tenant->residency},
                    {"tombstone", tenant->tombstone},
                    {ownership.asked ? "owner" : "home", place.empty() ? Json() : Json(place)},
                    {"hosts", tenant->hosts}})
           << "\n";
    return Exit::ok;
  }
  io.out << fmt::format("tenant     {}{}\nresidency  {}\n{:<10} {}\n", tenant->id,
                        tenant->tombstone ? " (leaving)" : "", tenant->residency, ownership.asked ? "owner" : "home",
                        place.empty() ? "nobody now" : place);
  for (const auto& host : tenant->hosts) io.out << "host       " << host << "\n";
  return Exit::ok;
}

}  // namespace

Verb tenant_show_verb() {
  return {"tenant show",
          "Show one tenant: its residency, its hosts, and where it is written.",
          {"TENANT"},
          database_options({{"json", "", "Print one JSON object."}}),
          {"domicile tenant show acme"},
          run};
}

}  // namespace domicile::cli
