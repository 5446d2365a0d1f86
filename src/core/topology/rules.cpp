#include "core/topology/rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/topology/survivability.hpp"

namespace domicile::topology {
namespace {

class Rules {
 public:
  Rules(const Topology& topology, const yaml::Node& root, std::optional<Date> today, Reader& reader)
      : topology_(topology), root_(root), today_(today), reader_(reader) {}

  void all() {
    sites();
    lease();
    for (const Residency& residency : topology_.residencies) one_residency(residency);
    directory();
    link_names();
    tables();
    acceptances();
    accepted_objects();
  }

 private:
  // The deepest node on the way of `path` that exists.
  const yaml::Node& at(std::initializer_list<std::string_view> path) const {
    const yaml::Node* node = &root_;
    for (const auto step : path)
      if (const yaml::Node* next = node->find(step))
        node = next;
      else
        break;
    return *node;
  }
  // The item `text` of the list at `path`, else the list.
  const yaml::Node& item(std::initializer_list<std::string_view> path, std::string_view text) const {
    const yaml::Node& list = at(path);
    for (const yaml::Node& each : list.items)
      if (each.text == text) return each;
    return list;
  }
  bool declared(std::string_view region) const { return at({"regions"}).find(region) != nullptr; }

  void sites() {
    const yaml::Node *regions = root_.find("regions"), *voters = root_.find("voters");
    if (regions && regions->entries.empty() && regions->items.empty())
      reader_.add(Code::nothing_declared, *regions, "no region is declared", "declare one below 'regions'");
    std::set<std::string_view> names;
    for (const yaml::Node* map : {regions, voters})
      if (map)
        for (const auto& [name, value] : map->entries) names.insert(name.text);
    if (regions && names.size() < 3)
      reader_.add(Code::few_sites, *regions,
                  fmt::format("{} site{} vote{}: the loss of one would stop all writes everywhere", names.size(),
                              names.size() == 1 ? "" : "s", names.size() == 1 ? "s" : ""),
                  "add a third site that holds no data: voters: {eu-north-1: {}}");
    if (regions && voters)
      for (const auto& [name, value] : voters->entries)
        if (regions->find(name.text))
          reader_.add(Code::voter_is_region, name, "'" + name.text + "' is a region and a voter",
                      "remove it from 'voters': every region votes already");
  }

  void lease() {
    const Lease& lease = topology_.lease;
    const auto ms = [](Micros time) { return time / kMillisecond; };
    if (lease.beat <= 0)
      reader_.add(Code::lease_times, at({"lease", "beat"}), "a beat every 0 ms is none", "write beat: 1s");
    if (lease.margin <= 0)
      reader_.add(Code::lease_times, at({"lease", "margin"}),
                  "without a margin clocks of different rates give two writers", "write margin: 500ms");
    const Micros slack = lease.ttl - lease.beat - lease.margin;
    if (slack < 3 * kElection)
      reader_.add(
          Code::lease_times, at({"lease", "ttl"}),
          fmt::format("ttl − beat − margin = {} ms is less than three elections of the quorum ({} ms): losing the "
                      "region of its leader would end other regions' leases",
                      ms(slack), ms(3 * kElection)),
          fmt::format("write ttl: {}ms or more", ms(3 * kElection + lease.beat + lease.margin)));
    if (lease.patience < lease.ttl)
      reader_.add(Code::lease_times, at({"lease", "patience"}),
                  "patience is shorter than ttl: a short stall of a database would cost its region every residency",
                  fmt::format("write patience: {}ms or more", ms(lease.ttl)));
  }

  void one_residency(const Residency& residency) {
    const std::string_view name = residency.name.str();
    site(residency, residency.home, at({"residencies", name, "home"}), Code::home_not_full, "the home");
    for (const RegionName& standby : residency.standby) {
      const yaml::Node& node = item({"residencies", name, "standby"}, standby.str());
      if (standby == residency.home)
        reader_.add(Code::home_is_standby, node, fmt::format("'{}' is home and standby of '{}'", standby.str(), name),
                    "remove it from 'standby'");
      else
        site(residency, standby, node, Code::standby_not_full, "the standby");
    }
    waiting(residency);
    for (const auto& held : residency.holds) {
      const Jurisdiction& jurisdiction = held.first;
      const auto lies = [&](const Region& region) { return region.jurisdiction == jurisdiction; };
      if (std::none_of(topology_.regions.begin(), topology_.regions.end(), lies))
        reader_.add(Code::unknown_jurisdiction, at({"residencies", name, "holds", jurisdiction.str()}),
                    fmt::format("no region lies in '{}'", jurisdiction.str()),
                    "remove it, or declare a region of that jurisdiction");
    }
  }

