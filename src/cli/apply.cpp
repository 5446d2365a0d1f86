#include "base/clock.hpp"
#include "base/file.hpp"
#include "cli/plan_view.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

struct Guard {
  GuardForm form;
  std::string library;
};

Result<void> valid_guard(const std::string& form) {
  if (form == "c" || form == "portable") return {};
  return fail(Kind::invalid_input, "'" + form + "' is not c or portable");
}

// What is installed, else what the server has loaded, else the form that every server can run.
Result<Guard> guard_for(const Args& args, postgres::Connection& connection, const desired::Seen& seen) {
  const auto rows = TRY(connection.exec("SELECT pg_catalog.current_setting('shared_preload_libraries')"));
  std::string loaded, entry;
  for (const char c : rows.text(0, 0) + ",") {
    if (c == ',') {
      if (entry.find("domicile_guard") != std::string::npos) loaded = entry;
      entry.clear();
    } else if (c != ' ' && c != '"') {
      entry += c;
    }
  }
  const auto form = args.get("guard", seen.guard_installed ? seen.guard_form : loaded.empty() ? "portable" : "c");
  const Guard guard{form == "c" ? GuardForm::c : GuardForm::portable, args.get("guard-library", loaded)};
  CHECK_OK(postgres::check_guard(connection, seen, guard.form));
  return guard;
}

// The saved plan's regions in place of fresh ones. `conflict` when the world has moved on.
Result<void> bind(Plans& plans, const SavedPlan& saved, const topology::Topology& topology) {
  const auto changed = [](std::string what) {
    return fail(Kind::conflict, std::move(what), "make a new plan", "DOM-P090");
  };
  if (saved.policy_hash != residency::policy_hash(topology))
    return changed("the topology is not the one that the plan was made from");
  if (saved.plans.size() != plans.regions.size()) return changed("the plan is for other regions than --connections");
  for (auto& region : plans.regions) {
    const desired::Plan* found = nullptr;
    for (const auto& plan : saved.plans)
      if (plan.region == region.database.region) found = &plan;
    if (found == nullptr) return changed("the plan has no region " + region.database.region);
    if (*found != region.examined.plan)
      return changed("region " + found->region + ": the database is not what the plan was made from");
  }
  return {};
}

Result<void> apply_one(const Args& args, Io& io, const topology::Topology& topology, const Ownership& ownership,
                       bool observe, const RegionPlan& region) {
  if (!region.examined.plan.changes()) return {};
  auto connection = TRY(open_database(region.database, "apply"));
  const auto guard = TRY(guard_for(args, connection, region.examined.seen));
  const Micros begun = monotonic_now();
  int steps = 0;
  const auto made = postgres::apply(
      connection, context_of(topology, region.database.region, ownership, observe), region.examined.plan,
      postgres::guard_of(guard.form, guard.library), [&](const desired::Step& step) {
        ++steps;
        if (io.terminal) io.err << fmt::format("\r\033[K{}: {}", region.database.region, step.sentence) << std::flush;
      });
  if (io.terminal) io.err << "\r\033[K";
  CHECK_OK(made);
  io.out << fmt::format("{}: {} steps in {} ms\n", region.database.region, steps,
                        (monotonic_now() - begun) / kMillisecond);
  return {};
}

Result<Exit> run(const Args& args, Io& io) {
  const auto topology = TRY(topology_of(args));
  std::optional<SavedPlan> saved;
  auto ownership = TRY(ownership_of(args, topology));
  bool observe = args.has("observe");
  if (!args.words.empty()) {
    saved = TRY(saved_of(TRY(read_file(args.words[0]))));
    if (observe != saved->observe && observe)
      return fail(Kind::invalid_input, "the saved plan is for a guard that refuses", "plan --observe --save FILE");
    observe = saved->observe;
    if (!ownership.asked) ownership.owners = saved->owners;
  }
  Plans plans = TRY(make_plans(args, topology, ownership, observe));
  if (saved) CHECK_OK(bind(plans, *saved, topology));
  if (plans.refuses()) {
    io.err << shown(plans, io.terminal);
    return fail(Kind::refused, "a schema is not ready; nothing was changed",
                "domicile plan --migration prints what mends it", "DOM-P094");
  }
  if (!plans.changes()) {
    io.out << "nothing to do\n";
    return Exit::ok;
  }
  // Whoever saved a plan has seen it.
  if (!saved) {
    io.err << shown(plans, io.terminal);
    if (!TRY(confirmed(args, io, "Apply this?"))) return Exit::failed;
  }
  // All guards first: a region whose guard cannot be installed must not stop us half way.
  for (const auto& region : plans.regions) {
    auto connection = TRY(open_database(region.database, "apply"));
    (void)TRY(guard_for(args, connection, region.examined.seen));
  }
  for (const auto& region : plans.regions) CHECK_OK(apply_one(args, io, topology, ownership, observe, region));
  if (observe) io.err << "the guard only logs what it would refuse; `domicile apply` without --observe arms it\n";
  return Exit::ok;
}

}  // namespace

Verb apply_verb() {
  return {
      "apply",
      "Make each region's database as planned: schema, roles, guard, publications.",
      {"[PLANFILE]"},
      database_options(
          {{"observe", "", "The guard only logs what it would refuse."},
           {"guard", "FORM", "c or portable; else what is installed, else c where PostgreSQL has loaded it.", false,
            false, valid_guard},
           {"guard-library", "PATH",
            "domicile_guard.so on the databases' hosts; else as shared_preload_libraries "
            "names it."},
           {"yes", "", "Ask nobody."}}),
      {"domicile apply --connections connections.yaml", "domicile apply --observe --yes", "domicile apply plan.json"},
      run};
}

}  // namespace domicile::cli
