// Holds the database here against the desired state, its schema and copies against the owners': mends what an agent may
// mend, and tells the rest. What it does is the plan of core/desired, the same that `domicile plan` prints.
#pragma once
#include <stop_token>

#include "agent/beat_loop.hpp"
#include "agent/boards.hpp"
#include "agent/events.hpp"
#include "agent/peers.hpp"
#include "core/desired/mend.hpp"
#include "engines/postgres/apply.hpp"
#include "engines/postgres/store/store.hpp"

namespace domicile::agent {

struct DriftSetup {
  std::string region;
  Micros period = 5 * kSecond;
  const topology::Topology* topology = nullptr;
  postgres::StoreSettings store;
  replication::StoreFactory make_store;
  const SiteDisk* disk = nullptr;
  Peers* peers = nullptr;
  std::map<std::string, const Published<ResidencySeen>*> residencies;
  Events* events = nullptr;
  Log log{2, Log::Format::text, Level::info, ""};
};

class DriftLoop {
 public:
  DriftLoop(DriftSetup setup, Published<DriftSeen>& board);
  void run(const std::stop_token& stop);
  const LoopLife& life() const { return life_; }

 private:
  desired::Context context() const;
  Result<std::vector<Drift>> look();
  void mend(postgres::Connection& connection, const std::vector<desired::Step>& steps);
  void compare_copies();
  void compare_schema(const std::string& residency, const std::string& source);
  void prove_copy(const std::string& residency, const std::string& source);
  Result<std::vector<Drift>> lost_links();

  DriftSetup setup_;
  LoopLife life_;
  Published<DriftSeen>& board_;
  DriftSeen last_;
  std::optional<postgres::Connection> connection_;
  std::unique_ptr<replication::Store> store_;
  std::set<std::string> tried_;
  std::map<std::string, std::string> unproven_;  // by residency: why its copy could not be compared, last time
};

}  // namespace domicile::agent
