// The rules for names, declared once: what the parser checks and what the JSON Schema says to editors.
#pragma once
#include <array>
#include <string>
#include <string_view>

namespace domicile::topology {

struct NameRule {
  std::string_view first, rest;  // characters as in a regular expression's class: "a-z_"
  std::size_t most;              // bytes
  bool dashes = false;           // single '-' between others
};

inline constexpr NameRule kSiteRule{"a-z", "a-z0-9", 32, true};
inline constexpr NameRule kJurisdictionRule{"A-Z", "A-Z0-9", 16, true};
inline constexpr NameRule kIdentifierRule{"a-z_", "a-z0-9_", 63};  // what PostgreSQL keeps without quotes

// `by`, `reason` and `until` stand beside residencies in `accept`; `salvage` would name a link like a publication that
// is none.
inline constexpr std::array<std::string_view, 4> kReservedResidencies{"by", "reason", "until", "salvage"};
// Schemas in which no tenants' table lies.
inline constexpr std::array<std::string_view, 3> kOwnSchemas{"domicile", "pg_catalog", "information_schema"};

bool follows(const NameRule& rule, std::string_view text);
// The same rule without its length, as an ECMAScript expression for the whole text, without ^ and $.
std::string pattern_of(const NameRule& rule);

}  // namespace domicile::topology
