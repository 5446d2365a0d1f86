// For tests: as much of JSON Schema as our own schema uses. A keyword that is not known here fails.
#pragma once
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "base/json.hpp"

namespace domicile::topology {

// Empty: it fits; else the path of the first part that does not, and the keyword that refuses it.
inline std::string misfit(const Json& schema, const Json& value, const std::string& path = "") {
  static const std::set<std::string> known{
      "$schema",   "title",        "description", "type",  "const",       "enum",       "pattern",
      "maxLength", "anyOf",        "not",         "items", "uniqueItems", "properties", "additionalProperties",
      "required",  "propertyNames"};
  const auto no = [&](const char* keyword) { return path + "/ " + keyword; };
  if (schema.is_boolean()) return schema.get<bool>() ? "" : no("false");
  for (const auto& [keyword, unused] : schema.items()) EXPECT_TRUE(known.contains(keyword)) << keyword;
  const auto is = [&](const std::string& type) { return std::string(value.type_name()) == type; };
  if (schema.contains("type")) {
    const Json& type = schema["type"];
    const Json types = type.is_array() ? type : Json::array({type});
    if (std::none_of(types.begin(), types.end(), [&](const Json& each) { return is(each); })) return no("type");
  }
  if (schema.contains("const") && value != schema["const"]) return no("const");
  if (schema.contains("enum") && std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
    return no("enum");
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    if (schema.contains("pattern") &&
        !std::regex_search(text, std::regex(schema["pattern"].get<std::string>(), std::regex::ECMAScript)))
      return no("pattern");
    if (schema.contains("maxLength") && text.size() > schema["maxLength"].get<std::size_t>()) return no("maxLength");
  }
  if (schema.contains("not") && misfit(schema["not"], value, path).empty()) return no("not");
  if (schema.contains("anyOf")) {
    bool any = false;
    for (const Json& each : schema["anyOf"]) any |= misfit(each, value, path).empty();
    if (!any) return no("anyOf");
  }
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (schema.contains("items"))
        if (auto bad = misfit(schema["items"], value[i], path + "/" + std::to_string(i)); !bad.empty()) return bad;
      if (schema.value("uniqueItems", false) && std::count(value.begin(), value.end(), value[i]) > 1)
        return no("uniqueItems");
    }
  }
  if (!value.is_object()) return "";
  for (const Json& key : schema.value("required", Json::array()))
    if (!value.contains(key.get<std::string>())) return no("required");
  for (const auto& [key, member] : value.items()) {
    if (schema.contains("propertyNames"))
      if (auto bad = misfit(schema["propertyNames"], key, path + "/" + key); !bad.empty()) return bad;
    const bool declared = schema.contains("properties") && schema["properties"].contains(key);
    const Json one = declared ? schema["properties"][key] : schema.value("additionalProperties", Json(true));
    if (auto bad = misfit(one, member, path + "/" + key); !bad.empty()) return bad;
  }
  return "";
}

}  // namespace domicile::topology
