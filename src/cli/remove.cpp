#include "cli/plan_view.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const auto topology = TRY(topology_of(args));
  const auto databases = TRY(databases_of(args, topology));
  std::string names;
  for (const auto& database : databases) names += (names.empty() ? "" : ", ") + database.region;
  io.err << "This takes the guard, the tenant directory and all links away from " << names
         << ". Tables keep their rows.\nStop the agents first.\n";
  if (!TRY(confirmed(args, io, "Remove Domicile from these databases?"))) return Exit::failed;
  // Receivers first: a slot that is being read cannot be dropped.
  for (const auto& database : databases) {
    auto connection = TRY(open_database(database, "remove"));
    for (const auto& done : TRY(postgres::remove_subscriptions(connection)))
      io.out << database.region << ": " << done << "\n";
  }
  for (const auto& database : databases) {
    auto connection = TRY(open_database(database, "remove"));
    // Uninstalling is the same for both forms.
    const auto done = postgres::remove(connection, postgres::guard_of(GuardForm::portable, ""));
    if (!done) return wrap("Domicile was not removed from " + database.region, done.error());
    for (const auto& each : *done) io.out << database.region << ": " << each << "\n";
    if (done->empty()) io.out << database.region << ": nothing to remove\n";
  }
  return Exit::ok;
}

}  // namespace

Verb remove_verb() {
  return {"remove",
          "Take Domicile out of the databases again, and leave them as they were found.",
          {},
          database_options({{"yes", "", "Ask nobody."}}),
          {"domicile remove --connections connections.yaml"},
          run};
}

}  // namespace domicile::cli
