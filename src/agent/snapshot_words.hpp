// The gateway's words for what topology and records say; its snapshots know neither.
#pragma once
#include "core/authority/record.hpp"
#include "core/snapshot/view.hpp"
#include "core/topology/topology.hpp"

namespace domicile::agent {

snapshot::Form form_of(topology::Form form);
snapshot::Mode mode_of(authority::Mode mode);

}  // namespace domicile::agent
