// What agents and gates have seen, held against what is configured; drawn as a tree or as a picture of Mermaid. Pure
// but for `observe`.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "cli/command.hpp"

namespace domicile::cli {

enum class Mark {
  plain,    // configured, or said by nobody
  same,     // seen, and as it should be
  differs,  // seen, and not as it should be
  unknown,  // could not be seen
};
char sign_of(Mark mark);  // ' ', '=', '~', '?'
std::string_view name_of(Mark mark);

struct Branch {
  std::string text;
  Mark mark = Mark::plain;
  std::vector<Branch> below = {};
  bool operator==(const Branch&) const = default;
};
std::string tree_text(const Branch& root, bool colour);
Json tree_json(const Branch& root);

// A flowchart. Texts may hold anything; what is not seen or differs has a class of its own.
class Picture {
 public:
  // `id` as any text; a node that is added twice stays as it was.
  void node(const std::string& id, const std::string& text, Mark mark = Mark::same);
  void arrow(const std::string& from, const std::string& to, const std::string& text, Mark mark = Mark::same);
  bool empty() const { return nodes_.empty(); }
  std::string mermaid() const;

 private:
  std::string key(const std::string& id) const;
  std::vector<std::string> ids_, nodes_, arrows_;
  std::vector<std::pair<std::size_t, Mark>> marked_;  // arrows
};

std::vector<Option> with_drawing_options(std::vector<Option> own);  // -o
// --agent or --url: without its answer the question is not answered. --config and DOMICILE_AGENT name one by the way.
bool demands_agent(const Args& args);
// Site -> what its agent has observed, or {unknown: reason}; null when no agent was named. One that was named and does
// not answer is told in `trouble`, and nothing is known then.
// With a tenant, of that tenant as well.
Json observe(const Args& args, std::string& trouble, const std::string& tenant = "");
// A site's answer; {unknown: reason} where there is none.
Json site_of(const Json& observed, const std::string& site);

}  // namespace domicile::cli
