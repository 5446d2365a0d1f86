// The simulated world: time, network, quorum, sites. Agents live in agent.cpp, faults and checks in world.cpp.
#pragma once
#include <functional>
#include <limits>
#include <memory>
#include <queue>
#include <set>

#include "core/authority/carry.hpp"
#include "core/authority/copy.hpp"
#include "core/authority/decision.hpp"
#include "core/authority/switch_steps.hpp"
#include "rng.hpp"
#include "sim.hpp"

namespace domicile::sim {

using namespace authority;

inline const std::string kResidency = "r", kQuorum = "quorum";

struct Entry {
  std::int64_t id;
  Micros at;  // real time of the commit at its first writer
  bool operator==(const Entry&) const = default;
};

enum class GuardState { closed, open, fenced };
struct Guard {
  Epoch epoch = 0;
  GuardState state = GuardState::closed;
  Micros end = 0;  // this site's clock
};

// What an agent forgets when it dies.
struct Agent {
  std::string boot;
  std::int64_t counter = 0;
  std::optional<std::string> own_text;
  Observed observed;
  std::optional<View> view;
  std::string distrusted;
  std::optional<Epoch> opened;
  std::optional<Micros> lease_end;  // of `opened`, once it was set
  std::optional<Micros> cannot_write_since, cannot_open_since;
  std::optional<bool> most_advanced;
  std::optional<Swap> ride;
  Micros asked = 0;                       // the own clock before what `view` shows was asked for
  Micros stood_at = 0;                    // and when the copy here had stopped
  std::optional<Marker> marker;           // the last that this process has committed
  std::map<std::string, Marker> carried;  // what its own beat named before it has
  std::vector<Proposal> approvals;
  bool beating = false, busy = false;
  std::optional<std::size_t> waits_since;  // how long the log was when its commits began to wait for whom they do
  std::string persisted;                   // the switch whose epochs this process has persisted
  std::string said;                        // the last decision told
  std::string step;                        // what it is doing, for the visits
};

struct Site {
  std::string name;
  bool voter = false;
  double rate = 1;
  Micros offset = 0;
  Micros wall = 0;      // how far its wall clock is off
  bool jumped = false;  // that it ever changed: its markers are no measure of time then
  // its disk
  Epoch known_epoch = 0;
  std::string known_owner;
  Copy copy, copy_before;                             // as it is kept, and as it was before the last change
  std::map<std::string, std::set<std::string>> done;  // by switch id and epoch
  std::pair<std::string, std::string> last_done;      // perhaps not on the disk yet
  std::set<std::int64_t> salvage;                     // kept from copies that were overwritten
  bool full = false;                                  // nothing more can be kept on it
  // its database
  std::vector<Entry> log;
  std::size_t position = 0;                  // how much of copy.source's log is applied here
  std::map<std::string, std::size_t> slots;  // where the link to each other site begins
  Guard guard;
  std::optional<Marker> row;       // the last marker that was committed in this database
  std::vector<Marker> marks;       // and all of them
  std::optional<Marker> applied;   // the last marker of copy.source that is here
  bool loading = false;            // first rows are on their way
  bool put_back = false;           // holds less than once, and nobody has been made equal since
  std::set<std::string> wait_for;  // with rpo 0: commits wait for all of these
  std::vector<std::pair<std::int64_t, std::size_t>> waiting;  // commits that do, and how long the log is with each
  std::map<std::string, std::pair<std::size_t, Micros>> confirmed;  // by receiver: how much, and when (own clock)
  bool database = true, commits = true;
  // its agent
  Agent agent;
  bool alive = true, paused = false, frozen = false;  // frozen: the database stands still as well
  bool buried = false;                                // dead for good, with all that its disks hold
  int incarnation = 0;
  std::optional<View> replica;                  // what its member of the quorum holds, perhaps old
  std::vector<std::function<void()>> deferred;  // what came while it was paused
  Micros slow = 0;
  Micros justified_until = 0;  // for the checks: how long any beat that was committed can entitle it to write
};

class World {
 public:
  World(std::uint64_t seed, const Policy& policy, bool tell, const Faults& without = {});
  Outcome run();

 private:
  using Fn = std::function<void()>;
  using Cuts = std::set<std::pair<std::string, std::string>>;  // from, to
  using Answered = std::function<void(std::optional<SwapOutcome>)>;

  // time and network
  void at(Micros delay, Fn fn);
  void agent_at(Site& site, Micros delay, Fn fn);  // dropped when the agent dies, deferred while it is paused
  void send(const std::string& from, const std::string& to, Micros slow, Fn fn);
  Micros local(const Site& site) const;
  void tell(const std::string& line);
  void violated(const std::string& what);

  // quorum
  View view() const;
  SwapOutcome apply(const std::optional<BeatRequest>& beat, const std::optional<Swap>& swap);
  bool matches(const Swap& swap) const;
  void ask_quorum(Site& site, std::optional<BeatRequest> beat, std::optional<Swap> swap, Answered done);

