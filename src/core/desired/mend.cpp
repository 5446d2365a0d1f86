#include "core/desired/mend.hpp"

namespace domicile::desired {

Mend mend_of(const Plan& plan, const std::set<std::string>& tried) {
  Mend out;
  for (const auto& step : plan.steps) {
    if (by_agent(step.act)) continue;
    const bool agents =
        step.act == Act::create_publication || step.act == Act::change_publication || step.act == Act::guard_table;
    (agents && !tried.contains(step.sentence) ? out.now : out.report).push_back(step);
  }
  return out;
}

std::vector<Finding> drift_of(const std::vector<Finding>& findings) {
  std::vector<Finding> out;
  for (const auto& finding : findings)
    if (finding.refuses && finding.code != "DOM-P006") out.push_back(finding);
  return out;
}

std::vector<Finding> warnings_of(const std::vector<Finding>& findings) {
  std::vector<Finding> out;
  for (const auto& finding : findings)
    if (finding.code == "DOM-P018" || finding.code == "DOM-P019") out.push_back(finding);
  return out;
}

}  // namespace domicile::desired
