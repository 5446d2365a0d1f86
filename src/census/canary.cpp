#include "census/canary.hpp"

#include <sys/random.h>

#include "base/file.hpp"
#include "census/plant.hpp"

namespace domicile::census {

namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

// Only the groups of three bytes that lie wholly inside: their text does not depend on what stands around them.
std::string base64_inside(const std::string& value, std::size_t skip) {
  return to_base64(std::string_view(value).substr(skip, (value.size() - skip) / 3 * 3));
}

}  // namespace

Result<Canary> make_canary(std::string id) {
  Canary canary{std::move(id), {}};
  while (canary.value.size() < kCanaryLength) {
    unsigned char random = 0;
    if (getrandom(&random, 1, 0) != 1) return tl::unexpected<Error>(errno_error("no random numbers for a canary"));
    if (random >= 252) continue;  // 252 = 7 * 36: every character is as likely as any other
    canary.value += kLetters[random % kLetters.size()];
  }
  return canary;
}

std::vector<Needle> needles(const std::vector<Canary>& canaries) {
  std::vector<Needle> out;
  for (std::size_t i = 0; i < canaries.size(); ++i) {
    const std::string& value = canaries[i].value;
    std::string utf16 = to_utf16(value, false);
    utf16.pop_back();  // the last character's zero: without it both byte orders are the same text
    out.push_back({value, i, "raw"});
    out.push_back({upper(value), i, "raw-upper"});
    for (std::size_t skip = 0; skip < 3; ++skip) out.push_back({base64_inside(value, skip), i, "base64"});
    out.push_back({to_hex(value), i, "hex"});
    out.push_back({upper(to_hex(value)), i, "hex-upper"});
    out.push_back({utf16, i, "utf16"});
    out.push_back({to_url(value, "0123456789abcdef"), i, "url"});
    out.push_back({to_url(value, "0123456789ABCDEF"), i, "url-upper"});
    out.push_back({to_json(value, "0123456789abcdef"), i, "json"});
    out.push_back({to_json(value, "0123456789ABCDEF"), i, "json-upper"});
  }
  return out;
}

}  // namespace domicile::census