  // agent
  void start_agent(Site& site);
  void beat_loop(Site& site);
  void glimpse_loop(Site& site);
  void beat(Site& site);
  struct Sent;
  void take_in(Site& site, const std::shared_ptr<Sent>& sent, bool applied, const View& seen);
  void look(Site& site, const View& seen, Micros when, Epoch known_epoch, const std::string& known_owner);
  void act(Site& site);
  bool act_on_copy(Site& site, const Record& record);
  bool first_rows(Site& site, const Copy& next);
  void keep(Site& site, Copy next);
  std::optional<Micros> lag_of(const Site& site) const;
  bool come_back(Site& site, const Record& record, const Copy& next);
  void stop_inbound(Site& site, const Copy& next);
  Local local_of(const Site& site, const Record* record);
  void perform(Site& site, const Decision& decision);
  void reopen(Site& site);
  void swap(Site& site, Swap swap, std::string_view step, const std::string& why);
  void read(Site& site, std::optional<Swap> swap, Fn answered);
  void publish(Site& site);
  void drain(Site& site);
  void open(Site& site);
  void compare_positions(Site& site);
  void finish(Site& site, const std::string& key, std::string_view step, Micros delay, Fn effect);
  void vote(Site& site, bool persist, Epoch epoch, std::function<void(bool)> done);
  bool lease_set(Site& site, Epoch epoch, Micros end);
  void become_owner(Site& site, Epoch epoch);

  // databases, clients, people, faults
  // with rpo 0: standby.cpp
  void tend_standby(Site& site);
  void acknowledge(Site& site, std::int64_t id);
  void confirm(Site& source, const Site& receiver);
  void release(Site& site);
  void end_waiting(Site& site);
  void check_acknowledged_here(const Site& site);
  Cover cover_of(const Site& site) const;

  bool accepts(const Site& site) const;
  void client(Site& site);
  void replicate(Site& site);
  void operator_asks();
  void operator_adopts();
  std::string best_alive() const;
  void fault();
  void strike(Site& site, int kind, Micros duration);
  void tempt(Site& site, Micros delay);
  void visit(const Site& site, const std::string& fault);
  void kill_agent(Site& site, bool database, Micros duration);
  void pause(Site& site, bool frozen, Micros duration);
  struct Backup {
    std::optional<Stored<Record>> authority;
    std::map<std::string, Stored<Beat>> beats;
  };
  void restore(const Backup& backup);
  void stop_unreachable_agents();
  void heal();
  // the quorum without a leader, sites that come and go, and one that is gone for good: hazards.cpp
  void hazard();
  void bury(Site& site);
  void flap(const Cuts& cuts, Micros up, Micros until);
  void lose_leader(Micros duration);
  bool nobody_is_left() const;
  // disks and wall clocks: disks.cpp
  struct Image {
    std::vector<Entry> log;
    std::size_t position = 0;
    std::map<std::string, std::size_t> slots;
    Guard guard;
    std::optional<Marker> row;
  };
  bool disks_fail() const;
  bool happens(const std::string& fault);  // counts it; false: it is left out
  void snapshots();
  void disk_fault();
  void lose_disk(Site& site);
  void put_back(Site& site, const Image& image);
  void account_for(const std::string& site, const std::set<std::int64_t>& gone);
  void tear_journal(Site& site);
  void note_marker(Site& site);
  void judge_own_history(Site& site, const Record& record);
  void check_prefix(const Site& site, bool whole);
  void check_rpo(const Site& site, const Site& before);
  void check_nothing_lost();

  Site& site(const std::string& name) { return sites_.at(name); }
  const Record* record() const { return authority_ ? &authority_->value : nullptr; }

  struct Event {
    Micros at;
    std::int64_t order;
    Fn fn;
    bool operator<(const Event& o) const { return at != o.at ? at > o.at : order > o.order; }
  };
  Policy policy_;
  bool tell_;
  Rng rng_, glimpses_, disks_, hazards_, people_;
  Faults without_;
  Outcome outcome_;
  Timing timing_;
  Rules rules_{kResidency, "a", {"b", "c"}, 10 * kSecond, true, 0};
  std::priority_queue<Event> events_;
  Micros now_ = 0;
  std::int64_t order_ = 0, ids_ = 0, switches_ = 0;
  std::map<std::string, Site> sites_;
  std::vector<std::string> names_;
  std::optional<Stored<Record>> authority_;
  std::map<std::string, Stored<Beat>> beats_;
  std::vector<Backup> backups_;
  bool quorum_down_ = false;
  Micros leaderless_until_ = 0;
  int leader_ = 0;  // answers of an earlier one may be lost
  Cuts cuts_;
  bool faults_ = true;
  Micros served_since_ = 0;
  // what the checks remember
  std::vector<std::int64_t> acknowledged_;
  std::vector<std::int64_t> promised_;  // with rpo 0: acknowledged, and in nobody's hands since
  std::map<std::string, std::vector<Image>> images_;
  std::map<Epoch, std::string> writer_of_;
  Epoch highest_opened_ = 0;
};

}  // namespace domicile::sim