  void waiting(const Residency& residency) {
    const std::string_view name = residency.name.str();
    const yaml::Node& written = at({"residencies", name});
    if (residency.rpo != 0) {
      if (const yaml::Node* idle = written.find("without_standby"))
        reader_.add(Code::idle_without_standby, *idle, fmt::format("no commit of '{}' waits for a standby", name),
                    "write rpo: 0, or remove it");
      return;
    }
    const yaml::Node* standby = written.find("standby");
    if (!residency.standby.empty() ||
        (standby && (standby->type == yaml::Node::Type::scalar || !standby->items.empty())))
      return;
    const auto could = lawful_standbys(topology_, residency);
    reader_.add(Code::no_standby_to_wait_for, at({"residencies", name, "rpo"}),
                fmt::format("each commit of '{}' waits for a standby, and {}", name,
                            could.empty() ? "by law no other region may hold it in full" : "none is named"),
                could.empty() ? "let another region hold it in full and name it as standby, or write another rpo"
                              : fmt::format("write standby: [{}]", fmt::join(could, ", ")));
  }

  void site(const Residency& residency, const RegionName& region, const yaml::Node& node, Code code,
            std::string_view role) {
    if (!declared(region.str())) {
      reader_.add(Code::unknown_region, node, fmt::format("no region '{}' is declared", region.str()),
                  "declare it below 'regions', or correct the name");
      return;
    }
    const Region* found = region_of(topology_, region.str());
    if (!found) return;  // declared, but unreadable: said already
    const Form form = form_in(residency, found->jurisdiction);
    if (form != Form::full)
      reader_.add(
          code, node,
          fmt::format("{} '{}' of '{}' lies in {}, which holds it {}", role, region.str(), residency.name.str(),
                      found->jurisdiction.str(), name_of(form)),
          fmt::format("choose a region that may hold it in full, or write holds: {{{}: full}} if that is lawful",
                      found->jurisdiction.str()));
  }

  void directory() {
    const yaml::Node* all = root_.find("residencies");
    if (!all) return;
    if (!all->find(kDirectory)) {
      reader_.add(Code::directory, *all, "the residency 'directory' is missing: tenants and hosts live in it",
                  "add directory: {home: …, standby: […], holds: {…: full}} with every jurisdiction");
      return;
    }
    const Residency* residency = residency_of(topology_, kDirectory);
    if (!residency) return;
    std::set<Jurisdiction> told;
    for (const Region& region : topology_.regions)
      if (form_in(*residency, region.jurisdiction) != Form::full && told.insert(region.jurisdiction).second)
        reader_.add(Code::directory, at({"residencies", kDirectory, "holds"}),
                    fmt::format("'directory' is not held in full in {}: its regions would know no tenant",
                                region.jurisdiction.str()),
                    fmt::format("add {}: full", region.jurisdiction.str()));
  }

  void link_names() {
    std::map<std::string, std::string> seen;
    for (const Residency& residency : topology_.residencies)
      for (const RegionName& from : owners_of(residency))
        for (const Region& to : topology_.regions) {
          if (to.name == from || form_in(residency, to.jurisdiction) == Form::none) continue;
          const std::string link = link_name(residency.name.str(), from.str(), to.name.str());
          const std::string flow =
              fmt::format("'{}' from '{}' to '{}'", residency.name.str(), from.str(), to.name.str());
          const yaml::Node& node = at({"residencies", residency.name.str()});
          if (link.size() > 63)
            reader_.add(Code::long_link_name, node,
                        fmt::format("the link of {} would be named {}: {} bytes, PostgreSQL cuts at 63", flow, link,
                                    link.size()),
                        "shorten the residency's or the regions' names");
          if (const auto [it, fresh] = seen.emplace(link, flow); !fresh && it->second != flow)
            reader_.add(Code::same_link_name, node,
                        fmt::format("the links of {} and of {} would both be named {}", it->second, flow, link),
                        "rename the residency");
        }
  }

