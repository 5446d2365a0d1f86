// Tenants as an operator hands them in: one line or a CSV file, checked before anything reaches a database.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace domicile::tenants {

struct Entry {
  std::string tenant;  // 1 to 64 of [A-Za-z0-9._-], not beginning with a dot or dash
  std::string residency;
  std::vector<std::string> hosts;  // lower case
  std::int64_t line = 0;           // of the file; 0: none
  bool operator==(const Entry&) const = default;
};

bool valid_tenant(std::string_view id);
// Lower case, checked by the rules of host names (labels of 1–63 of [a-z0-9-], no dash at an end, 253 in all, at least
// one dot, no address, no trailing dot). The error names what is wrong, never more of the input than 80 bytes.
Result<std::string> host_of(std::string_view text);

// Codes: DOM-T001 header, T002 fields, T003 tenant id, T004 residency unknown, T005 host name, T006 no host,
// T007 the tenant twice with two residencies, T008 a host for two tenants, T009 the same line twice, T010 quotes, T011
// too long. The directory's own checks go on: T020 host taken by another tenant, T021 another residency, T022 another
// host.
struct Problem {
  std::int64_t line;
  std::string code, cause;
};

// Reads `tenant,residency,hosts` (the header says the order; hosts divided by blanks; RFC 4180 quotes; LF or CRLF)
// piece by piece, so that a million lines need no second copy of the file.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::set<std::string>& residencies);
  // The next good line; empty at the end. Bad lines go to problems() and are skipped.
  std::optional<Entry> next();
  const std::vector<Problem>& problems() const { return problems_; }
  std::size_t offset() const { return position_; }  // bytes read, for a progress bar

 private:
  std::optional<std::vector<std::string>> record();
  void header();
  void problem(std::string code, std::string cause);
  std::string_view text_;
  const std::set<std::string>& residencies_;
  std::size_t position_ = 0;
  std::int64_t line_ = 0, next_line_ = 1;
  int tenant_ = -1, residency_ = -1, hosts_ = -1;
  std::size_t fields_ = 0;
  bool broken_ = false;
  std::vector<Problem> problems_;
};

// The whole file, with what contradicts itself inside it.
struct Checked {
  std::vector<Entry> entries;  // empty when there are problems
  std::vector<Problem> problems;
};
Checked check_csv(std::string_view text, const std::set<std::string>& residencies,
                  const std::function<void(std::size_t)>& progress = {});
// One tenant, from the command line.
Result<Entry> entry_of(std::string_view tenant, std::string_view residency, const std::vector<std::string>& hosts,
                       const std::set<std::string>& residencies);

Error to_error(const std::vector<Problem>& problems, std::string_view file);

}  // namespace domicile::tenants
