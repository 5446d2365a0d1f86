#include "core/desired/objects.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "core/topology/keys.hpp"

namespace domicile::desired {
namespace {

using topology::AcceptedObject;
using topology::ObjectKind;

// Without what could not be quoted by anybody who reads the migration: a name with a quote in it is left to a person.
std::string quoted(const std::string& qualified) {
  const auto dot = qualified.find('.');
  return fmt::format("\"{}\".\"{}\"", qualified.substr(0, dot), qualified.substr(dot + 1));
}

struct Judgement {
  const char* code;
  bool refuses;
  std::string cause, migration, advice;
};

Judgement of_table(const SeenObject& object) {
  const bool foreign = object.kind == ObjectKind::foreign_table;
  std::string why;
  if (!object.columns.empty()) why = fmt::format("it has the column {}", fmt::join(object.columns, ", "));
  if (!object.mapped.empty())
    why += fmt::format("{}it refers to {}", why.empty() ? "" : " and ", fmt::join(object.mapped, ", "));
  if (foreign)
    return {"DOM-P024", true,
            fmt::format("a foreign table of server '{}': what is written to it leaves this database{}{}", object.how,
                        why.empty() ? "" : "; ", why),
            "", "drop it"};
  if (!why.empty())
    return {"DOM-P022", true,
            fmt::format("{}: rows of tenants, and it is not in the topology{}", why,
                        object.how == "unlogged" ? "; it is unlogged and no other region could have it" : ""),
            "", "map it below `data`"};
  return {"DOM-P043", true, "an unlogged table is in no WAL: no other region has its rows, and a crash empties it", "",
          "if tenants' rows lie in it, SET LOGGED and map it below `data`"};
}

Judgement of_function(const SeenObject& object) {
  // A definer's function in a trusted language can do what its owner may; an untrusted one, what the server may.
  if (!object.definer)
    return {"DOM-P029", true,
            fmt::format("written in {}, which may open files and connections as the server does", object.how), "",
            "write it in a trusted language"};
  return {"DOM-P029", object.open,
          object.open ? "it runs as its owner, who may read tenants' tables, and the role of every link may call it"
                      : "it runs as its owner, who may read tenants' tables",
          "", object.open ? "REVOKE EXECUTE … FROM PUBLIC (and from the roles of links)" : ""};
}

Judgement of_slot(const SeenObject& object) {
  if (object.how == "physical")
    return {"DOM-P019", false, "a physical slot: who reads it gets every block of the log, whatever the topology says",
            "", "keep its reader under the same law and name the slot in `accept_objects`, or drop it"};
  if (object.how == "pgoutput")
    return {
        "DOM-P019", false,
        "a slot of pgoutput that no link of ours made: who reads it names the publication, and the gate does not see "
        "it",
        "", "name it in `accept_objects` if it is known, or drop it"};
  return {"DOM-P017", true,
          fmt::format("a slot of plugin {}: no publication narrows what it lets out, every column of every table",
                      object.how),
          "", "drop it, or read through pgoutput and a publication"};
}

Judgement judge(const SeenObject& object) {
  const auto tables = fmt::format("{}", fmt::join(object.mapped, ", "));
  switch (object.kind) {
    case ObjectKind::table:
    case ObjectKind::foreign_table:
      return of_table(object);
    case ObjectKind::foreign_server:
      return {"DOM-P025", true, fmt::format("a server of {}: through it rows reach another database", object.how), "",
              "drop it"};
    case ObjectKind::extension:
      return {"DOM-P025", true, "its functions open connections to elsewhere for whoever may call them", "", "drop it"};
    case ObjectKind::view:
      return {"DOM-P028", object.open,
              object.open ? fmt::format("it shows rows of {} to the role of every link, whatever its form", tables)
                          : fmt::format("it shows rows of {} with its owner's rights", tables),
              object.open ? "REVOKE ALL ON " + quoted(object.name) + " FROM PUBLIC;" : "",
              object.open ? "" : "WITH (security_invoker = true) gives no more than the tables themselves"};
    case ObjectKind::materialized_view:
      return {"DOM-P027", true,
              fmt::format("it keeps a copy of rows of {} that no form, guard or deletion reaches", tables), "",
              "make it a view, or a mapped table"};
    case ObjectKind::function:
      return of_function(object);
    case ObjectKind::sequence:
      return {"DOM-P026", true,
              fmt::format("it numbers rows of {} and belongs to none of its columns: a switch does not advance it, and "
                          "the new owner gives numbers out again",
                          tables),
              "", "ALTER SEQUENCE … OWNED BY the column that it feeds"};
    case ObjectKind::large_objects:
      return {"DOM-P023", true, "large objects have no residency: no guard, no link, and no other region has them", "",
              "keep such contents in a bytea column of a mapped table, then lo_unlink them"};
    case ObjectKind::slot:
      return of_slot(object);
  }
  return {"DOM-P022", true, "an object that is not known", "", ""};
}

// Whose link made it, is told by name: the topology's links, and what is known of those before.
bool our_slot(const Context& context, const Seen& seen, const std::string& slot) {
  std::set<std::string> links = seen.our_slots;
  links.insert(seen.carried.begin(), seen.carried.end());
  for (const auto& link : residency::links_of(context.topology))
    if (link.from == context.region) links.insert(residency::name_of(link));
  for (const auto& [name, publication] : seen.publications)
    if (publication.ours) links.insert(name);
  return std::ranges::any_of(links, [&](const auto& link) { return slot == link || slot == since_slot(link); });
}

// What was seen, and slots of pgoutput that are none of ours.
std::vector<SeenObject> all_objects(const Context& context, const Seen& seen) {
  auto out = seen.objects;
  for (const auto& slot : seen.slots) {
    const bool told = std::ranges::any_of(
        seen.objects, [&](const auto& each) { return each.kind == ObjectKind::slot && each.name == slot; });
    if (!told && !our_slot(context, seen, slot)) out.push_back({ObjectKind::slot, slot, "pgoutput"});
  }
  return out;
}

}  // namespace

std::vector<std::string> carrier_columns(const topology::Topology& topology) {
  std::set<std::string> names;
  for (const auto& table : topology.tables) names.insert({table.tenant.str(), table.residency.str()});
  if (names.empty())
    for (const char* key : {"tenant", "residency"})
      names.emplace(topology::key_of(topology::Object::table, key)->otherwise);
  return {names.begin(), names.end()};
}

std::vector<Finding> objects(const Context& context, const Seen& seen) {
  std::vector<Finding> out;
  const auto& accepted = context.topology.accepted_objects;
  const auto all = all_objects(context, seen);
  for (const auto& object : all) {
    const auto paper = std::find_if(accepted.begin(), accepted.end(), [&](const AcceptedObject& each) {
      return each.kind == object.kind && each.object == object.name;
    });
    const bool signed_once = paper != accepted.end();
    const bool over = signed_once && context.today && paper->until < *context.today;
    if (signed_once && !over) continue;
    auto [code, refuses, cause, migration, advice] = judge(object);
    cause = fmt::format("{}: {}", topology::name_of(object.kind), cause);
    if (over) cause += fmt::format(" (accepted until {})", topology::date_text(paper->until));
    if (refuses)
      advice += fmt::format("{}or accept it in writing: accept_objects: {{\"{}\": {}, by: …, reason: …, until: …}}",
                            advice.empty() ? "" : "; ", object.name, topology::name_of(object.kind));
    out.push_back({code, refuses, object.name, std::move(cause), std::move(migration), std::move(advice)});
  }
  for (const auto& paper : accepted)
    if (std::none_of(all.begin(), all.end(), [&](const SeenObject& object) {
          return object.kind == paper.kind && object.name == paper.object;
        }))
      out.push_back({"DOM-P095", false, paper.object,
                     fmt::format("{}: accepted in the topology, and nothing here needs that", name_of(paper.kind)), "",
                     "take it out of `accept_objects`: another object may come to bear this name"});
  return out;
}

}  // namespace domicile::desired
