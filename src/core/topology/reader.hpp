// Reads values out of the tree by the table of keys, and gathers every problem on the way.
#pragma once
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/topology/codes.hpp"
#include "core/topology/keys.hpp"
#include "core/topology/parse.hpp"
#include "core/topology/yaml.hpp"

namespace domicile::topology {

std::optional<Micros> duration_of(std::string_view text);  // at most 30 days

class Reader {
 public:
  Reader(std::string file, std::vector<Problem>& problems) : file_(std::move(file)), problems_(problems) {}

  void add(Code code, const yaml::Node& at, std::string cause, std::string fix);

  struct Entry {
    const Key* key;
    const yaml::Node* name;
    const yaml::Node* value;
  };
  // The entries of a map, each known key once; unknown, doubled and missing ones are problems. `what` names the map.
  std::vector<Entry> entries(const yaml::Node& map, Object object, const std::string& what);

  // The value, or the default of the table where it is absent; empty after a problem.
  std::optional<std::string> text(const std::vector<Entry>& entries, Object object, std::string_view key);
  Micros duration(const std::vector<Entry>& entries, Object object, std::string_view key);

  template <class N>
  std::optional<N> name(const yaml::Node& at, const std::string& what, const std::string& rule) {
    const auto found = at.type == yaml::Node::Type::scalar ? N::of(at.text) : std::nullopt;
    if (!found) add(Code::bad_name, at, "'" + shown(at) + "' is no name of " + what, rule);
    return found;
  }
  template <class N>
  std::optional<N> name_in(const std::vector<Entry>& entries, Object object, std::string_view key,
                           const std::string& what, const std::string& rule) {
    if (const Entry* entry = find(entries, key)) return name<N>(*entry->value, what, rule);
    return N::of(key_of(object, key)->otherwise);
  }
  template <class N>
  std::vector<N> names(const std::vector<Entry>& entries, std::string_view key, const std::string& what,
                       const std::string& rule) {
    std::vector<N> out;
    const Entry* entry = find(entries, key);
    if (!entry || !list(*entry)) return out;
    for (const yaml::Node& item : entry->value->items) {
      const auto found = name<N>(item, what, rule);
      if (!found) continue;
      if (std::find(out.begin(), out.end(), *found) != out.end())
        add(Code::repeated, item, "'" + found->str() + "' stands twice in '" + std::string(key) + "'",
            "remove one of them");
      else
        out.push_back(*found);
    }
    return out;
  }
  static const Entry* find(const std::vector<Entry>& entries, std::string_view key);

 private:
  bool list(const Entry& entry);
  static std::string shown(const yaml::Node& node);
  std::string file_;
  std::vector<Problem>& problems_;
};

}  // namespace domicile::topology
