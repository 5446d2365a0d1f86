#include "base/name.hpp"

#include <algorithm>

namespace domicile {

bool is_name(std::string_view text) {
  constexpr std::string_view marks = "_.:/+-";
  const auto fits = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || marks.find(c) != marks.npos;
  };
  return text.size() <= 128 && std::all_of(text.begin(), text.end(), fits);
}

}  // namespace domicile
