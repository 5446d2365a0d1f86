#include "core/desired/plan.hpp"

#include <algorithm>
#include <array>

namespace domicile::desired {
namespace {

constexpr std::array<std::string_view, 17> kActs = {
    "drop-publication",    "change-publication",   "install-schema",    "create-role", "change-role",
    "install-guard",       "guard-table",          "law-table",         "set-observe", "grant-agent",
    "create-publication",  "disable-subscription", "drop-subscription", "drop-slot",   "create-slot",
    "create-subscription", "enable-subscription"};

class Steps {
 public:
  void add(Act act, std::string object, std::string sentence) {
    steps_.push_back({act, std::move(object), std::move(sentence)});
  }
  std::vector<Step> sorted() && {
    std::stable_sort(steps_.begin(), steps_.end(), [](const Step& a, const Step& b) { return a.act < b.act; });
    return std::move(steps_);
  }

 private:
  std::vector<Step> steps_;
};

bool same(const Publication& want, const SeenPublication& have) {
  return want.tables == have.tables && have.publish == "insert, update, delete" && have.via_root && !have.all_tables;
}

std::string difference(const Publication& want, const SeenPublication& have) {
  if (have.publish != "insert, update, delete") return "it publishes '" + have.publish + "'";
  if (!have.via_root) return "it publishes partitions instead of their table";
  for (const auto& table : have.tables) {
    const auto found = std::find_if(want.tables.begin(), want.tables.end(),
                                    [&](const auto& other) { return other.table == table.table; });
    if (found == want.tables.end()) return table.table + " is published and should not be";
    if (found->filter != table.filter) return "the row filter of " + table.table + " differs";
    if (found->columns != table.columns) return "the columns of " + table.table + " differ";
  }
  return "a table is missing in it";
}

void diff_publications(const Desired& desired, const Seen& seen, Steps& steps) {
  for (const auto& [name, have] : seen.publications)
    if (have.ours && !desired.publications.contains(name) && !desired.kept.contains(name))
      steps.add(Act::drop_publication, name, "drop publication " + name + ": no link uses it any more");
  for (const auto& [name, want] : desired.publications) {
    const auto found = seen.publications.find(name);
    if (found == seen.publications.end())
      steps.add(Act::create_publication, name,
                fmt::format("create publication {} ({} tables)", name, want.tables.size()));
    else if (found->second.ours && !desired.kept.contains(name) && !same(want, found->second))
      steps.add(Act::change_publication, name, "change publication " + name + ": " + difference(want, found->second));
  }
}

void diff_roles(const Desired& desired, const Seen& seen, Steps& steps) {
  for (const auto& [name, want] : desired.roles) {
    const auto found = seen.roles.find(name);
    if (found == seen.roles.end())
      steps.add(
          Act::create_role, name,
          "create role " + name +
              (want.login ? ": logs in and may replicate" : ": reads the first rows of its links, never logs in"));
    else if (found->second.ours && found->second != want)
      steps.add(Act::change_role, name,
                "change role " + name +
                    (want.login ? " to login and replication, nothing more" : " to no login and no replication"));
  }
}

void diff_guard(const Desired& desired, const Seen& seen, Steps& steps) {
  if (!seen.guard_installed)
    steps.add(Act::install_guard, "domicile", "install the guard: it refuses writes where a residency is not owned");
  const auto guard = [&](const SeenTable& table) {
    if (table.guard == GuardState::none)
      steps.add(Act::guard_table, table.qualified(), "guard table " + table.qualified());
    else if (table.guard == GuardState::broken)
      steps.add(Act::guard_table, table.qualified(),
                "guard table " + table.qualified() + " again: a trigger is missing or disabled");
  };
  const auto law = [&](const std::string& name, const SeenTable& table) {
    const auto found = desired.laws.find(name);
    const auto want = found == desired.laws.end() ? std::string() : found->second.condition;
    if (want == table.law) return;
    steps.add(Act::law_table, name,
              want.empty()        ? "take the law off table " + name + ": this region may hold every residency in full"
              : table.law.empty() ? "hold table " + name + " to the law: rows that may not lie here are not stored"
                                  : "hold table " + name + " to the law of the topology: it is held to another one");
  };
  for (const auto& [name, table] : seen.tables) {
    const bool ours = desired.guarded.contains(name);
    if (ours) {
      guard(table);
      law(name, table);
      if (!table.agent_granted) steps.add(Act::grant_agent, name, "let the agent's role read and write " + name);
    } else if (!table.parent.empty() && desired.guarded.contains(table.parent)) {
      guard(table);
    }
  }
  if (seen.guard_observes != desired.observe)
    steps.add(Act::set_observe, "guard",
              desired.observe ? "let the guard only log what it would refuse" : "let the guard refuse");
}

void diff_links(const Desired& desired, const Seen& seen, Steps& steps) {
  const auto kept = [&](const std::string& name) { return desired.kept.contains(name); };
  for (const auto& [name, have] : seen.subscriptions) {
    if (!have.ours) continue;
    const auto want = desired.subscriptions.find(name);
    if (have.enabled && (want == desired.subscriptions.end() || !want->second.enabled))
      steps.add(Act::disable_subscription, name, "disable subscription " + name + ": its sender is not the owner");
    if (want == desired.subscriptions.end() && !kept(name))
      steps.add(Act::drop_subscription, name, "drop subscription " + name + ": no link uses it any more");
  }
  const auto ours = [&](const std::string& slot) {
    const auto publication = seen.publications.find(slot);
    return seen.our_slots.contains(slot) || (publication != seen.publications.end() && publication->second.ours);
  };
  for (const auto& slot : seen.slots)
    if (ours(slot) && !desired.slots.contains(slot) && !kept(slot))
      steps.add(Act::drop_slot, slot, "drop slot " + slot + ": no link uses it any more");
  for (const auto& slot : desired.slots)
    if (!seen.slots.contains(slot)) steps.add(Act::create_slot, slot, "create slot " + slot);
  for (const auto& [name, want] : desired.subscriptions) {
    const auto found = seen.subscriptions.find(name);
    if (found == seen.subscriptions.end())
      steps.add(Act::create_subscription, name, "subscribe to " + want.from + " as " + name);
    if (want.enabled && (found == seen.subscriptions.end() || (found->second.ours && !found->second.enabled)))
      steps.add(Act::enable_subscription, name, "follow " + want.from + ", which owns the residency");
  }
}

}  // namespace

std::string_view name_of(Act act) { return kActs[static_cast<std::size_t>(act)]; }

bool Plan::changes() const {
  return std::any_of(steps.begin(), steps.end(), [](const Step& step) { return !by_agent(step.act); });
}

Plan diff(const Desired& desired, const Seen& seen) {
  Steps steps;
  if (seen.schema_version != kSchemaVersion)
    steps.add(Act::install_schema, "domicile",
              seen.schema_version
                  ? fmt::format("bring schema domicile from version {} to {}", *seen.schema_version, kSchemaVersion)
                  : "create schema domicile: directory, markers, journals, registry");
  diff_publications(desired, seen, steps);
  diff_roles(desired, seen, steps);
  diff_guard(desired, seen, steps);
  diff_links(desired, seen, steps);
  return {desired.region, base_hash(seen), std::move(steps).sorted()};
}

std::vector<Step> held_back(const Desired& desired, const Seen& seen) {
  Desired all = desired;
  all.kept.clear();
  Steps steps;
  diff_publications(all, seen, steps);
  auto out = std::move(steps).sorted();
  std::erase_if(out, [&](const Step& step) {
    return !desired.kept.contains(step.object) || step.act == Act::create_publication;
  });
  return out;
}

Json to_json(const Plan& plan) {
  Json steps = Json::array();
  for (const auto& step : plan.steps)
    steps.push_back({{"act", name_of(step.act)},
                     {"object", step.object},
                     {"sentence", step.sentence},
                     {"by", by_agent(step.act) ? "agent" : "apply"}});
  return {{"region", plan.region}, {"base", plan.base}, {"steps", steps}};
}

Result<Plan> plan_from_json(const Json& json) {
  Plan plan;  // no TRY inside braces: g++ 12 leaks the members that are already made when a later one returns
  plan.region = TRY(member<std::string>(json, "region"));
  plan.base = TRY(member<std::string>(json, "base"));
  const auto steps = TRY(member<Json>(json, "steps"));
  if (!steps.is_array()) return fail(Kind::invalid_input, "the saved plan's steps are no list");
  for (const auto& step : steps) {
    const auto act = TRY(member<std::string>(step, "act"));
    const auto found = std::find(kActs.begin(), kActs.end(), act);
    if (found == kActs.end())
      return fail(Kind::invalid_input, "the saved plan holds an unknown step '" + act + "'", "make a new plan");
    const auto object = TRY(member<std::string>(step, "object")), sentence = TRY(member<std::string>(step, "sentence"));
    plan.steps.push_back({static_cast<Act>(found - kActs.begin()), object, sentence});
  }
  return plan;
}

}  // namespace domicile::desired
