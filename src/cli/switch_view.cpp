#include "cli/switch_view.hpp"

#include <algorithm>

#include "cli/status_view.hpp"
#include "core/authority/switch_steps.hpp"

namespace domicile::cli {
namespace {

struct Step {
  std::string where, name, does;
};

std::string_view does(authority::DrainStep step) {
  switch (step) {
    case authority::DrainStep::gateways_hold:
      return "the gateways hold new writes; those in flight end";
    case authority::DrainStep::fence:
      return "the guard's exclusive lock: transactions that write finish, then the lease is zero";
    case authority::DrainStep::receivers_have:
      return "every live receiver has applied up to the fence";
    case authority::DrainStep::swap_moving:
      return "the record says moving, epoch + 1";
  }
  return "";
}

std::string_view does(authority::OpenStep step) {
  switch (step) {
    case authority::OpenStep::stop_inbound:
      return "the link from the old owner is disabled, its workers are gone";
    case authority::OpenStep::journal_position:
      return "what was applied is journaled: slot, position, system id, timeline";
    case authority::OpenStep::advance_slots:
      return "the reverse slots stand behind everything that was applied";
    case authority::OpenStep::advance_sequences:
      return "sequences go beyond what the old owner can have used";
    case authority::OpenStep::persist_epochs:
      return "the new owner and epoch are on the disks of a majority of the sites";
    case authority::OpenStep::swap_serving:
      return "the record says serving; with it the lease opens";
    case authority::OpenStep::publish:
      return "the gateways let go of what they hold, to the new owner";
  }
  return "";
}

std::vector<Step> steps_of(const std::string& owner, const std::string& to) {
  std::vector<Step> steps;
  std::set<std::string> done;
  while (const auto step = authority::next_drain_step(done)) {
    steps.push_back({owner, std::string(authority::name_of(*step)), std::string(does(*step))});
    done.insert(steps.back().name);
  }
  done.clear();
  while (const auto step = authority::next_open_step(done, false)) {
    steps.push_back({to, std::string(authority::name_of(*step)), std::string(does(*step))});
    done.insert(steps.back().name);
  }
  return steps;
}

std::vector<std::string> checks_of(const Json& residency, const std::string& to) {
  const auto name = text_at(residency, "residency"), owner = text_at(residency, "owner");
  return {fmt::format("{} is home or standby of {}, where {} may be held in full", to, name, name),
          fmt::format("{} is serving at {}, epoch {}, and nothing else is under way", name, owner,
                      number_at(residency, "epoch").value_or(0)),
          fmt::format("the copy at {} holds everything up to the fence, else it rolls back to {}", to, owner)};
}

}  // namespace

Result<Json> residency_in(const Json& status, const std::string& residency) {
  std::string known;
  if (const Json& list = child_at(status, "residencies"); list.is_array())
    for (const Json& each : list) {
      if (text_at(each, "residency") == residency) return each;
      known += (known.empty() ? "" : ", ") + text_at(each, "residency");
    }
  return fail(Kind::invalid_input, "no residency is called " + residency, "there are: " + known);
}

Result<void> may_switch(const Json& status, const Json& residency, const std::string& to) {
  const auto name = text_at(residency, "residency"), owner = text_at(residency, "owner");
  if (const Json& regions = child_at(status, "regions"); regions.is_object() && !regions.contains(to))
    return fail(Kind::invalid_input, "no region is called " + to);
  if (const Json& rules = child_at(residency, "rules"); rules.is_object()) {
    const auto jurisdiction = text_at(child_at(status, "regions"), to.c_str());
    auto form = text_at(child_at(rules, "holds"), jurisdiction.c_str());
    if (form.empty()) form = "none";
    const std::string rule = fmt::format("residencies.{}.holds.{}: {}", name, jurisdiction, form);
    if (form != "full")
      return fail(Kind::refused,
                  fmt::format("{} lies in {}, which may hold {} of {} ({}): it must never own it", to, jurisdiction,
                              form == "none" ? "nothing" : "only the reduced form", name, rule),
                  "choose its home or one of its standbys", "DOM-E202");
    const Json& standby = child_at(rules, "standby");
    const bool listed = standby.is_array() && std::ranges::any_of(standby, [&](const Json& s) { return s == to; });
    if (text_at(rules, "home") != to && !listed)
      return fail(Kind::refused, fmt::format("{} is neither the home nor a standby of {}", to, name),
                  fmt::format("add it to residencies.{}.standby", name), "DOM-E202");
  }
  if (owner.empty()) return fail(Kind::unavailable, "nobody owns " + name + " yet", "domicile status");
  if (text_at(residency, "mode") != "serving")
    return fail(Kind::conflict,
                fmt::format("{} is {} in switch {}", name, text_at(residency, "mode"), text_at(residency, "switch")),
                "wait for its end: domicile status --watch", "DOM-E201");
  if (owner == to) return fail(Kind::conflict, fmt::format("{} already owns {}", to, name), "", "DOM-E203");
  return {};
}

Json switch_plan(const Json& residency, const std::string& to, const std::string& reason) {
  const auto owner = text_at(residency, "owner");
  Json steps = Json::array(), checks = Json::array();
  for (const Step& step : steps_of(owner, to))
    steps.push_back({{"region", step.where}, {"step", step.name}, {"does", step.does}});
  for (const auto& check : checks_of(residency, to)) checks.push_back(check);
  return {{"residency", text_at(residency, "residency")},
          {"from", owner},
          {"to", to},
          {"epoch", number_at(residency, "epoch").value_or(0)},
          {"reason", reason},
          {"checks", checks},
          {"steps", steps}};
}

std::string switch_plan_text(const Json& residency, const std::string& to, const std::string& reason) {
  const auto owner = text_at(residency, "owner");
  std::string out = fmt::format("{}: {} -> {} at epoch {}, because: {}\n\nmust hold\n", text_at(residency, "residency"),
                                owner, to, number_at(residency, "epoch").value_or(0) + 1, reason);
  for (const auto& check : checks_of(residency, to)) out += "  " + check + "\n";
  out += "\nsteps\n";
  std::vector<std::vector<std::string>> rows;
  for (const Step& step : steps_of(owner, to)) rows.push_back({"  " + step.where, step.name, step.does});
  return out + columns_text(rows, {});
}

SwitchEnd end_of(const Json& order, const Json& residency) {
  // Rolled back and done have in common that somebody serves at a higher epoch than the one that was drained.
  if (text_at(residency, "mode") != "serving" ||
      number_at(residency, "epoch").value_or(0) <= number_at(order, "epoch").value_or(0))
    return SwitchEnd::under_way;
  return text_at(residency, "owner") == text_at(order, "to") ? SwitchEnd::serving : SwitchEnd::rolled_back;
}

Json phases_of(const Json& events, const std::string& switch_id) {
  Json out = Json::array();
  if (!events.is_array()) return out;
  for (const Json& event : events)
    if (text_at(event, "switch") == switch_id)
      out.push_back({{"id", text_at(event, "id")},
                     {"region", text_at(event, "region")},
                     {"name", text_at(event, "event")},
                     {"ms", number_at(event, "ms") ? Json(*number_at(event, "ms")) : Json()},
                     {"at_us", number_at(event, "at_us").value_or(0)},
                     {"text", text_at(event, "text")}});
  std::stable_sort(out.begin(), out.end(),
                   [](const Json& a, const Json& b) { return number_at(a, "at_us") < number_at(b, "at_us"); });
  return out;
}

std::string phase_line(const Json& phase) {
  const auto ms = number_at(phase, "ms");
  const auto name = text_at(phase, "name");
  const bool step = name.starts_with("switch.drain.") || name.starts_with("switch.open.");  // the name says it all
  return fmt::format("{:<16}{:<32}{:>9}  {}", text_at(phase, "region"), text_at(phase, "name"),
                     ms ? fmt::format("{} ms", *ms) : "", step && ms ? "" : text_at(phase, "text"));
}

}  // namespace domicile::cli
