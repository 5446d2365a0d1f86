// From a change of a residency's record until nginx obeys it, in a lab of three regions, 45 ms apart, over the three
// changes of planned switches there and back.
#pragma once
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"

namespace domicile::bench {

struct AuthorityTimes {
  // Until every worker of the author's region obeys, from the quorum's answer: before it the region cannot know.
  std::vector<double> local_ms;
  // Until every worker of all regions obeys, from before the quorum was asked: the change was committed later than
  // that.
  std::vector<double> everywhere_ms;
};

// `domicile`: the program that brings the lab up and down.
Result<AuthorityTimes> authority_times(const fs::path& domicile);

}  // namespace domicile::bench
