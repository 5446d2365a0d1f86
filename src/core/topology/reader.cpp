#include "core/topology/reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace domicile::topology {
namespace {

using NodeType = yaml::Node::Type;

std::string known_keys(Object object) {
  std::string out;
  for (const Key& key : all_keys())
    if (key.in == object) out += (out.empty() ? "" : ", ") + std::string(key.name);
  return out;
}

}  // namespace

std::optional<Micros> duration_of(std::string_view text) {
  if (text == "0") return 0;
  std::size_t digits = 0;
  Micros value = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9')
    value = value * 10 + (text[digits++] - '0'), value = std::min<Micros>(value, 1'000'000'000'000);
  if (digits == 0) return std::nullopt;
  const std::string_view unit = text.substr(digits);
  const Micros factor = unit == "ms"  ? kMillisecond
                        : unit == "s" ? kSecond
                        : unit == "m" ? 60 * kSecond
                        : unit == "h" ? 3600 * kSecond
                                      : 0;
  constexpr Micros most = 30 * 24 * 3600 * kSecond;
  if (factor == 0 || value > most / factor) return std::nullopt;
  return value * factor;
}

std::string Reader::shown(const yaml::Node& node) {
  switch (node.type) {
    case NodeType::null:
      return "(nothing)";
    case NodeType::list:
      return "(a list)";
    case NodeType::map:
      return "(a map)";
    case NodeType::scalar:
      break;
  }
  // What a file says goes to terminals and logs: no control characters, no endless lines.
  std::string out;
  for (const char c : node.text.substr(0, 80)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out;
}

void Reader::add(Code code, const yaml::Node& at, std::string cause, std::string fix) {
  problems_.push_back({std::string(text_of(code)), std::move(cause), std::move(fix), file_, at.line, at.column});
}

const Reader::Entry* Reader::find(const std::vector<Entry>& entries, std::string_view key) {
  for (const Entry& entry : entries)
    if (entry.key->name == key) return &entry;
  return nullptr;
}

std::vector<Reader::Entry> Reader::entries(const yaml::Node& map, Object object, const std::string& what) {
  std::vector<Entry> out;
  if (map.type != NodeType::map && map.type != NodeType::null) {
    add(Code::shape, map, what + " must be a map, not " + (map.type == NodeType::list ? "a list" : "a value"),
        "write " + known_keys(object) + " below it");
    return out;
  }
  std::set<std::string> seen;
  for (const auto& [name, value] : map.entries) {
    if (name.type != NodeType::scalar) {
      add(Code::shape, name, "a key of " + what + " must be a text, not " + shown(name), "write a plain name");
      continue;
    }
    const Key* key = key_of(object, name.text);
    if (!key) {
      add(Code::unknown_key, name, "'" + shown(name) + "' is no key of " + what, "its keys are " + known_keys(object));
    } else if (!seen.insert(name.text).second) {
      add(Code::duplicate_key, name, "'" + shown(name) + "' stands twice in " + what, "keep one of them");
    } else {
      out.push_back({key, &name, &value});
    }
  }
  for (const Key& key : all_keys())
    if (key.in == object && key.required && !seen.contains(std::string(key.name)))
      add(Code::missing_key, map, what + " lacks '" + std::string(key.name) + "'",
          "add it: " + std::string(describe(key.type)));
  return out;
}

bool Reader::list(const Entry& entry) {
  if (entry.value->type == NodeType::list) return true;
  add(Code::shape, *entry.value, "'" + std::string(entry.key->name) + "' must be a list",
      "write it in brackets: [" + shown(*entry.value) + "]");
  return false;
}

std::optional<std::string> Reader::text(const std::vector<Entry>& entries, Object object, std::string_view key) {
  const Entry* entry = find(entries, key);
  const Key* declared = key_of(object, key);
  if (!entry) {
    if (declared->required) return std::nullopt;
    return std::string(declared->otherwise);
  }
  if (entry->value->type == NodeType::scalar) return entry->value->text;
  add(Code::shape, *entry->value, "'" + std::string(key) + "' must be one value, not " + shown(*entry->value),
      "write " + std::string(describe(declared->type)));
  return std::nullopt;
}

Micros Reader::duration(const std::vector<Entry>& entries, Object object, std::string_view key) {
  const Micros otherwise = *duration_of(key_of(object, key)->otherwise);
  const auto written = text(entries, object, key);
  if (!written) return otherwise;
  const auto value = duration_of(*written);
  if (!value)
    add(Code::bad_duration, *find(entries, key)->value,
        "'" + shown(*find(entries, key)->value) + "' is no duration for '" + std::string(key) + "'",
        "write " + std::string(describe(Type::duration)) + ", at most 30 days");
  return value.value_or(otherwise);
}

}  // namespace domicile::topology
