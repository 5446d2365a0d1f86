// The JSON bodies of the control API's requests, as values. Pure: text in, a value or `invalid_input` out. Members that
// are not known are ignored.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/site_disk.hpp"
#include "base/json.hpp"

namespace domicile::agent {

// Whatever is wrong with a question is the asker's mistake.
template <class T>
Result<T> asked(Result<T> part) {
  if (!part) part.error().kind = Kind::invalid_input;
  return part;
}

// POST /v1/look. Empty members: look, whatever has changed.
struct HintBody {
  std::string residency, record;
};

// POST /v1/switch
struct SwitchBody {
  std::string residency, to, reason;
  std::string by;  // empty: whoever calls
  bool terminate = false;
  bool operator==(const SwitchBody&) const = default;
};
Json json_of(const SwitchBody& body);  // as it is passed on to the owner

// POST /v1/approve
struct ApprovalBody {
  std::string proposal, reason;
};

// POST /v1/quorum/adopt; an owner only with a residency.
struct AdoptBody {
  std::string reason, residency, owner;
};

// POST /v1/break-glass
struct GlassBody {
  std::string residency, by, reason;
  std::map<std::string, std::string> attest;  // no empty words
  bool dry_run = false;
};

// POST /v1/first-rows/RESIDENCY/rows and …/sums. `bits`, `parts`: see links/parts.hpp; all rows where they are missing.
struct RowsBody {
  std::string session, schema, name;
  std::vector<std::string> columns;
  int bits = 0;
  std::vector<std::uint32_t> parts = {0};
  int split = 0;  // sums: in 2^split finer parts of each
};

Result<KnownEpoch> epoch_body(std::string_view text);  // PUT /v1/epochs/RESIDENCY
Result<HintBody> hint_body(std::string_view text);
Result<SwitchBody> switch_body(std::string_view text);
Result<ApprovalBody> approval_body(std::string_view text);
Result<AdoptBody> adopt_body(std::string_view text);
Result<GlassBody> glass_body(std::string_view text);
Result<RowsBody> rows_body(std::string_view text);
Result<bool> repair_body(std::string_view text);          // POST /v1/first-rows/RESIDENCY: {repair}
Result<std::string> session_body(std::string_view text);  // POST /v1/first-rows/RESIDENCY/close

}  // namespace domicile::agent
