// One thread per residency: looks, asks the core what to do, does it, and says why.
#pragma once
#include <stop_token>
#include <thread>

#include "agent/switch_actor.hpp"
#include "core/authority/break_glass.hpp"

namespace domicile::agent {

// Brings the first rows of an inbound link; returns when every table is journaled complete. False: its source has a
// used slot for it, so that something was here once.
using BringFirstRows = std::function<Result<bool>(const replication::LinkName&, const std::stop_token&)>;

// Brings a copy that is `resync` back; returns when the link from the record's owner streams.
using ComeBack = std::function<Result<void>(const std::string& residency, const authority::Copy&,
                                            const authority::Record&, const std::stop_token&)>;

struct ResidencySetup {
  std::string region;
  authority::Timing timing;
  authority::Rules rules;
  bool receives = true;  // this region holds it in some form
  const AgentConfig* config = nullptr;
  std::unique_ptr<authority::Quorum> quorum;
  std::unique_ptr<replication::Store> store;
  SiteDisk* disk = nullptr;
  Peers* peers = nullptr;
  BeatLoop* beat = nullptr;
  Bell* bell = nullptr;  // rings when any input of this loop may have changed
  const Published<MarkersSeen>* markers = nullptr;
  const Published<CopiesSeen>* copies = nullptr;
  const Published<GatewaySeen>* gateway = nullptr;
  const Published<StandbysSeen>* standbys = nullptr;
  BringFirstRows bring_first_rows;
  ComeBack come_back;
  std::function<Result<void>(const std::string& lsn)> stop_links;  // see SwitchSetup
  Events* events = nullptr;
  Log log{2, Log::Format::text, Level::info, ""};
  StallPoints stall;
};

// A person asks for a planned switch.
struct SwitchOrder {
  std::string to, switch_id, by, reason;
  bool terminate = false;  // end the sessions that hold the fence past its timeout
  std::shared_ptr<std::promise<Result<authority::Record>>> answer =
      std::make_shared<std::promise<Result<authority::Record>>>();
};

// A person asks to open it here without a quorum. `sites`: what each other one said just now.
struct GlassOrder {
  std::string by, reason;
  std::map<std::string, std::string> attest;
  std::vector<authority::GlassSite> sites;
  bool dry_run = false;
  std::shared_ptr<std::promise<Result<authority::GlassPlan>>> answer =
      std::make_shared<std::promise<Result<authority::GlassPlan>>>();
};

class ResidencyLoop {
 public:
  ResidencyLoop(ResidencySetup setup, Bell& readers);
  void run(const std::stop_token& stop);

  // Any thread:
  const Published<ResidencySeen>& seen() const { return seen_; }
  const LoopLife& life() const { return life_; }
  const authority::Rules& rules() const { return setup_.rules; }
  Mailbox<SwitchOrder> orders;
  Mailbox<GlassOrder> glass_orders;
  // A peer says that the record is now this. Only believed until the quorum has been read again.
  Mailbox<std::string> hints;

 private:
  using Record = authority::Stored<authority::Record>;
  void look(const QuorumSeen& quorum);
  void take(const Record& record);
  authority::Local local_state(const QuorumSeen& quorum) const;
  authority::Decision decide(const QuorumSeen& quorum);
  void end_approvals(const authority::View& view);
  void act(const authority::Decision& decision, const QuorumSeen& quorum);
  void reopen();
  void drain();
  void open();
  void swap(const authority::Swap& swap, const std::string& why);
  void compare_positions();
  void tend_copy();
  // Beside this loop, which must go on meanwhile; what the copy is then, as `work` returns it, is kept, and `brought`
  // told.
  void bring(const std::string& brought, const std::function<Result<authority::Copy>(const std::stop_token&)>& work);
  bool seen_since_standstill(const authority::Copy& copy);
  void follow_again(const authority::Copy& copy);
  void close_if_not_ours();
  bool judge_own_history(const QuorumSeen& quorum);
  Micros last_commit() const;  // of a marker or a pulse; 0: none yet
  bool commits() const;
  void own_copy();
  bool commits_wait() const;
  void order_switch();
  // break_glass.cpp
  void order_glass(const QuorumSeen& quorum);
  Result<authority::GlassPlan> plan_glass(const GlassOrder& order, const QuorumSeen& quorum) const;
  bool tend_glass(const QuorumSeen& quorum);
  void open_by_glass(const Glass& glass);
  bool reopen_by_glass(const Glass& glass);
  void end_glass(const Glass& glass, const std::string& why);
  void publish(const authority::Decision& decision);
  void trouble(const char* doing, const Error& error);

  ResidencySetup setup_;
  LoopLife life_;
  SwitchActor actor_;
  Published<ResidencySeen> seen_;
  std::optional<Record> record_;
  const Micros begun_at_ = monotonic_now();
  Micros record_at_ = 0;  // monotonic: when it was known to be so
  authority::Epoch closed_ = 0;
  std::optional<bool> most_advanced_;
  std::string compared_for_;  // the record that most_advanced_ was asked for
  std::string last_why_, last_trouble_;
  std::string
      terminate_for_;  // the switch whose holders may be ended; forgotten with the process, which then rolls back
  std::optional<Micros> no_majority_since_;  // monotonic: the sites do not agree to our epoch
  bool history_known_ = true;                // the database has said whether it holds what was told from here
  bool stands_ = false;                      // the copy was seen stopped,
  Micros stands_since_ = 0;                  // since then
  Micros follow_at_ = 0, follow_pause_ = 0;  // of a link that an error ended
  Micros retry_at_ = 0;                      // after trouble: not before
  authority::Epoch glass_kept_ = 0;          // that this process lets the beat loop keep
  Micros glass_told_at_ = 0, glass_warned_at_ = 0;
  std::jthread bringing_;  // first rows, or a repair
  std::atomic<bool> bringing_now_ = false;
  std::atomic<Micros> bring_at_ = 0;  // monotonic: after one that failed, not before
  ResidencySeen last_;
};

// Newer in the only order that records have: epochs grow, and within one epoch moving comes before serving before
// draining.
bool newer(const authority::Record& a, const authority::Record& b);

std::string fresh_switch_id();

}  // namespace domicile::agent
