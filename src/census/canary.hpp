// A canary: a value that exists nowhere else, put into a personal column to see where it turns up.
#pragma once
#include <string>
#include <vector>

#include "base/result.hpp"

namespace domicile::census {

inline constexpr std::size_t kCanaryLength = 30;  // of 36 characters: 155 bits
// Shorter needles are not searched for: whatever is longer than this is found.
inline constexpr std::size_t kShortestNeedle = kCanaryLength;

// Small letters and digits only: it fits a name, the local part of an e-mail address, a URL and a JSON string without
// being escaped, and no locale changes it. The value is for planting alone: reports carry the id.
struct Canary {
  std::string id;
  std::string value;
  std::string email() const { return value + "@canary.invalid"; }
};

// From the kernel's random numbers; `unavailable` when it has none.
Result<Canary> make_canary(std::string id);

// One text that says: this canary was here.
struct Needle {
  std::string bytes;
  std::size_t canary = 0;  // index into the list of canaries
  std::string form;        // raw, raw-upper, base64, hex, hex-upper, utf16, url, url-upper, json, json-upper
};

// All forms in which a canary may stand without a decoder's help. For small letters and digits several coincide: the
// two alphabets of base64 (62 and 63 never occur), `\x…` of bytea and hex, an address that is URL- or JSON-escaped as
// it has to be and the address itself, and both byte orders of UTF-16 but for a zero at the border.
std::vector<Needle> needles(const std::vector<Canary>& canaries);

}  // namespace domicile::census
