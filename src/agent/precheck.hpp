// Asks what the core's precheck of a planned switch judges: the target's agent, both schemas, who writes here.
#pragma once
#include "agent/peers.hpp"
#include "core/authority/precheck.hpp"
#include "core/replication/store.hpp"

namespace domicile::agent {

struct PrecheckSetup {
  std::string region;
  Peers* peers = nullptr;
  replication::StoreFactory make_store;
};

// The copy of `residency` at `site`, as its agent tells it just now; no schema is compared.
authority::TargetCopy ask_copy(Peers& peers, const std::string& site, const std::string& residency);

// At the owner. Asks again for up to `patience` while something stands against it: right after another switch a copy
// needs a moment until its lag is known.
Result<std::vector<std::string>> precheck_switch(const PrecheckSetup& setup, const authority::Rules& rules,
                                                 const authority::Record& record, const std::string& to, bool terminate,
                                                 Micros patience);

}  // namespace domicile::agent
