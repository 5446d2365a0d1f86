// The values that the agent's loops publish for each other. See each loop for who writes what.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>

#include "agent/gate_client.hpp"
#include "agent/published.hpp"
#include "agent/site_disk.hpp"
#include "core/authority/copy.hpp"
#include "core/authority/decision.hpp"
#include "core/desired/seen.hpp"
#include "core/moves/move.hpp"
#include "core/replication/store.hpp"
#include "core/snapshot/compile.hpp"

namespace domicile::agent {

// Written by the marker loop.
struct MarkersSeen {
  std::map<std::string, authority::Marker> last;  // last committed here, by owned residency
  std::map<std::string, Micros> committed_at;     // monotonic, of the last success
  Micros pulse_at = 0;                            // monotonic: the database last committed anything for us
  // What the database itself would let through, by residency, with its own clock; empty: it did not answer.
  std::map<std::string, replication::GuardState> guards;
  std::optional<replication::StoreClock> guard_clock;
  std::string trouble;
};

// Written by the link loop: the inbound copy of each residency that this region does not own.
struct CopySeen {
  std::string source;  // whom it followed when it was looked at
  replication::CopyHealth health;
  std::optional<Micros> lag;  // empty: unknown
};
using CopiesSeen = std::map<std::string, CopySeen>;

// Something here is not as it should be, and no agent may mend it.
struct Drift {
  std::string object, what, fix;
  bool operator==(const Drift&) const = default;
};

// Written by the drift loop.
struct DriftSeen {
  Micros at = 0;               // monotonic, of the last whole look; 0: never
  std::vector<Drift> drift;    // as of the last look
  std::vector<Drift> warned;   // as of the last look: nothing is wrong yet
  std::vector<Drift> lasting;  // what was mended and may have left something behind; until the agent ends
  std::map<std::string, std::string> schema_differs;  // by residency: first table that is another one at the owner
  std::string trouble;                                // of the last look
  // How links look in the database itself, as of the last look.
  std::map<std::string, desired::SeenPublication> publications;
  std::map<std::string, desired::SeenSubscription> subscriptions;
  std::set<std::string> slots;
  std::map<std::pair<std::string, authority::Epoch>, std::int64_t> salvage;  // open rows, by residency and epoch
};

// Written by each residency's loop.
struct ResidencySeen {
  std::optional<authority::Stored<authority::Record>> record;  // the freshest that is known
  authority::Copy copy;
  std::string act, why;          // what this region does about it, and why
  authority::Proposal proposal;  // waits for a person's yes; without an id: none
  std::optional<Glass> glass;    // opened here without a quorum
  std::string distrusted;        // why the quorum is not believed; empty: it is
  bool owner_expired = false;    // the owner's life is over for this observer
  bool operator==(const ResidencySeen&) const = default;
};

// Written by the standby loop, of a residency with rpo 0 that is owned here or about to be.
struct StandbySeen {
  authority::Epoch epoch = 0;  // of the record that it was seen under
  authority::Cover cover;
  bool ready = false;        // what is committed from now on waits for whom it must; or need not wait
  std::string waits_for;     // regions, by comma
  std::string why;           // one sentence
  std::string stuck;         // why writes wait and are not acknowledged; empty: they are
  std::int64_t waiting = 0;  // commits in this database that wait just now
  bool operator==(const StandbySeen&) const = default;
};
using StandbysSeen = std::map<std::string, StandbySeen>;

// Written by the gate loop.
struct GateSeen {
  Micros at = 0;  // monotonic, of the last answer; 0: it never answered
  std::vector<GateLinkSeen> links;
  std::string policy;              // the hash of what it judges by; empty: not told
  Json transfers = Json::array();  // the register's pages
  std::string trouble;             // why it did not answer just now
};

// Written by the move loop: the tenants that move.
struct MovesSeen {
  std::vector<snapshot::MoveRow> rows;  // as authority.snap must tell the gateway
  std::string version;                  // of what `rows` were made from; empty: nobody has looked yet
  std::vector<moves::Move> live = {};
};

// Written by the tenants loop.
struct TenantsSeen {
  std::string version;           // of the directory in the last tenants.snap; empty: none was written
  std::uint64_t generation = 0;  // of that file
};

// Written by the gateway loop: what the last authority.snap was made from.
struct GatewaySeen {
  std::uint64_t generation = 0;
  std::map<std::string, std::string> record_texts;  // by residency: the record of its line
  std::string moves_version;                        // of MovesSeen; empty: not made from any
  std::string trouble;
};

}  // namespace domicile::agent
