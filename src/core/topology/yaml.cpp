#include "core/topology/yaml.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <optional>
#include <sstream>

namespace domicile::topology::yaml {
namespace {

class Builder final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { put(at(mark, Node::Type::null)); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse_alias(mark);
    put(at(mark, Node::Type::null));
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, const std::string& value) override {
    if (anchor) refuse_alias(mark);
    Node node = at(mark, Node::Type::scalar);
    node.text = value;
    put(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    if (anchor) refuse_alias(mark);
    open_.push_back({at(mark, Node::Type::list), {}, false});
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    if (anchor) refuse_alias(mark);
    open_.push_back({at(mark, Node::Type::map), {}, false});
  }
  void OnMapEnd() override { close(); }

  Node root = {};
  std::optional<Fault> fault = {};

 private:
  struct Open {
    Node node, key;
    bool has_key;
  };

  static Node at(const YAML::Mark& mark, Node::Type type) {
    Node node;
    node.type = type;
    node.line = mark.is_null() ? 1 : mark.line + 1;
    node.column = mark.is_null() ? 1 : mark.column + 1;
    return node;
  }
  void refuse_alias(const YAML::Mark& mark) {
    if (!fault)
      fault = Fault{Fault::Kind::alias, "anchors and aliases are not allowed here", mark.line + 1, mark.column + 1};
  }
  void close() {
    Node done = std::move(open_.back().node);
    open_.pop_back();
    put(std::move(done));
  }
  void put(Node node) {
    if (open_.empty()) {
      root = std::move(node);
      return;
    }
    Open& open = open_.back();
    if (open.node.type == Node::Type::list) {
      open.node.items.push_back(std::move(node));
    } else if (!open.has_key) {
      open.key = std::move(node);
      open.has_key = true;
    } else {
      open.node.entries.emplace_back(std::move(open.key), std::move(node));
      open.has_key = false;
    }
  }

  std::vector<Open> open_;
};

}  // namespace

const Node* Node::find(std::string_view key) const {
  for (const auto& [name, value] : entries)
    if (name.type == Type::scalar && name.text == key) return &value;
  return nullptr;
}

tl::expected<Node, Fault> parse(std::string_view text) {
  if (text.size() > kMaxBytes) return tl::unexpected(Fault{Fault::Kind::size, "the file is larger than 1 MiB", 1, 1});
  // The only place where yaml-cpp's exceptions are caught: they end here.
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Builder builder;
    if (!parser.HandleNextDocument(builder)) return Node{};
    if (builder.fault) return tl::unexpected(*builder.fault);
    Builder second;
    if (parser.HandleNextDocument(second))
      return tl::unexpected(
          Fault{Fault::Kind::many, "a second document begins here", second.root.line, second.root.column});
    return std::move(builder.root);
  } catch (const YAML::Exception& error) {
    const bool known = !error.mark.is_null();
    return tl::unexpected(
        Fault{Fault::Kind::syntax, error.msg, known ? error.mark.line + 1 : 1, known ? error.mark.column + 1 : 1});
  } catch (const std::exception& error) {
    return tl::unexpected(Fault{Fault::Kind::syntax, error.what(), 1, 1});
  }
}

}  // namespace domicile::topology::yaml
