#include "core/desired/desired.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/sha256.hpp"
#include "core/desired/law.hpp"

namespace domicile::desired {
namespace {

using topology::Form;

std::string underscored(std::string text) {
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

const SeenTable* seen_table(const Seen& seen, const std::string& name) {
  const auto found = seen.tables.find(name);
  return found == seen.tables.end() ? nullptr : &found->second;
}

PublishedTable published(const topology::Table& table, Form form, const std::string& residency, const Seen& seen) {
  PublishedTable out{table.qualified(), residency::columns_for(table, form),
                     filter_text(table.residency.str(), residency)};
  // An UPDATE or DELETE is refused at the owner when the identity is not published. A personal column in the identity
  // is no reason to publish it: readiness refuses that schema.
  const auto personal = [&](const std::string& column) {
    return std::any_of(table.personal.begin(), table.personal.end(), [&](const auto& p) { return p.str() == column; });
  };
  if (const auto* found = seen_table(seen, table.qualified()))
    for (const auto& column : found->identity)
      if (form == Form::full || !personal(column)) out.columns.push_back(column);
  std::sort(out.columns.begin(), out.columns.end());
  out.columns.erase(std::unique(out.columns.begin(), out.columns.end()), out.columns.end());
  return out;
}

std::vector<PublishedTable> tables_of(const Context& context, const std::string& residency, Form form,
                                      const Seen& seen) {
  std::vector<PublishedTable> tables;
  tables.push_back({"domicile.marker", {}, filter_text("residency", residency)});
  if (residency == topology::kDirectory) {
    tables.push_back({"domicile.host", {}, ""});
    tables.push_back({"domicile.tenant", {}, ""});
  } else {
    for (const auto& table : context.topology.tables)
      // What is not there yet cannot be published; readiness says so, and apply stops there.
      if (seen_table(seen, table.qualified())) tables.push_back(published(table, form, residency, seen));
  }
  std::sort(tables.begin(), tables.end());
  return tables;
}

// Of the residencies that are named, everything; and by the journal of the slots here, each link that carried an epoch
// of a residency that this region is not known to own, with what its salvage reads.
void keep_what_salvage_needs(const Context& context, const Seen& seen, Desired& out) {
  const auto keep = [&](const std::string& prefix) {
    for (const auto& [name, publication] : seen.publications)
      if (publication.ours && name.starts_with(prefix)) out.kept.insert(name);
    for (const auto& slot : seen.slots)
      if (slot.starts_with(prefix)) out.kept.insert(slot);
    for (const auto& [name, subscription] : seen.subscriptions)
      if (subscription.ours && name.starts_with(prefix)) out.kept.insert(name);
  };
  const std::string salvage_prefix = residency::salvage_publication("");
  for (const auto& residency : context.salvage_open) {
    keep(underscored(fmt::format("domicile_{}_", residency)));
    out.kept.insert(residency::salvage_publication(residency));
  }
  for (const auto& link : seen.carried) {
    const bool owned = !context.owners_assumed && std::ranges::any_of(context.owners, [&](const auto& each) {
      return each.second == context.region &&
             link.starts_with(underscored(fmt::format("domicile_{}_{}_", each.first, context.region)));
    });
    if (owned) continue;
    keep(link);
    // The residency may have left the topology: its salvage publication still tells its name.
    for (const auto& [name, publication] : seen.publications)
      if (publication.ours && name.starts_with(salvage_prefix) &&
          link.starts_with("domicile_" + name.substr(salvage_prefix.size()) + "_"))
        out.kept.insert(name);
  }
}

}  // namespace

std::string link_role(std::string_view peer) { return underscored(fmt::format("domicile_link_{}", peer)); }

std::string since_slot(std::string_view link) { return "domicile_since_" + sha256_hex(link).substr(0, 16); }

std::string filter_text(std::string_view column, std::string_view residency) {
  return fmt::format("({} = '{}'::text)", column, residency);
}

Desired desired_state(const Context& context, const Seen& seen) {
  Desired out;
  out.region = context.region;
  out.observe = context.observe;
  out.roles[std::string(kAgentRole)] = {true, true, false, false};
  out.roles[std::string(kGateRole)] = {true, true, false, false};
  for (const auto& link : residency::links_of(context.topology)) {
    const auto name = residency::name_of(link);
    if (link.from == context.region) {
      out.publications[name] = {name, tables_of(context, link.residency, link.form, seen)};
      out.slots.insert(name);
      out.roles[link_role(link.to)] = {false, false, false, false};
    } else if (link.to == context.region) {
      const auto owner = context.owners.find(link.residency);
      out.subscriptions[name] = {name, link.from, owner != context.owners.end() && owner->second == link.from};
    }
  }
  for (const auto& residency : context.topology.residencies)
    if (topology::may_own(residency, context.region)) {
      const auto name = residency::salvage_publication(residency.name.str());
      out.publications[name] = {name, tables_of(context, residency.name, Form::full, seen)};
    }
  for (const auto& table : context.topology.tables)
    if (const auto* found = seen_table(seen, table.qualified())) {
      out.guarded.insert(table.qualified());
      if (auto law = law_of(context.topology, context.region, table, *found); !law.condition.empty())
        out.laws[table.qualified()] = std::move(law);
    }

  keep_what_salvage_needs(context, seen, out);
  return out;
}

}  // namespace domicile::desired
