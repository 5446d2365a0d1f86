// Deterministic simulation of who may write: sites, their agents, databases, links and the quorum, one seed at a time.
//
// The agents are models, but every decision is the core's own: observe, glimpse, distrust, decide, next_copy_step,
// not_promotable, the steps of a switch. No wall time, no threads: the same seed tells the same story on every machine.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace domicile::sim {

// `rpo_zero` is no broken rule: the same world, whose commits wait for a standby. Which seeds stop without one and
// which go on is another random number's matter, so that the others tell the stories that they always told.
//
// Rules broken on purpose. A simulator that stays green with one of them set would prove nothing.
struct Policy {
  bool compare_no_beat = false;        // a takeover does not name the dead owner's beat
  bool extend_drained = false;         // a beat extends a lease that is draining, the guard lets it
  bool skip_majority = false;          // opens without asking the other sites
  bool follow_without_fence = false;   // a copy follows whoever owns, prefix or not
  bool look_before = false;            // lives are timed by a clock read before the view was asked for
  bool lease_from_answer = false;      // a lease is counted from the answer instead of from before the beat
  bool keep_lapsed = false;            // an owner whose lease lapsed goes on without asking the sites
  bool trust_quorum = false;           // no distrust of a quorum that is behind
  bool skip_fence = false;             // a planned switch takes a position without closing the guard
  bool follow_stale = false;           // a copy that stands follows by a record read before it stood
  bool promote_anything = false;       // not_promotable is not asked
  bool trust_journal = false;          // a restarted target takes the majority's old answer from its journal
  bool follower_serves_links = false;  // a region that lost ownership goes on sending, also what it receives itself
  bool careless_restore = false;       // from a backup of any moment, with agents running that nobody can reach
  bool beat_is_forever = false;        // the guard never looks at the lease's end
  bool forget_salvage = false;         // a copy is overwritten before what only it has is kept
  bool base_is_enough = false;         // a receiver follows after any takeover, wherever it stood
  bool anyone_exports = false;         // first rows come from a region that owned it once, or has not opened
  bool impatient = false;              // a life is taken for over after half of ttl
  bool no_rollback = false;            // a planned switch that cannot end is never rolled back
  bool drop_epoch_check = false;       // the guard takes a lease of an older epoch
  bool anyone_opens = false;           // a third agent ends the target's switch
  bool blind_swap = false;             // the quorum does not compare the record that a swap expects
  bool same_epoch = false;             // a takeover goes on in the epoch of the dead owner
  bool skip_slots = false;             // a target opens its slots where they stood
  bool position_before_stop = false;   // a copy's position is taken while its workers still apply
  bool forget_epoch = false;           // a site loses its highest epoch with its agent
  bool adopted_frees_all = false;      // what a person named in an adopted record frees every region, not that one
  bool serve_the_past = false;         // an owner opens on whatever disk it comes back with
  bool follow_the_past = false;        // a copy follows an owner whose disk was put back, however far it is itself
  bool no_margin = false;              // a lease runs until the last moment of ttl
  bool read_extends = false;           // a lease goes on by reading that the epoch is still one's own
  bool never_learns = false;           // who opened and died before it knew does not learn it from the record
  bool forget_journal = false;         // an agent that dies forgets what it kept of its copy last
  bool trust_fresh_marker = false;     // a copy is one as soon as its marker is fresh, whatever rows are missing
  bool rpo_zero = false;               // see above
  bool uncover_late = false;           // commits go on without a standby before the record says so
  bool uncover_unopened = false;       // commits go on before the epoch that takes the word back is open
  bool uncover_in_epoch = false;       // the record takes its word about a standby back without a new epoch
  bool cover_early = false;            // the record names a standby before it has everything
  bool take_uncovered = false;         // a takeover does not look at whom the record names
  bool release_to_nobody = false;      // who lost ownership lets those go whose commits wait
};

using Visits = std::map<std::string, int>;  // "step x fault"

// What an agent can be at when a fault strikes it, by the core's own lists of steps; and those faults.
std::vector<std::string> steps();
inline const std::vector<std::string> kStrikes = {"crash", "pause", "cut"};
// How often the rarest pair of both was visited; 0 where one never was.
int least_visited(const Visits& visits);

struct Outcome {
  std::string violation;           // empty: everything held
  std::vector<std::string> story;  // when asked for
  Visits visits;                   // how often this seed hit what
  int writes = 0, openings = 0, salvaged = 0, restores = 0, adoptions = 0;
  int disks = 0, lost = 0;  // disks that were lost or put back, and acknowledged writes that were nowhere else
  int faults = 0;
  std::int64_t simulated_us = 0;
};

// Faults have numbers, in the order in which they are due. Those in `without` do not happen.
using Faults = std::set<int>;

Outcome run(std::uint64_t seed, const Policy& policy = {}, bool tell = false, const Faults& without = {});

// Of a seed that breaks an invariant: the most faults that it does not take for that, so that leaving out any other one
// as well breaks nothing. The story is of a seed that is the same otherwise, so it may break another invariant.
Faults needless(std::uint64_t seed, const Policy& policy = {});

}  // namespace domicile::sim
