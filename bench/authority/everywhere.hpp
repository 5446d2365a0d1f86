// From a change of a residency's record until every nginx worker of all regions obeys it: in a lab of three regions, 45
// ms apart, over the three changes of planned switches there and back. A change counts from the moment at which the
// quorum's answer has told its author.
#pragma once
#include "base/file.hpp"
#include "base/result.hpp"

namespace domicile::bench {

// `domicile`: the program that brings the lab up and down.
Result<double> everywhere_ms_p99(const fs::path& domicile);

}  // namespace domicile::bench
