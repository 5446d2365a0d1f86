#include "base/json.hpp"
#include "cli/databases.hpp"
#include "cli/registry.hpp"
#include "engines/postgres/moves/moves.hpp"
#include "engines/postgres/tenants.hpp"

namespace domicile::cli {
namespace {

std::string sentence(const moves::Move& move) {
  return fmt::format("{} {} to {}: {}{}{}{}", iso8601(move.at), move.from, move.to, moves::name_of(move.phase),
                     move.without_personal ? ", without personal columns" : "",
                     move.by.empty() ? "" : ", by " + move.by, move.reason.empty() ? "" : ", because: " + move.reason);
}

Result<Exit> run(const Args& args, Io& io) {
  const auto topology = TRY(topology_of(args));
  const auto ownership = TRY(ownership_of(args, topology));
  const auto directory = TRY(directory_of(args, topology));
  auto connection = TRY(open_database(directory.database, "tenant show"));
  const auto tenant = TRY(postgres::find_tenant(connection, args.words[0]));
  if (!tenant)
    return fail(Kind::failed, "the directory has no tenant '" + args.words[0] + "'", "domicile tenant add", "DOM-T033");
  const auto move = TRY(postgres::find_move(connection, tenant->id));
  const auto owner = ownership.owners.find(tenant->residency);
  const std::string place = owner == ownership.owners.end() ? "" : owner->second;
  if (args.has("json")) {
    io.out << dump({{"tenant", tenant->id},
                    {"residency", tenant->residency},
                    {"tombstone", tenant->tombstone},
                    {ownership.asked ? "owner" : "home", place.empty() ? Json() : Json(place)},
                    {"hosts", tenant->hosts},
                    {"move", move ? moves::json_of(*move) : Json()}})
           << "\n";
    return Exit::ok;
  }
  io.out << fmt::format("tenant     {}{}\nresidency  {}\n{:<10} {}\n", tenant->id,
                        tenant->tombstone ? " (leaving)" : "", tenant->residency, ownership.asked ? "owner" : "home",
                        place.empty() ? "nobody now" : place);
  for (const auto& host : tenant->hosts) io.out << "host       " << host << "\n";
  if (move) io.out << "last move  " << sentence(*move) << "\n";
  return Exit::ok;
}

}  // namespace

Verb tenant_show_verb() {
  return {"tenant show",
          "Show one tenant: its residency, its hosts, where it is written, and its last move: who ordered it and why.",
          {"TENANT"},
          database_options({{"json", "", "Print one JSON object."}}),
          {"domicile tenant show acme"},
          run};
}

}  // namespace domicile::cli
