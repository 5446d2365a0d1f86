#include "cli/places_view.hpp"

#include <algorithm>

#include "cli/status_view.hpp"
#include "core/moves/move.hpp"
#include "core/residency/links.hpp"

namespace domicile::cli {
namespace {

using topology::Form;

const Json& element(const Json& list, const char* key, const std::string& value) {
  static const Json none;
  if (list.is_array())
    for (const Json& each : list)
      if (text_at(each, key) == value) return each;
  return none;
}

std::string lag_text(const Json& seen) {
  const auto lag = number_at(seen, "lag_ms");
  return lag ? duration_text(*lag) + " behind" : "lag not known";
}

// What a site's agent says of its copy of a residency.
struct CopyFact {
  std::string text, source;
  bool owner = false, holds = false;
  Mark mark = Mark::same;
};

CopyFact copy_of(const Json& site, const std::string& region, const std::string& residency, Form form) {
  if (const auto unknown = text_at(site, "unknown"); !unknown.empty())
    return {"not seen: " + unknown, "", false, false, Mark::unknown};
  const Json& seen = element(child_at(site, "residencies"), "residency", residency);
  if (!seen.is_object()) return {"its agent knows no residency " + residency, "", false, false, Mark::differs};
  const Json& copy = child_at(seen, "copy");
  const auto state = text_at(copy, "state"), source = text_at(copy, "source"), owner = text_at(seen, "owner");
  if (owner == region)
    return {fmt::format("owner, {}, epoch {}", text_at(seen, "mode"), number_at(seen, "epoch").value_or(0)), "", true,
            true, Mark::same};
  const bool holds = !state.empty() && state != "none";
  if (form == Form::none)
    return holds ? CopyFact{fmt::format("{} {}, where nothing may be held", state, source), source, false, true,
                            Mark::differs}
                 : CopyFact{"nothing", "", false, false, Mark::same};
  if (!holds) return {"no copy", "", false, false, Mark::differs};
  const Json& link = child_at(seen, "link");
  const auto trouble = text_at(link, "trouble"), why = text_at(copy, "why");
  CopyFact out{fmt::format("{}{}{}, {}", state, source.empty() ? "" : " ", source, lag_text(seen)), source, false, true,
               Mark::same};
  if (link.is_object() && !true_at(link, "complete")) out.text += ", first rows not complete";
  if (!trouble.empty()) out.text += "; " + trouble;
  if (trouble.empty() && !why.empty() && state != "following") out.text += "; " + why;
  if (state != "following" || !trouble.empty() || source != owner) out.mark = Mark::differs;
  return out;
}

std::string tables_text(const topology::Table& table, Form form) {
  std::string columns, left_out;
  for (const auto& each : residency::columns_for(table, form)) columns += (columns.empty() ? "" : ", ") + each;
  if (form != Form::full)
    for (const auto& each : table.personal) left_out += (left_out.empty() ? "" : ", ") + each.str();
  return fmt::format("{}: {}{}", table.qualified(), columns, left_out.empty() ? "" : "; not here: " + left_out);
}

Branch rows_of(const topology::Topology& topology, Form form) {
  Branch out{fmt::format("rows, {}", topology::name_of(form))};
  for (const auto& table : topology.tables) out.below.push_back({tables_text(table, form)});
  return out;
}

std::vector<Branch> links_to(const topology::Topology& topology, const std::string& region,
                             const std::string& residency, const std::string& source, const Json& observed) {
  std::vector<Branch> out;
  for (const auto& link : residency::links_of(topology)) {
    if (link.residency != residency || link.to != region || link.from != source) continue;
    const auto name = residency::name_of(link);
    const Json site = site_of(observed, source);
    const Json& gate = element(child_at(child_at(site, "gate"), "links"), "link", name);
    if (!gate.is_object()) {
      out.push_back({fmt::format("by link {}; its gate was not seen", name), Mark::unknown});
    } else if (const auto held = text_at(gate, "held"); !held.empty()) {
      out.push_back({fmt::format("by link {}: held by rule {}", name, held), Mark::differs});
    } else {
      out.push_back({fmt::format("by link {}: {}", name, true_at(gate, "streams") ? "streams" : "idle"),
                     true_at(gate, "streams") ? Mark::same : Mark::differs});
    }
  }
  return out;
}

// The publication from which salvage is read, and the slots that keep this residency's log for others.
void kept_log(const Json& site, const std::string& region, const std::string& residency, std::vector<Branch>& out) {
  const Json& database = child_at(site, "database");
  if (!database.is_object()) return;
  const auto salvage = residency::salvage_publication(residency);
  if (child_at(database, "publications").contains(salvage))
    out.push_back(
        {"salvage publication " + salvage + ": every column, read by nobody but the gate's owner", Mark::same});
  const auto prefix = topology::link_name(residency, region, "");
  std::string slots;
  for (const Json& slot : child_at(database, "slots"))
    if (slot.is_string() && slot.get<std::string>().starts_with(prefix))
      slots += (slots.empty() ? "" : ", ") + slot.get<std::string>();
  if (!slots.empty()) out.push_back({"log kept by slots: " + slots, Mark::same});
}

std::string rows_text(std::int64_t count) { return fmt::format("{} row{}", count, count == 1 ? "" : "s"); }

// Rows of the tenant in another residency than its own: what a move has brought or not deleted yet; else nobody knows
// why they are there.
Branch elsewhere_of(const std::string& other, std::int64_t count, const Json& move, bool lawful) {
  std::string text = fmt::format("{} in {}", rows_text(count), other);
  const auto phase = moves::phase_of(text_at(move, "phase"));
  const bool from = other == text_at(move, "from"), to = other == text_at(move, "to");
  if (!phase || (!from && !to)) return {text + ", and no move says why", Mark::differs};
  // Whoever asked may have an older directory than the region: then it is where the tenant lives.
  const bool lives = other == text_at(move, moves::flipped(*phase) ? "to" : "from");
  const bool going = from || *phase == moves::Phase::aborting;
  text += fmt::format(", {}: move {} is {}",
                      lives   ? "where it lives"
                      : going ? "still to be deleted"
                              : "the copy",
                      text_at(move, "id"), moves::name_of(*phase));
  if (!lawful) return {text + ", where nothing may be held", Mark::differs};
  return {text, Mark::same};
}

// What this region has of the tenant beside the copy of its residency.
std::vector<Branch> beside_of(const topology::Topology& topology, const topology::Region& region,
                              const std::string& residency, const Json& site) {
  if (site.contains("unknown")) return {};
  const Json& tenant = child_at(site, "tenant");
  if (!tenant.is_object()) return {{"moved and salvaged rows: its agent does not tell", Mark::unknown}};
  if (const auto why = text_at(tenant, "unknown"); !why.empty())
    return {{"moved and salvaged rows: not counted: " + why, Mark::unknown}};
  std::vector<Branch> out;
  const Json& rows = child_at(tenant, "rows");
  for (const auto& each : topology.residencies) {
    const std::string other = each.name;
    const auto count = number_at(rows, other.c_str()).value_or(0);
    if (other != residency && count > 0)
      out.push_back(elsewhere_of(other, count, child_at(tenant, "move"),
                                 topology::form_in(each, region.jurisdiction) != Form::none));
    if (const auto kept = number_at(child_at(tenant, "salvage"), other.c_str()).value_or(0); kept > 0)
      out.push_back({fmt::format("{} of {} kept in domicile.salvage", rows_text(kept), other), Mark::same});
  }
  if (const auto unnamed = number_at(tenant, "unnamed").value_or(0); unnamed > 0)
    out.push_back(
        {fmt::format("{} in domicile.salvage, removed, of which nothing tells the tenant", rows_text(unnamed)),
         Mark::unknown});
  return out;
}

Branch gateway_of(const Json& site) {
  if (site.contains("unknown")) return {"gateway: not seen", Mark::unknown};
  const Json& gateway = child_at(site, "gateway");
  if (!gateway.is_object()) return {"gateway: none", Mark::same};
  const Json& tenants = child_at(gateway, "tenants");
  const auto written = number_at(tenants, "written").value_or(0), obeyed = number_at(tenants, "obeyed").value_or(0);
  Branch out{fmt::format("gateway: name and hosts in tenants.snap, generation {}; the name in its logs", written),
             Mark::same};
  if (written == 0)
    out = {"gateway: tenants.snap is missing", Mark::differs};
  else if (number_at(gateway, "workers").value_or(0) > 0 && obeyed < written)
    out = {fmt::format("gateway: tenants.snap is of generation {}, a worker obeys {}", written, obeyed), Mark::differs};
  return out;
}

Branch region_of(const topology::Topology& topology, const topology::Region& region, const std::string& residency,
                 const Json& observed) {
  const std::string name = region.name.str();
  const Json site = site_of(observed, name);
  const auto* rules = topology::residency_of(topology, residency);
  const Form form = rules == nullptr ? Form::none : topology::form_in(*rules, region.jurisdiction);
  Branch out{fmt::format("{} ({}): {}", name, region.jurisdiction.str(),
                         form == Form::none ? "no row" : topology::name_of(form))};
  const CopyFact copy = copy_of(site, name, residency, form);
  Branch state{copy.text, copy.mark};
  state.below = links_to(topology, name, residency, copy.source, observed);
  out.below.push_back(std::move(state));
  if (form != Form::none) out.below.push_back(rows_of(topology, form));
  for (auto& beside : beside_of(topology, region, residency, site)) out.below.push_back(std::move(beside));
  const CopyFact directory = copy_of(site, name, std::string(topology::kDirectory), Form::full);
  out.below.push_back({"directory row: " + directory.text, directory.mark});
  out.below.push_back(gateway_of(site));
  if (form == Form::full) kept_log(site, name, residency, out.below);
  if (const auto policy = text_at(site, "policy"); !policy.empty() && policy != residency::policy_hash(topology))
    out.below.push_back({"works by another policy: " + policy.substr(0, 12), Mark::differs});
  return out;
}

}  // namespace

Branch places_of(const topology::Topology& topology, const std::string& tenant, const std::string& residency,
                 const Json& observed) {
  Branch root{fmt::format("tenant {}, residency {}", tenant, residency)};
  for (const auto& region : topology.regions) root.below.push_back(region_of(topology, region, residency, observed));
  for (const auto& voter : topology.voters) root.below.push_back({voter.str() + ": a voter, no byte of it"});
  return root;
}

std::string places_mermaid(const topology::Topology& topology, const std::string& tenant, const std::string& residency,
                           const Json& observed) {
  Picture picture;
  const auto* rules = topology::residency_of(topology, residency);
  std::vector<std::pair<std::string, CopyFact>> copies;
  for (const auto& region : topology.regions) {
    const std::string name = region.name.str();
    const Form form = rules == nullptr ? Form::none : topology::form_in(*rules, region.jurisdiction);
    const auto copy = copy_of(site_of(observed, name), name, residency, form);
    const std::string what = copy.owner   ? tenant + " of " + residency + "\n"
                             : copy.holds ? fmt::format("{}\n", topology::name_of(form))
                                          : "";
    std::string beside;
    Mark mark = copy.mark;
    for (const auto& each : beside_of(topology, region, residency, site_of(observed, name))) {
      beside += "\n" + each.text;
      if (mark == Mark::same) mark = each.mark;
    }
    picture.node(name, name + "\n" + what + copy.text + beside, mark);
    copies.emplace_back(name, copy);
  }
  for (const auto& [name, copy] : copies) {
    if (!copy.holds || copy.source.empty() || copy.source == name) continue;
    const auto links = links_to(topology, name, residency, copy.source, observed);
    picture.node(copy.source, copy.source, Mark::unknown);
    picture.arrow(copy.source, name, links.empty() ? "by no lawful link" : links[0].text,
                  links.empty() ? Mark::differs : links[0].mark);
  }
  return picture.mermaid();
}

}  // namespace domicile::cli
