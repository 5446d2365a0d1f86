// The drills themselves: faults and switches done on purpose to a running lab while clients write.
#pragma once
#include <memory>

#include "base/temp_dir.hpp"
#include "drill/field.hpp"

namespace domicile::drill {

using Talk = std::function<void(const std::string&)>;  // what is being done, for people

struct DrillSpec {
  std::string residency;
  std::size_t clients = 20;  // each a tenant of its own
  double per_s = 500;
  Micros before = 3 * kSecond, after = 3 * kSecond;  // steady traffic around the switch
  Micros patience = 40 * kSecond;                    // for service to come up, to switch, to come back
  fs::path program;                                  // the domicile binary, for clients inside a region
};

// Waits until every client's writes are acknowledged promptly for a second; those writes are no drill's.
Result<void> warm_up(const LoadSpec& load, Micros patience);
Result<LoadSpec> load_for(const Field& field, const DrillSpec& spec);

// Clients that share a region's fate, as a process inside its network; ended with this object.
class Inside {
 public:
  static Result<std::unique_ptr<Inside>> start(const Field& field, const fs::path& program, const std::string& region,
                                               const LoadSpec& load);
  Result<std::vector<Write>> stop();

 private:
  Inside() = default;
  fs::path result() const { return folder_.path() / "writes.txt"; }
  TempDir folder_;
  std::unique_ptr<Process> process_;
};

// `kind`: kill, pause, or cut from every other site and from the clients outside.
Result<void> strike(const Field& field, const std::string& kind, const std::string& region);
Result<void> end_fault(const Field& field, const std::string& kind, const std::string& region);
// Until every copy in the region follows its owner again: what only that region had is kept there by then.
Result<void> await_return(const Field& field, const std::string& region, Micros patience);

// A drill that broke off is a run that did not hold, not a report that is missing.
RunResult run_of(Result<RunResult> result);
// Orders the switch, waits until `to` serves, reads every marker back there. What goes wrong once clients write is the
// run's trouble, beside what they saw until then; an error comes from before that.
Result<RunResult> planned_switch(const Field& field, const DrillSpec& spec, const std::string& to, const Talk& talk);
// Loses the owner of the residency: kill, pause, or cut with half of the clients inside.
Result<RunResult> region_loss(const Field& field, const DrillSpec& spec, const std::string& kind, const Talk& talk);

// The region where the residency is to be switched next: its first standby, or home when it is away.
Result<std::string> other_owner(const Field& field, const std::string& residency);
// Who owns it now, asked of any agent that answers, other than `not_of`'s.
Result<Authority> owner_of(const Field& field, const std::string& residency, const std::string& not_of = {});

}  // namespace domicile::drill
