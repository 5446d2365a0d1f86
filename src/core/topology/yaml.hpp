// A YAML document as a tree that keeps what yaml-cpp's own tree throws away: where everything stood, and duplicate
// keys. No exception leaves it.
#pragma once
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace domicile::topology::yaml {

struct Node {
  enum class Type { null, scalar, list, map };
  Type type = Type::null;
  std::string text = {};                            // scalar
  std::vector<Node> items = {};                     // list
  std::vector<std::pair<Node, Node>> entries = {};  // map, in the file's order, duplicates included
  int line = 1, column = 1;

  const Node* find(std::string_view key) const;  // first value of that key; null where there is none
};

struct Fault {
  enum class Kind { syntax, alias, many, size };
  Kind kind = Kind::syntax;
  std::string what;
  int line = 1, column = 1;
};

inline constexpr std::size_t kMaxBytes = 1 << 20;

// An empty document is a null node. Anchors and aliases are a Fault: one line of them can stand for gigabytes, and what
// a reader sees in a policy must be what it says.
tl::expected<Node, Fault> parse(std::string_view text);

}  // namespace domicile::topology::yaml
