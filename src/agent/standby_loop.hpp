// Makes commits wait for standbys where a residency has rpo 0 and is owned here, and finds out when a standby has
// everything. What it does is core/authority/standby.hpp's word; the record is the residency loop's.
#pragma once
#include <stop_token>

#include "agent/boards.hpp"
#include "agent/events.hpp"
#include "agent/loop_life.hpp"
#include "core/authority/standby.hpp"
#include "core/replication/standbys.hpp"
#include "core/topology/topology.hpp"

namespace domicile::agent {

struct StandbySetup {
  std::string region;
  const topology::Topology* topology = nullptr;
  Micros grace = 5 * kSecond;  // after which a standby that confirms nothing counts as gone
  std::unique_ptr<replication::Standbys> standbys;
  std::map<std::string, authority::Rules> rules;  // by residency
  std::map<std::string, const Published<ResidencySeen>*> residencies;
  Events* events = nullptr;
  Log log{2, Log::Format::text, Level::info, ""};
};

class StandbyLoop {
 public:
  StandbyLoop(StandbySetup setup, Published<StandbysSeen>& board, Bell& readers)
      : setup_(std::move(setup)), board_(board), bell_(readers) {}
  void run(const std::stop_token& stop);
  const LoopLife& life() const { return life_; }

 private:
  struct Progress {
    std::uint64_t confirmed = 0;
    Micros at = 0;  // monotonic: when it last grew; 0: it never did
  };
  struct Plan {
    std::optional<authority::Stored<authority::Record>> record;
    authority::StandbyPlan plan;
    std::string named;  // by the record
  };
  using Plans = std::map<std::string, Plan>;
  bool concerned() const;
  Result<void> pass();
  void watch(const replication::StandbysLook& look);
  bool confirms(const std::string& residency, const std::string& region, Micros within) const;
  bool gone(const std::string& residency, const std::string& region) const;
  Plans plans() const;
  Result<void> residencies_wait(const Plans& plans, const replication::StandbysLook& look);
  Result<void> commits_wait(const Plans& plans, const replication::StandbysLook& look);
  Result<void> release(const std::vector<std::string>& wanted, const replication::StandbysLook& look, bool given_up);
  void prove(const Plans& plans, const replication::StandbysLook& look);
  void publish(const Plans& plans, const replication::StandbysLook& look);
  std::string link(const std::string& residency, const std::string& to) const;
  std::vector<std::string> links(const std::string& residency) const;  // to whoever may own it

  StandbySetup setup_;
  LoopLife life_;
  const Micros begun_at_ = monotonic_now();  // what nobody has looked at yet has its time, too
  Published<StandbysSeen>& board_;
  Bell& bell_;
  StandbysSeen last_;
  std::map<std::string, Progress> progress_;  // by link
  std::vector<std::string> obeyed_;           // the list of which this process knows that all obey it
  bool others_asked_ = false;                 // once a process: what still waits then does so by the operator's word
  struct Since {
    std::string moment;                    // of the store's clock, behind the last change
    std::optional<std::uint64_t> written;  // once nothing older can commit: what had been written by then
  };
  std::map<std::string, Since> since_;  // by residency whose commits wait
  std::string closing_;                 // the moment at which a residency was seen to be nobody's here any more
  std::string trouble_;
};

}  // namespace domicile::agent
