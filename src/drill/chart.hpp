// A drill as a picture: what clients saw, and the phases of the switch, over one time axis.
#pragma once
#include "drill/report.hpp"

namespace domicile::drill {

// SVG of the first run of `runs`; the figures below it are of all. Needs no font or file beside it.
std::string chart_svg(const Report& report, const std::vector<RunResult>& runs);

}  // namespace domicile::drill