  void tables() {
    for (const Table& table : topology_.tables) {
      const std::string name = table.qualified();
      for (const Identifier& column : table.shared)
        if (std::find(table.personal.begin(), table.personal.end(), column) != table.personal.end())
          reader_.add(Code::personal_and_shared, item({"data", name, "shared"}, column.str()),
                      fmt::format("'{}' of {} is personal and shared", column.str(), name),
                      "keep it in 'personal' if it can identify a person");
      for (const auto* key : {"personal", "shared"})
        for (const Identifier& column : std::string_view(key) == "personal" ? table.personal : table.shared)
          if (column == table.tenant || column == table.residency)
            reader_.add(Code::key_column_listed, item({"data", name, key}, column.str()),
                        fmt::format("'{}' of {} reaches every form by itself", column.str(), name),
                        fmt::format("remove it from '{}'", key));
      if (table.tenant == table.residency)
        reader_.add(Code::bad_value, at({"data", name}),
                    fmt::format("'{}' is both tenant and residency of {}", table.tenant.str(), name),
                    "name two columns");
    }
  }

  // Where `accept` names this residency.
  const yaml::Node& acceptance(std::string_view residency) const {
    const yaml::Node& accept = at({"accept"});
    for (const yaml::Node& each : accept.items)
      if (const yaml::Node* found = each.find(residency)) return *found;
    return at({"accept", residency});
  }

  void acceptances() {
    for (const Residency& residency : topology_.residencies) {
      if (!residency.standby.empty()) continue;
      const std::string& name = residency.name.str();
      // Standbys or an acceptance that could not be read have their problem already.
      const yaml::Node* standby = at({"residencies", name}).find("standby");
      if (standby && (standby->type == yaml::Node::Type::scalar || !standby->items.empty())) continue;
      if (acceptance(name).text == "outage") continue;
      const Region* home = region_of(topology_, residency.home.str());
      if (!home) continue;
      const auto could = lawful_standbys(topology_, residency);
      reader_.add(Code::outage_not_accepted, at({"residencies", name}),
                  fmt::format("the loss of '{}' is an outage for '{}' until it is back: {}", residency.home.str(), name,
                              could.empty() ? "by law no other region may take over" : "no standby is named"),
                  fmt::format("{}, or accept it: accept: {{{}: outage, by: …, reason: …, until: 2027-12-31}}",
                              could.empty() ? "let another region hold it in full and name it as standby"
                                            : fmt::format("write standby: [{}]", fmt::join(could, ", ")),
                              name));
    }
    for (const Accept& accept : topology_.accepted) {
      const std::string& name = accept.residency.str();
      const Residency* residency = residency_of(topology_, name);
      if (!residency && at({"residencies"}).find(name)) continue;
      if (!residency || !residency->standby.empty())
        reader_.add(Code::idle_acceptance, acceptance(name),
                    residency ? fmt::format("'{}' has a standby: there is no outage to accept", name)
                              : fmt::format("no residency '{}' is declared", name),
                    "remove it: an acceptance that means nothing hides one that does");
      else if (today_ && accept.until < *today_)
        reader_.add(Code::acceptance_expired, acceptance(name),
                    fmt::format("the outage of '{}' was accepted until {}; today is {}", name, date_text(accept.until),
                                date_text(*today_)),
                    "name a standby, or have it accepted again");
    }
  }

  // Whether the object is there at all only a database can say: `domicile plan` does.
  void accepted_objects() {
    const auto place = [&](std::string_view object) -> const yaml::Node& {
      const yaml::Node& all = at({"accept_objects"});
      for (const yaml::Node& each : all.items)
        if (const yaml::Node* found = each.find(object)) return *found;
      return at({"accept_objects", object});
    };
    std::set<std::pair<ObjectKind, std::string_view>> seen;
    for (const AcceptedObject& accepted : topology_.accepted_objects) {
      const std::string what = fmt::format("{} '{}'", name_of(accepted.kind), accepted.object);
      if (!seen.insert({accepted.kind, accepted.object}).second)
        reader_.add(Code::repeated, place(accepted.object), what + " is accepted twice", "keep one of them");
      else if (accepted.kind == ObjectKind::table && table_of(topology_, accepted.object))
        reader_.add(Code::idle_object_acceptance, place(accepted.object), what + " is mapped below 'data'",
                    "remove it: there is nothing to accept");
      else if (today_ && accepted.until < *today_)
        reader_.add(
            Code::object_acceptance_expired, place(accepted.object),
            fmt::format("{} was accepted until {}; today is {}", what, date_text(accepted.until), date_text(*today_)),
            "remove the object, or have it accepted again");
    }
  }

  const Topology& topology_;
  const yaml::Node& root_;
  std::optional<Date> today_;
  Reader& reader_;
};

}  // namespace

void check_rules(const Topology& topology, const yaml::Node& root, std::optional<Date> today, Reader& reader) {
  Rules(topology, root, today, reader).all();
}

}  // namespace domicile::topology
