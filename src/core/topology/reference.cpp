#include "core/topology/reference.hpp"

#include <fmt/format.h>

#include "base/json.hpp"
#include "core/topology/codes.hpp"
#include "core/topology/keys.hpp"
#include "core/topology/names.hpp"

namespace domicile::topology {
namespace {

Json schema_of(Object object);

Json pattern(const std::string& text) { return {{"type", "string"}, {"pattern", "^(" + text + ")$"}}; }
Json name(const NameRule& rule) {
  Json out = pattern(pattern_of(rule));
  out["maxLength"] = rule.most;
  return out;
}
Json choice(Json values) { return {{"enum", std::move(values)}}; }
Json list_of(Json item) { return {{"type", "array"}, {"items", std::move(item)}, {"uniqueItems", true}}; }

Json table_name() {
  const auto part = [](const NameRule& rule) {
    return fmt::format("(?=[^.]{{1,{}}}(\\.|$)){}", rule.most, pattern_of(rule));
  };
  Json out = pattern(part(kIdentifierRule) + "\\." + part(kIdentifierRule));
  out["not"] = {{"pattern", fmt::format("^({})\\.", fmt::join(kOwnSchemas, "|"))}};
  return out;
}

Json residency_name() {
  Json out = name(kSiteRule);
  out["not"] = choice(kReservedResidencies);
  return out;
}

Json schema_of(const Key& key);

Json schema_of(Type type) {
  switch (type) {
    case Type::version:
      return {{"const", 1}};
    case Type::duration:
      return {{"anyOf", {pattern("[0-9]+(ms|s|m|h)|0"), {{"const", 0}}}}};
    case Type::text:
      return {{"type", "string"}, {"pattern", "[^ \\t\\n]"}};  // it says something
    case Type::date:
      return pattern("[0-9]{4}-[0-9]{2}-[0-9]{2}");
    case Type::site:
      return name(kSiteRule);
    case Type::residency:
      return residency_name();
    case Type::sites:
      return list_of(name(kSiteRule));
    case Type::jurisdiction:
      return name(kJurisdictionRule);
    case Type::form:
      return choice({"full", "reduced", "none"});
    case Type::failover:
      return choice({"automatic", "approve"});
    case Type::failback:
      return choice({"manual", "automatic"});
    case Type::reapply:
      return choice({"nothing", "inserts"});
    case Type::reads:
      return choice({"fresh", "stale"});
    case Type::without_standby:
      return choice({"stop", "go_on"});
    case Type::outage:
      return choice({"outage"});
    case Type::object_kind:
      return choice({"table", "foreign table", "foreign server", "extension", "view", "materialized view", "function",
                     "sequence", "large objects", "slot"});
    case Type::named: {
      Json out = pattern("[^\\x01-\\x1f]+");
      out["maxLength"] = 255;
      return out;
    }
    case Type::column:
      return name(kIdentifierRule);
    case Type::columns:
      return list_of(name(kIdentifierRule));
    case Type::table:
      return table_name();
    case Type::object:
    case Type::objects:
      break;
  }
  return Json::object();
}

Json schema_of(const Key& key) {
  if (key.type == Type::object) return schema_of(key.child);
  if (key.type != Type::objects) return schema_of(key.type);
  const Json one = schema_of(key.child);
  return {{"anyOf", {one, {{"type", "array"}, {"items", one}}}}};
}

Json schema_of(Object object) {
  Json out = {{"type", "object"}, {"additionalProperties", false}};
  Json declared = Json::array();
  for (const Key& key : all_keys()) {
    if (key.in != object) continue;
    Json value = schema_of(key);
    value["description"] = key.doc;
    if (key.any()) {
      out["additionalProperties"] = value;
      out["propertyNames"] = schema_of(key.names);
    } else {
      out["properties"][std::string(key.name)] = value;
      declared.push_back(key.name);
    }
    if (key.required) out["required"].push_back(key.name);
  }
  if (out.contains("propertyNames") && !declared.empty())
    out["propertyNames"] = {{"anyOf", {choice(declared), out["propertyNames"]}}};
  // A key with nothing behind it is an empty map.
  if (!out.contains("required")) out["type"] = {"object", "null"};
  return out;
}

void section(std::string& out, Object object, const std::string& title) {
  out += fmt::format("\n## {}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n", title);
  bool any = false;
  for (const Key& key : all_keys())
    if (key.in == object) {
      any = true;
      out += fmt::format("| `{}` | {} | {} | {} |\n", key.name, describe(key.type),
                         key.required            ? "required"
                         : key.otherwise.empty() ? std::string()
                                                 : fmt::format("`{}`", key.otherwise),
                         key.doc);
    }
  if (!any) out.resize(out.rfind("\n## "));
  for (const Key& key : all_keys())
    if (key.in == object && (key.type == Type::object || key.type == Type::objects))
      section(out, key.child, title == "The file" ? std::string(key.name) : fmt::format("{}.{}", title, key.name));
}

}  // namespace

std::string json_schema() {
  Json schema = schema_of(Object::topology);
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = "Domicile topology";
  return schema.dump(2);
}

std::string reference_page() {
  std::string out = "# The topology file\n\nGenerated by `domicile check --reference`; do not edit.\n";
  section(out, Object::topology, "The file");
  out += "\n## Problems\n\n| code | meaning |\n| --- | --- |\n";
#define X(code, name, summary) out += fmt::format("| {} | {} |\n", code, summary);
  DOMICILE_TOPOLOGY_PROBLEMS(X)
#undef X
  return out;
}

}  // namespace domicile::topology
