// Every code that the program can say stands in its reference page, and the page has none that it cannot say.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "base/file.hpp"

namespace domicile {
namespace {

std::set<std::string> codes_in(const std::string& text, const std::string& family) {
  std::set<std::string> out;
  const std::regex code(family + "[0-9]{3}");
  for (std::sregex_iterator at(text.begin(), text.end(), code), end; at != end; ++at) out.insert(at->str());
  return out;
}

std::set<std::string> codes_of_sources(const std::string& family) {
  std::set<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(DOMICILE_ROOT) / "src"))
    if (entry.path().extension() == ".cpp" && !entry.path().stem().string().ends_with("_test"))
      out.merge(codes_in(read_file(entry.path()).value(), family));
  return out;
}

TEST(Codes, AreInTheReferenceAndOnlyThey) {
  const struct { const char *family, *page; } pages[] = {{"DOM-P", "readiness.md"}, {"DOM-T", "tenants.md"}};
  for (const auto& [family, page] : pages) {
    auto text = read_file(fs::path(DOMICILE_ROOT) / "docs/reference" / page).value();
    auto told = codes_in(text, family);
    // "DOM-P030 to DOM-P033" stands for those between as well.
    const std::regex range(std::string(family) + "([0-9]{3}) to " + family + "([0-9]{3})");
    for (std::sregex_iterator at(text.begin(), text.end(), range), end; at != end; ++at)
      for (int code = std::stoi((*at)[1]); code <= std::stoi((*at)[2]); ++code)
        told.insert(fmt::format("{}{:03}", family, code));
    EXPECT_EQ(codes_of_sources(family), told) << page;
  }
}

}  // namespace
}  // namespace domicile
