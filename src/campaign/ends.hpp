// When all is quiet again: what the last owners have, what is kept as salvage, what is named as lost.
#pragma once
#include "campaign/recorder.hpp"
#include "drill/drills.hpp"

namespace domicile::campaign {

// Waits until every region's agent says the same of every residency: served, its copy an owner's or following. What was
// written by a lost owner is kept by then.
Result<void> await_settled(const drill::Field& field, Micros patience);

// Reads the ledger at the owner of each of `residencies`, and every region's salvage, into the history.
Result<void> record_ends(const drill::Field& field, const std::vector<std::string>& residencies, Recorder& recorder);

}  // namespace domicile::campaign
