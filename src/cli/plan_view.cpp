#include "cli/plan_view.hpp"

#include <algorithm>

namespace domicile::cli {
namespace {

using desired::Act;

struct Mark {
  char sign;
  const char* colour;
};

Mark mark_of(Act act) {
  switch (act) {
    case Act::drop_publication:
    case Act::drop_slot:
    case Act::drop_subscription:
      return {'-', "31"};
    case Act::change_publication:
    case Act::change_role:
    case Act::set_observe:
    case Act::disable_subscription:
    case Act::enable_subscription:
      return {'~', "33"};
    default:
      return {'+', "32"};
  }
}

std::string painted(const std::string& text, const char* colour, bool on) {
  return on ? fmt::format("\033[{}m{}\033[0m", colour, text) : text;
}

// How many of those that should be are there.
template <class Want, class Have>
std::string count(const Want& want, const Have& have, const char* what) {
  const auto there = std::count_if(want.begin(), want.end(), [&](const auto& each) {
    if constexpr (requires { each.first; })
      return have.contains(each.first);
    else
      return have.contains(each);
  });
  return fmt::format("{} of {} {}", there, want.size(), what);
}

std::string state(const RegionPlan& region) {
  const auto& seen = region.examined.seen;
  const auto& want = region.desired;
  const auto whole = std::count_if(want.guarded.begin(), want.guarded.end(), [&](const auto& name) {
    const auto found = seen.tables.find(name);
    return found != seen.tables.end() && found->second.guard == desired::GuardState::whole;
  });
  return fmt::format("  there: schema {}, guard {}, {} of {} tables guarded, {}, {}, {}, {}\n",
                     seen.schema_version ? fmt::format("version {}", *seen.schema_version) : "missing",
                     seen.guard_installed ? seen.guard_form + (seen.guard_observes ? " (observing)" : "") : "missing",
                     whole, want.guarded.size(), count(want.roles, seen.roles, "roles"),
                     count(want.publications, seen.publications, "publications"),
                     count(want.slots, seen.slots, "slots"),
                     count(want.subscriptions, seen.subscriptions, "subscriptions"));
}

std::string indented(const std::string& text, const char* by) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    out += by + text.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return out;
}

std::string shown(const RegionPlan& region, bool colour) {
  const auto& server = region.examined.seen.server;
  std::string out = fmt::format("{}  PostgreSQL {}.{}, database {}\n", painted(region.database.region, "1", colour),
                                server.version / 10000, server.version % 10000, server.database);
  out += state(region);
  for (const auto& step : region.examined.plan.steps) {
    if (desired::by_agent(step.act)) continue;
    const auto mark = mark_of(step.act);
    out += "  " + painted(fmt::format("{} {}", mark.sign, step.sentence), mark.colour, colour) + "\n";
  }
  if (!region.examined.plan.changes()) out += "  nothing for apply to do\n";
  for (const auto& step : region.examined.plan.steps)
    if (desired::by_agent(step.act)) out += fmt::format("  agent: {}\n", step.sentence);
  for (const auto& finding : region.examined.findings) {
    out += fmt::format(
        "  {} {}: {}\n",
        painted((finding.refuses ? "refused " : "warning ") + finding.code, finding.refuses ? "31" : "33", colour),
        finding.object, finding.cause);
    if (!finding.advice.empty()) out += "      fix: " + finding.advice + "\n";
    if (!finding.migration.empty()) out += indented(finding.migration, "      sql: ");
  }
  return out;
}

}  // namespace

bool Plans::changes() const {
  return std::any_of(regions.begin(), regions.end(), [](const auto& r) { return r.examined.plan.changes(); });
}

bool Plans::refuses() const {
  return std::any_of(regions.begin(), regions.end(),
                     [](const auto& r) { return desired::refuses(r.examined.findings); });
}

bool Plans::layers_differ() const {
  return std::any_of(layers.begin(), layers.end(), [](const auto& site) { return site.second.differs(); });
}

bool Plans::layers_unknown() const {
  return std::any_of(layers.begin(), layers.end(), [](const auto& site) { return site.second.unknown(); });
}

desired::Context context_of(const topology::Topology& topology, const std::string& region, const Ownership& ownership,
                            bool observe) {
  const auto standing = ownership.standing.find(region);
  return {topology,
          region,
          ownership.owners,
          standing == ownership.standing.end() ? std::set<std::string>() : standing->second,
          observe,
          !ownership.asked,
          topology::date_at(wall_now())};
}

