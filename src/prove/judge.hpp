// What the outcome of an attempt is worth. Pure.
#pragma once
#include "base/json.hpp"
#include "prove/attempt.hpp"

namespace domicile::prove {

enum class Verdict {
  refused,  // by a rule that is there for it
  lawful,   // nobody refused it, and what it came to may lie there, by a rule that is there for it
  passed,   // it went through, or its answer held the canary
  unknown,  // something else happened: it shows nothing, and so it does not hold
};
std::string_view name_of(Verdict verdict);
inline bool holds(Verdict verdict) { return verdict == Verdict::refused || verdict == Verdict::lawful; }

struct Judged {
  std::string id;
  Layer layer = Layer::gateway;
  std::string what;
  Verdict verdict = Verdict::unknown;
  std::string rule, denial_id;
  std::string why;          // why it does not hold
  std::uint64_t bytes = 0;  // of the canary, in what came back; as often as it is found in one form or another
  bool operator==(const Judged&) const = default;
};

// Whatever it says of itself, an answer that holds the canary, in any encoding that the census undoes, has passed.
Judged judge(const Attempt& attempt, const Outcome& outcome, const census::Canary& canary);

Json json_of(const Judged& judged);
Result<Judged> judged_of(const Json& json);

}  // namespace domicile::prove
