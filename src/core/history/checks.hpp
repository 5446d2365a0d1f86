// Whether a history can be that of a platform which keeps its word, rule by rule. Pure. docs/history.md says what each
// rule means, and what an operation without a known outcome may and may not have done.
#pragma once
#include <optional>

#include "base/json.hpp"
#include "core/history/history.hpp"

namespace domicile::history {

enum class Rule {
  linearizable,  // registers: one order explains what everybody saw in an epoch
  prefix,        // lists: what is seen in an epoch only grows at its end
  duplicate,     // lists: nothing stands there twice
  gap,           // lists: who sees an append sees every one of its epoch that was acknowledged before it began
  stale,         // lists: a read sees what its epoch had acknowledged before it began
  reappeared,    // lists: what a takeover left behind does not come back by itself
  sum,           // banks: transfers move money and make none
  phantom,       // nothing is seen that nobody wrote, that surely was not written, or that was written later
  lost,          // what was acknowledged is readable in the end, or kept as salvage, or named as lost
  two_owners,    // an epoch has one owner
  epoch_back,    // epochs grow
  forbidden,     // personal values lie nowhere where they may not
};
std::string_view name_of(Rule rule);

struct Anomaly {
  Rule rule = Rule::linearizable;
  std::string residency, key;
  std::int64_t epoch = 0;  // 0: of none
  std::string why;
};

struct Verdict {
  std::size_t operations = 0, faults = 0;
  std::size_t acknowledged = 0, refused = 0, unknown = 0;  // of clients' writes
  std::size_t salvaged = 0, named_lost = 0;                // acknowledged, and in the end not readable
  std::size_t reads = 0;                                   // answered ones
  std::size_t epochs = 0;                                  // in which clients were served, of all residencies
  bool judged_at_end = false;                              // the history tells what was found when all was quiet again
  std::optional<std::int64_t> forbidden_bytes;             // empty: nobody looked
  std::vector<Anomaly> anomalies;
  std::vector<std::string> undecided;  // keys of registers for which no order was found and none excluded

  // Acknowledged, and neither readable nor salvaged, named or not.
  std::size_t lost() const;
  // No anomaly, nothing undecided, and it was looked at to the end.
  bool held() const;
};

// `corrupt`: it is no history (see calls_of), or a value is written twice.
Result<Verdict> judge(const std::vector<Operation>& operations);

Json json_of(const Verdict& verdict);  // one object; its first members are operations … forbidden_bytes

}  // namespace domicile::history
