// What the topology lets happen without a person once a lost home has come back: salvaged inserts are written at the
// owner, and the residency goes home.
#pragma once
#include <stop_token>

#include "agent/loop_life.hpp"
#include "agent/salvage_calls.hpp"
#include "agent/switch_order.hpp"
#include "core/authority/homeward.hpp"

namespace domicile::agent {

struct ReturnSetup {
  std::string region;
  std::shared_ptr<const topology::Topology> topology;
  std::map<std::string, ResidencyLoop*> residencies;
  const SalvageCalls* salvage = nullptr;
  PrecheckSetup precheck;
  Log log{2, Log::Format::text, Level::info, ""};
};

class ReturnLoop {
 public:
  ReturnLoop(ReturnSetup setup, Published<std::map<std::string, std::string>>& board)
      : setup_(std::move(setup)), board_(board) {}
  void run(const std::stop_token& stop);
  const LoopLife& life() const { return life_; }

 private:
  void reapply(const topology::Residency& residency);
  void tend_home(ResidencyLoop& loop);
  authority::HomeSeen look_home(const authority::Rules& rules) const;
  void go_home(ResidencyLoop& loop);
  void trouble(const std::string& residency, const char* doing, const Error& error);

  ReturnSetup setup_;
  LoopLife life_;
  Published<std::map<std::string, std::string>>& board_;       // by residency: how the way home stands
  std::map<std::string, Micros> fit_since_;                    // by residency
  std::map<std::string, std::set<authority::Epoch>> offered_;  // by residency: whose salvage the owner was offered
  std::map<std::string, std::string> troubles_;
};

}  // namespace domicile::agent
