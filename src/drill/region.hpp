// One region in the hands of a drill: struck, given back, asked, with clients inside it.
#pragma once
#include <memory>
#include <set>

#include "base/temp_dir.hpp"
#include "drill/field.hpp"

namespace domicile::drill {

using Sites = std::set<std::string>;

// Who owns it, asked of every agent but the silent ones', which would only be waited for.
Result<Authority> newest_owner(const Field& field, const std::string& residency, const Sites& silent);
// What is not as it should be of the copies in `region`; empty: each follows its owner.
std::string not_following(const Field& field, const std::string& region, const Sites& silent);

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

}  // namespace domicile::drill