Result<Plans> make_plans(const Args& args, const topology::Topology& topology, const Ownership& ownership,
                         bool observe) {
  Plans plans{residency::policy_hash(topology), observe, {}};
  for (const auto& database : TRY(databases_of(args, topology))) {
    auto connection = TRY(open_database(database, "plan"));
    const auto context = context_of(topology, database.region, ownership, observe);
    auto examined = postgres::examine(connection, context);
    if (!examined) return wrap("cannot look at the database of " + database.region, examined.error());
    auto want = desired::desired_state(context, examined->seen);
    plans.regions.push_back({database, *std::move(examined), std::move(want)});
  }
  return plans;
}

namespace {

std::string shown_layers(const Plans& plans, const std::string& site, bool colour) {
  const auto layers = plans.layers.find(site);
  return layers == plans.layers.end() || !plans.agent_asked ? "" : shown(layers->second, colour);
}

std::string layers_summary(const Plans& plans) {
  if (plans.layers.empty()) return "";
  if (!plans.agent_asked) return "etcd and the gateways: unknown, no agent was asked (--agent SOCKET)\n";
  std::size_t differ = 0, unknown = 0;
  for (const auto& [site, layers] : plans.layers) {
    differ += layers.etcd.differs.size() + layers.gateway.differs.size();
    unknown += layers.etcd.unknown.size() + layers.gateway.unknown.size();
  }
  return fmt::format("etcd and the gateways: {} not as they should be, {} unknown\n", differ, unknown);
}

}  // namespace

std::string shown(const Plans& plans, bool colour) {
  std::string out;
  std::ptrdiff_t todo = 0, agents = 0, refused = 0;
  std::set<std::string> seen;
  for (const auto& region : plans.regions) {
    seen.insert(region.database.region);
    out += shown(region, colour) + shown_layers(plans, region.database.region, colour) + "\n";
    for (const auto& step : region.examined.plan.steps) (desired::by_agent(step.act) ? agents : todo) += 1;
    refused += std::count_if(region.examined.findings.begin(), region.examined.findings.end(),
                             [](const auto& finding) { return finding.refuses; });
  }
  for (const auto& [site, layers] : plans.layers)
    if (plans.agent_asked && !seen.contains(site))
      out += painted(site, "1", colour) + "  no connection was given: its database, if any, was not looked at\n" +
             shown(layers, colour) + "\n";
  return out +
         fmt::format("{} to do, {} left to agents, {} refused; policy {}\n", todo, agents, refused, plans.policy_hash) +
         layers_summary(plans);
}

std::string migrations(const Plans& plans) {
  std::string out;
  for (const auto& region : plans.regions) {
    const auto script = desired::migration_script(region.examined.findings);
    if (!script.empty()) out += "-- " + region.database.region + "\n" + script;
  }
  return out;
}

Json json_of(const Plans& plans) {
  Json regions = Json::array();
  for (const auto& region : plans.regions) {
    Json json = desired::to_json(region.examined.plan);
    json["changes"] = region.examined.plan.changes();
    json["findings"] = desired::to_json(region.examined.findings);
    json["seen"] = desired::to_json(region.examined.seen);
    regions.push_back(std::move(json));
  }
  Json sites = Json::object();
  for (const auto& [site, layers] : plans.layers) sites[site] = json_of(layers);
  return {{"policy_hash", plans.policy_hash},
          {"changes", plans.changes()},
          {"refused", plans.refuses()},
          {"observe", plans.observe},
          {"regions", regions},
          {"sites", sites},
          {"layers_differ", plans.layers_differ()},
          {"layers_unknown", plans.layers_unknown()}};
}

Json to_saved(const Plans& plans, const residency::Owners& owners) {
  Json regions = Json::array();
  for (const auto& region : plans.regions) regions.push_back(desired::to_json(region.examined.plan));
  return {{"domicile_plan", 1},
          {"policy_hash", plans.policy_hash},
          {"observe", plans.observe},
          {"owners", owners},
          {"regions", regions}};
}

Result<SavedPlan> saved_of(std::string_view text) {
  const Json json = TRY(parse_json(text, "the saved plan"));
  const auto version = TRY(member_or<int>(json, "domicile_plan", 0));
  if (version != 1)
    return fail(Kind::invalid_input, "this is no saved plan of this version", "domicile plan --save FILE", "DOM-P091");
  SavedPlan saved;
  saved.policy_hash = TRY(member<std::string>(json, "policy_hash"));
  saved.observe = TRY(member<bool>(json, "observe"));
  const auto owners = TRY(member<Json>(json, "owners"));
  for (const auto& [residency, owner] : owners.items())
    if (owner.is_string()) saved.owners[residency] = owner.get<std::string>();
  const auto regions = TRY(member<Json>(json, "regions"));
  if (!regions.is_array()) return fail(Kind::invalid_input, "the saved plan's regions are no list", "", "DOM-P091");
  for (const auto& region : regions) saved.plans.push_back(TRY(desired::plan_from_json(region)));
  return saved;
}

}  // namespace domicile::cli
