// JSON without exceptions: nlohmann/json behind Result.
#pragma once
#include <nlohmann/json.hpp>

#include "base/result.hpp"

namespace domicile {

using Json = nlohmann::json;

Result<Json> parse_json(std::string_view text, std::string_view what_it_is);
// One line; bytes that are no UTF-8 become U+FFFD instead of an exception.
std::string dump(const Json& value);

// The member `key` of an object as T, or an Error that names what is missing or of the wrong type.
template <class T>
Result<T> member(const Json& object, const char* key) {
  if (!object.is_object()) return fail(Kind::corrupt, fmt::format("no JSON object where '{}' was looked for", key));
  const auto it = object.find(key);
  if (it == object.end()) return fail(Kind::corrupt, fmt::format("JSON member '{}' is missing", key));
  const auto bad = [&] { return fail(Kind::corrupt, fmt::format("JSON member '{}' is of the wrong type", key)); };
  if constexpr (std::is_same_v<T, bool>) {
    if (!it->is_boolean()) return bad();
    return it->template get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    if (!it->is_number_integer()) return bad();
    return it->template get<T>();
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!it->is_number()) return bad();
    return it->template get<T>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!it->is_string()) return bad();
    return it->template get<std::string>();
  } else {
    static_assert(std::is_same_v<T, Json>);
    return *it;
  }
}

// The same, with a default where the member is absent or null.
template <class T>
Result<T> member_or(const Json& object, const char* key, T otherwise) {
  if (!object.is_object() || !object.contains(key) || object[key].is_null()) return otherwise;
  return member<T>(object, key);
}

}  // namespace domicile
