// Before a planned switch drains anything: would it end well? Pure. Everything that stands against it is told at once.
#pragma once
#include "core/authority/copy.hpp"
#include "core/authority/decision.hpp"

namespace domicile::authority {

// A session with an open transaction that has written tenant rows; the fence waits for it. Never its query.
struct Holder {
  int pid = 0;
  Micros age = 0;  // of its transaction
  std::string role;
  bool operator==(const Holder&) const = default;
};
std::string text_of(const Holder& holder);                // pid 4711 (shop, 42.0 s)
std::string text_of(const std::vector<Holder>& holders);  // the same, with commas

// The target's copy as its own agent tells it just now.
struct TargetCopy {
  std::string unknown = {};  // why nothing is known; empty: the rest holds
  Copy copy;
  bool complete = false;     // every mapped table's first rows are journaled
  std::string trouble = {};  // of its inbound link
  std::optional<Micros> lag = {};
  std::string schema_differs = {};  // first table that is another one there; empty: they agree, or it is not known
  std::int64_t salvage_open = 0;    // salvaged rows that it keeps and nobody has decided about
};

struct PrecheckQuestion {
  const Rules& rules;
  const Record& record;
  std::string to;
  TargetCopy target;
  std::vector<Holder> holders;  // of long transactions at the owner
  bool terminate = false;       // a person wants them ended
};

// What a person should know though the switch may go ahead. Errors: `unsafe`, with every reason: DOM-E204 when only
// positions stand against it, DOM-E205 when the schemas differ.
Result<std::vector<std::string>> precheck(const PrecheckQuestion& question);

}  // namespace domicile::authority
