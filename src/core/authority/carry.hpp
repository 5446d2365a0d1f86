// What an agent that has just started may go on saying about the time before its start. Pure.
#pragma once
#include "core/authority/quorum.hpp"

namespace domicile::authority {

// A process that starts beside a dead database has committed no marker, and without one the standbys do not know how
// far they are. What its predecessor named in its last beat (`named`) is still true: those markers were committed. They
// are a lower bound of the last ones: the predecessor may have committed more after that beat, exactly as an owner may
// that dies with its agent, so a lag made of them means no less than one made of a dead region's last beat. They end
// with the next marker that this process commits.
//
// Carried are only markers of the last epoch that anybody opened, and only where `region` opened it: whoever opened a
// later one began another history, and this one's markers measure nothing any more.
std::map<std::string, Marker> carried_markers(const std::map<std::string, Marker>& named, const View& view,
                                              const std::string& region);

}  // namespace domicile::authority
