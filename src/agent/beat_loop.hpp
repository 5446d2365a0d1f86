// The one thread that keeps this region alive in the quorum and its leases open: reads the clocks, beats, and extends
// the leases of exactly those residencies that the same transaction read back as ours, serving, at the epoch that was
// opened.
#pragma once
#include <future>
#include <stop_token>
#include <vector>

#include "agent/loop_life.hpp"
#include "agent/published.hpp"
#include "agent/site_disk.hpp"
#include "base/log.hpp"
#include "base/stall.hpp"
#include "core/authority/decision.hpp"
#include "core/replication/store.hpp"

namespace domicile::agent {

struct LeaseGrant {
  authority::Epoch epoch = 0;
  BootInstant gateway_end;  // by this host's CLOCK_BOOTTIME, for the gateway
  Micros over = 0;          // monotonic: from here on it has ended everywhere
};

// What the last answered transaction said.
struct QuorumSeen {
  authority::View view;
  Micros sent_at = 0;  // monotonic, before it was sent; 0: nothing was ever answered
  authority::Observed observed;
  std::map<std::string, KnownEpoch> epochs_before;  // this site's disk before it was sent
  std::map<std::string, LeaseGrant> leases;         // by residency
  std::map<std::string, authority::Epoch> allowed;  // what this process has opened
  std::map<std::string, Micros> refused_since;      // monotonic: since when the database refuses the lease
  std::string trouble;                              // of the last attempt; empty: it was answered
};

struct RideOutcome {
  bool applied = false;
  QuorumSeen seen;      // what was read back with it
  Micros answered = 0;  // monotonic; it was sent at seen.sent_at
};

// A swap to be applied in the same transaction as a beat; when it is, the lease of `epoch` opens with it.
struct Ride {
  authority::Swap swap;
  std::shared_ptr<std::promise<Result<RideOutcome>>> answer = std::make_shared<std::promise<Result<RideOutcome>>>();
};

// This process may renew `residency` at `epoch`; empty: it may not renew it any more.
struct Allow {
  std::string residency;
  std::optional<authority::Epoch> epoch;
  bool glass = false;  // on a person's word instead of the quorum's
};

struct BeatSetup {
  std::string region, boot_id;
  std::vector<std::string> regions;  // whose lives are observed
  authority::Timing timing;
  authority::Quorum* quorum = nullptr;   // used by this loop's thread only
  replication::StoreFactory make_store;  // empty at a voter
  const SiteDisk* disk = nullptr;
  const Published<std::map<std::string, authority::Marker>>* markers = nullptr;  // last committed, by owned residency
  Log log{2, Log::Format::text, Level::info, ""};
  StallPoints stall;
};

class BeatLoop {
  Bell bell_;  // before the mailboxes that ring it

 public:
  BeatLoop(BeatSetup setup, Bell& readers);
  void run(const std::stop_token& stop);

  // Any thread:
  Mailbox<Ride> rides;
  Mailbox<Allow> allows;
  void look_now() { bell_.ring(); }  // beat at once: something may have changed
  const Published<QuorumSeen>& seen() const { return seen_; }
  const LoopLife& life() const { return life_; }

 private:
  struct Clocks;
  std::optional<Clocks> read_clocks();
  static LeaseGrant grant(authority::Epoch epoch, const Clocks& clocks, Micros length);
  void glimpse();
  void beat_once();
  std::map<std::string, authority::Marker> markers() const;
  Result<bool> transact(const authority::BeatRequest& request, authority::View& view);
  void take_in(const authority::View& view, const Clocks& clocks, const std::map<std::string, KnownEpoch>& before);
  void drop_lapsed();
  void extend_leases(const authority::View& view, const Clocks& clocks,
                     const std::map<std::string, KnownEpoch>& before);
  void keep_glass();
  void publish();
  void fail_ride(std::optional<Ride>& ride, const Error& error);

  BeatSetup setup_;
  std::unique_ptr<replication::Store> store_;
  Published<QuorumSeen> seen_;
  QuorumSeen last_;
  LoopLife life_;
  std::optional<std::string> own_text_;
  std::map<std::string, authority::Marker> carried_;  // what our beat in the quorum named when we came upon it
  std::int64_t counter_ = 0;
  std::map<std::string, authority::Epoch> allowed_;
  std::map<std::string, authority::Epoch> glass_;  // open without a quorum
  std::map<std::string, LeaseGrant> glass_leases_;
  std::map<std::string, Micros> ends_;  // monotonic, of the leases that were set last
  bool in_trouble_ = false;
  bool repeats_ = false;  // the last beat was refused by the comparison as well
};

}  // namespace domicile::agent
