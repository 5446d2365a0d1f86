#include "core/topology/names.hpp"

namespace domicile::topology {
namespace {

// `of`: single characters and ranges.
bool in_class(std::string_view of, char c) {
  for (std::size_t i = 0; i < of.size(); ++i)
    if (i + 2 < of.size() && of[i + 1] == '-') {
      if (c >= of[i] && c <= of[i + 2]) return true;
      i += 2;
    } else if (c == of[i]) {
      return true;
    }
  return false;
}

}  // namespace

bool follows(const NameRule& rule, std::string_view text) {
  if (text.empty() || text.size() > rule.most || !in_class(rule.first, text.front())) return false;
  bool dash = false;
  for (const char c : text.substr(1)) {
    if (c == '-' ? !rule.dashes || dash : !in_class(rule.rest, c)) return false;
    dash = c == '-';
  }
  return !dash;
}

std::string pattern_of(const NameRule& rule) {
  std::string out = "[" + std::string(rule.first) + "](";
  return out + (rule.dashes ? "-?" : "") + "[" + std::string(rule.rest) + "])*";
}

}  // namespace domicile::topology
