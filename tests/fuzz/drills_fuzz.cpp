// Any bytes: as a drill's file a plan or problems, and a plan can be explained and undoes what it does; as a raw log a
// log that can be judged, or `corrupt`.
#include <cstdint>
#include <cstdlib>

#include "core/drills/parse.hpp"
#include "drill/raw_log.hpp"

using namespace domicile;

namespace {

void demand(bool holds) {
  if (!holds) std::abort();
}

void look_at_plan(const std::string& text) {
  const auto plan = drills::parse(text, "fuzz");
  if (!plan) {
    demand(!plan.error().empty());
    for (const auto& problem : plan.error()) demand(problem.line > 0 && !problem.code.empty() && !problem.fix.empty());
    return;
  }
  bool open = false;
  for (const auto& step : plan->steps)
    open = step.act == drills::Act::undo ? false : open || drills::kind_of(step.act).fault;
  demand(!open);
  const drills::Scene scene{plan->residency, "a", "a", "b", {"a", "b", "c"}, {"c"}};
  demand(!drills::explain(*plan, scene).empty());
}

void look_at_log(const std::string& text) {
  const auto log = drill::raw_log_of(text);
  if (!log) return demand(log.error().kind == Kind::corrupt);
  const auto report = drill::json_of(drill::judge(log->subject, log->runs));
  demand(drill::disagreements(report, *log).empty());
  demand(drill::raw_log_of(drill::raw_log(log->subject, log->runs)).has_value());
}

}  // namespace

// The first byte says which of the two it is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'l')
    look_at_log(text);
  else
    look_at_plan(text);
  return 0;
}
