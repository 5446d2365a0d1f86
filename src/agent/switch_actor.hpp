// Does this region's half of a switch, step by step. Every step is journaled before it acts, is idempotent, and can be
// stopped or killed in a test at the stall points `drain.<step>` / `open.<step>` (before) and `….done` (after).
#pragma once
#include "agent/beat_loop.hpp"
#include "agent/boards.hpp"
#include "agent/events.hpp"
#include "agent/peers.hpp"
#include "core/authority/switch_steps.hpp"

namespace domicile::agent {

struct SwitchLimits {
  Micros hold = 500 * kMillisecond;  // until all gateways of the region hold and nothing is in flight
  Micros lock = 500 * kMillisecond;  // until writers that have begun are done
  Micros receivers = 2 * kSecond;    // until every live receiver has the fence
  Micros at_fence = 3 * kSecond;     // until the target's copy has it
  Micros standbys = 3 * kSecond;     // until commits of the new epoch wait for whom they must
  Micros persist = 2 * kSecond;      // until a majority of the sites has the epoch on its disk
};

struct SwitchSetup {
  std::string region, residency;
  authority::Timing timing;
  SwitchLimits limits;
  authority::Quorum* quorum = nullptr;  // used by the residency's thread only
  replication::Store* store = nullptr;
  SiteDisk* disk = nullptr;
  Peers* peers = nullptr;
  BeatLoop* beat = nullptr;
  const Published<GatewaySeen>* gateway = nullptr;
  std::optional<fs::path> gateway_directory;  // empty: this region has no gateway
  // Makes this region's gate let nothing of the residency out behind that place.
  std::function<Result<void>(const std::string& lsn)> stop_links;
  std::function<bool()> commits_wait;  // for whom they must, from the first one on
  Events* events = nullptr;
  StallPoints stall;
  std::function<void(const authority::Stored<authority::Record>&)> announce;  // makes a record known here at once
  std::function<std::string()> fresh_id;
};

// What became of it: the record as this region left it, when it changed it.
using SwitchResult = Result<std::optional<authority::Stored<authority::Record>>>;

class SwitchActor {
 public:
  explicit SwitchActor(SwitchSetup setup) : setup_(std::move(setup)) {}
  // The owner's half. On an error the caller rolls back. `terminate`: sessions that hold the fence past its timeout are
  // ended; else the error names them.
  SwitchResult drain(const authority::Stored<authority::Record>& record, bool terminate);
  // The target's half. On an error the next call goes on from the journal.
  SwitchResult open(const authority::Stored<authority::Record>& record);

 private:
  using Record = authority::Stored<authority::Record>;
  Result<std::string> run_drain_step(authority::DrainStep step, const Record& record);
  Result<std::string> run_open_step(authority::OpenStep step, const Record& record);
  Result<std::string> wait_gateways(const Record& record);
  Result<std::string> fence(const Record& record);
  Result<std::string> holders(const std::vector<int>& pids);
  Result<std::string> wait_receivers(const Record& record);
  replication::LinkName inbound() const;
  Result<std::string> stop_inbound(const Record& record);
  Result<std::string> persist_epochs(const Record& record);
  Result<std::string> swap_serving(const Record& record);
  Result<std::string> serve_by_glass(const authority::Record& next);
  Result<void> journaled(const authority::Record& record, std::string_view half, std::string_view step,
                         bool changes_state, const std::function<Result<std::string>()>& act);

  SwitchSetup setup_;
  bool terminate_ = false;
  std::optional<authority::Position> fence_;
  std::optional<Record> left_;
  std::future<EpochVote> vote_;  // asked at the beginning, needed before serving
  std::string vote_for_;
};

}  // namespace domicile::agent
