#include "prove/judge.hpp"

#include <algorithm>
#include <array>

#include "census/scan.hpp"

namespace domicile::prove {
namespace {

constexpr std::array<std::string_view, 4> kVerdicts = {"refused", "lawful", "passed", "unknown"};

std::uint64_t bytes_of(const census::Canary& canary, const std::string& text) {
  const census::Searcher searcher(census::needles({canary}));
  census::Findings findings;
  census::scan_bytes(text, searcher, {}, findings);
  std::uint64_t count = 0;
  for (const auto& [where, first] : findings.hits) count += first.count;
  return count * census::kCanaryLength;
}

// The canary is never told, not even where an error quotes it.
std::string without(const census::Canary& canary, std::string text) {
  for (auto at = text.find(canary.value); at != std::string::npos; at = text.find(canary.value))
    text.replace(at, canary.value.size(), "(canary)");
  return text;
}

}  // namespace

std::string_view name_of(Verdict verdict) { return kVerdicts[static_cast<std::size_t>(verdict)]; }

Judged judge(const Attempt& attempt, const Outcome& outcome, const census::Canary& canary) {
  Judged out{attempt.id,
             attempt.layer,
             attempt.what,
             outcome.lawful ? Verdict::lawful : Verdict::refused,
             without(canary, outcome.rule),
             outcome.denial_id,
             {},
             bytes_of(canary, outcome.seen)};
  const auto otherwise = [&](Verdict verdict, std::string why) {
    out.verdict = verdict;
    out.why = without(canary, std::move(why));
    return out;
  };
  if (out.bytes > 0) return otherwise(Verdict::passed, "the answer holds the canary");
  if (!outcome.trouble.empty()) return otherwise(Verdict::unknown, outcome.trouble);
  if (!outcome.refused && !outcome.lawful) return otherwise(Verdict::passed, "nothing refused it");
  if (std::ranges::find(attempt.rules, outcome.rule) == attempt.rules.end())
    return otherwise(Verdict::unknown,
                     fmt::format("{} by '{}', which is not a rule that is there for it", name_of(out.verdict),
                                 outcome.rule.empty() ? "nothing with a name" : outcome.rule));
  return out;
}

Json json_of(const Judged& judged) {
  return {{"id", judged.id},     {"layer", name_of(judged.layer)},
          {"what", judged.what}, {"verdict", name_of(judged.verdict)},
          {"rule", judged.rule}, {"denial", judged.denial_id},
          {"why", judged.why},   {"bytes", judged.bytes}};
}

Result<Judged> judged_of(const Json& json) {
  Judged out;
  out.id = TRY(member<std::string>(json, "id"));
  const auto layer = layer_of(TRY(member<std::string>(json, "layer")));
  const auto verdict = std::ranges::find(kVerdicts, TRY(member<std::string>(json, "verdict")));
  if (!layer || verdict == kVerdicts.end()) return fail(Kind::corrupt, "no judgement: " + out.id);
  out.layer = *layer;
  out.verdict = static_cast<Verdict>(verdict - kVerdicts.begin());
  out.what = TRY(member<std::string>(json, "what"));
  out.rule = TRY(member<std::string>(json, "rule"));
  out.denial_id = TRY(member<std::string>(json, "denial"));
  out.why = TRY(member<std::string>(json, "why"));
  out.bytes = TRY(member<std::uint64_t>(json, "bytes"));
  return out;
}

}  // namespace domicile::prove
