#include "cli/observed.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/url.hpp"
#include "cli/agent_client.hpp"
#include "cli/status_view.hpp"

namespace domicile::cli {
namespace {

std::string painted(const std::string& text, Mark mark, bool colour) {
  const char* code = mark == Mark::differs ? "33" : mark == Mark::unknown ? "35" : "";
  return colour && *code != 0 ? fmt::format("\033[{}m{}\033[0m", code, text) : text;
}

void draw(const Branch& branch, const std::string& before, bool colour, std::string& out) {
  for (std::size_t i = 0; i < branch.below.size(); ++i) {
    const Branch& each = branch.below[i];
    const bool last = i + 1 == branch.below.size();
    const std::string text = each.mark == Mark::plain ? each.text : fmt::format("{} {}", sign_of(each.mark), each.text);
    out += before + (last ? "└─ " : "├─ ") + painted(text, each.mark, colour) + "\n";
    draw(each, before + (last ? "   " : "│  "), colour, out);
  }
}

// Between quotes of Mermaid.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"')
      out += "#quot;";
    else if (c == '#')
      out += "#35;";
    else if (c == '<')
      out += "#lt;";
    else if (c == '>')
      out += "#gt;";
    else if (c == '\n')
      out += "<br/>";
    else
      out += c;
  }
  return out + "\"";
}

Result<void> valid_drawing(const std::string& value) {
  if (value == "mermaid") return {};
  return fail(Kind::invalid_input, "'" + value + "' is no format; mermaid is");
}

}  // namespace

char sign_of(Mark mark) {
  switch (mark) {
    case Mark::plain:
      return ' ';
    case Mark::same:
      return '=';
    case Mark::differs:
      return '~';
    case Mark::unknown:
      return '?';
  }
  return ' ';
}

std::string_view name_of(Mark mark) {
  constexpr std::string_view names[] = {"configured", "same", "differs", "unknown"};
  return names[static_cast<std::size_t>(mark)];
}

std::string tree_text(const Branch& root, bool colour) {
  std::string out = root.text + "\n";
  draw(root, "", colour, out);
  return out;
}

Json tree_json(const Branch& root) {
  Json out{{"text", root.text}, {"mark", name_of(root.mark)}};
  if (root.below.empty()) return out;
  out["below"] = Json::array();
  for (const Branch& each : root.below) out["below"].push_back(tree_json(each));
  return out;
}

std::string Picture::key(const std::string& id) const {
  return fmt::format("n{}", std::ranges::find(ids_, id) - ids_.begin());
}

void Picture::node(const std::string& id, const std::string& text, Mark mark) {
  if (std::ranges::find(ids_, id) != ids_.end()) return;
  ids_.push_back(id);
  nodes_.push_back(fmt::format("  {}[{}]:::{}\n", key(id), quoted(text), name_of(mark)));
}

void Picture::arrow(const std::string& from, const std::string& to, const std::string& text, Mark mark) {
  const bool whole = mark == Mark::same || mark == Mark::plain;
  marked_.emplace_back(arrows_.size(), mark);
  arrows_.push_back(fmt::format("  {} {}|{}| {}\n", key(from), whole ? "-->" : "-.->",
                                quoted(whole ? text : fmt::format("{} {}", sign_of(mark), text)), key(to)));
}

std::string Picture::mermaid() const {
  std::string out = "flowchart LR\n";
  for (const auto& each : nodes_) out += each;
  for (const auto& each : arrows_) out += each;
  for (const auto& [number, mark] : marked_)
    if (mark == Mark::differs) out += fmt::format("  linkStyle {} stroke:#c60,stroke-width:3px\n", number);
  return out +
         "  classDef same stroke:#080\n  classDef differs stroke:#c60,stroke-width:3px\n"
         "  classDef unknown stroke:#808,stroke-dasharray:4\n  classDef configured stroke:#888\n";
}

std::vector<Option> with_drawing_options(std::vector<Option> own) {
  own.push_back({"o", "FORMAT", "mermaid: a picture of what was observed.", false, false, valid_drawing});
  return own;
}

bool demands_agent(const Args& args) { return args.has("agent") || args.has("url"); }

Json observe(const Args& args, std::string& trouble, const std::string& tenant) {
  if (!demands_agent(args) && !args.has("config") && std::getenv("DOMICILE_AGENT") == nullptr) return {};
  auto client = AgentClient::of(args);
  const auto question = "/v1/observed?everywhere=1" + (tenant.empty() ? "" : "&tenant=" + url_encoded(tenant));
  auto told = client ? client->get(question) : Result<Json>(tl::unexpect, client.error());
  if (told && told->is_object()) return *std::move(told);
  trouble = told ? "the agent's answer is no list of sites" : one_line(told.error());
  return Json::object();
}

Json site_of(const Json& observed, const std::string& site) {
  if (observed.is_null()) return {{"unknown", "no agent was asked (--agent SOCKET)"}};
  const Json& answer = child_at(observed, site.c_str());
  if (!answer.is_object()) return {{"unknown", "no agent has told"}};
  if (answer.contains("unknown")) return answer;
  if (const auto who = text_at(answer, "region"); who != site)
    return {{"unknown", "the agent at its address calls itself '" + who + "'"}};
  return answer;
}

}  // namespace domicile::cli
