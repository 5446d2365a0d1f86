// Looks after the copies here: how far they are, and the reverse slots of what this region may own and does not.
#pragma once
#include <stop_token>

#include "agent/beat_loop.hpp"
#include "agent/boards.hpp"
#include "core/topology/topology.hpp"

namespace domicile::agent {

struct LinkSetup {
  std::string region;
  const topology::Topology* topology = nullptr;
  // A session that advances slots forgets all that it has planned each time, so the looks have another.
  std::unique_ptr<replication::Store> store, slots;
  const SiteDisk* disk = nullptr;
  const Published<QuorumSeen>* quorum = nullptr;
  std::map<std::string, const Published<ResidencySeen>*> residencies;
  const Published<DriftSeen>* drift = nullptr;
  Log log{2, Log::Format::text, Level::info, ""};
};

class LinkLoop {
 public:
  LinkLoop(LinkSetup setup, Published<CopiesSeen>& board);
  void run(const std::stop_token& stop);
  const LoopLife& life() const { return life_; }

 private:
  void look_at(const topology::Residency& residency);
  void keep_slots(const topology::Residency& residency);
  void trouble(const std::string& residency, const char* doing, const Error& error);

  LinkSetup setup_;
  LoopLife life_;
  Published<CopiesSeen>& board_;
  CopiesSeen last_;
  std::map<std::string, std::string> troubles_;
};

// Lag of a copy: the owner's last committed marker as its last beat names it, minus the last one applied here: one
// clock, and it does not grow when the owner's database has died. Unknown unless everything is known to be good, and
// what the quorum said (`seen_age` ago) is no older than a lease: whoever is cut off sees an owner that stands still.
std::optional<Micros> lag_of(const replication::CopyHealth& health, const std::optional<authority::Marker>& committed,
                             Micros seen_age, Micros life);

}  // namespace domicile::agent
