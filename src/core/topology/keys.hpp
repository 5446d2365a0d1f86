// Every key of a topology file, declared once: the parser, the JSON Schema and docs/reference/topology.md read this.
#pragma once
#include <span>
#include <string_view>

namespace domicile::topology {

// The maps that a topology file consists of.
enum class Object {
  topology,
  lease,
  regions,
  region,
  voters,
  voter,
  residencies,
  residency,
  holds,
  data,
  table,
  accept,
  accept_objects
};

enum class Type {
  version,
  duration,  // 500ms, 5s, 10m, 1h, 0
  text,
  date,  // 2026-01-31
  site,
  residency,
  sites,  // a list
  jurisdiction,
  form,
  failover,
  failback,
  reapply,
  reads,
  without_standby,
  outage,
  object_kind,
  column,
  columns,  // a list
  table,    // schema.table
  named,    // what a database calls one of its objects
  object,   // Key::child
  objects,  // one Key::child, or a list of them
};

struct Key {
  Object in;
  std::string_view name;  // "<…>": any name; what it stands for
  Type type;
  bool required;
  std::string_view otherwise;  // the default, as one would write it; empty: none
  std::string_view doc;
  Object child = Object::topology;
  Type names = Type::text;  // of a "<…>": what kind of name stands there
  bool any() const { return name.front() == '<'; }
};

std::span<const Key> all_keys();
const Key* key_of(Object in, std::string_view name);  // a declared name, else the object's "<…>", else null
std::string_view describe(Type type);                 // for people: "a duration such as 500ms, 5s or 10m"

}  // namespace domicile::topology
