// A drill as its file says it: what is done, in which order, and what must hold. A value that parse.hpp has checked:
// every fault in it is undone, and what must hold can be measured.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "core/topology/topology.hpp"

namespace domicile::drills {

enum class Act {
  write,         // clients write; with the first of them they begin
  switch_to,     // a planned switch, until it is served there
  kill,          // every process of a site
  pause,         //
  cut,           // nothing crosses any more
  slow,          //
  kill_program,  // one program of a site
  revoke,        // the certificates of a site, at another one
  served,        // wait until somebody serves
  steady,        // wait until clients are served steadily again
  halted,        // wait until nothing is acknowledged any more
  behind,        // wait until a copy is known to be behind, or nothing is known of it
  stop,          // clients stop, and every marker is read back
  undo,          // every fault ends, the last one first
  follow,        // wait until every copy there follows its owner
  caught_up,     // wait until the residency's copy there is known to be close
};

// What stands behind a step's name in a file.
enum class Takes { nothing, duration, place, cut, slow, program, revoke };

struct StepKind {
  Act act;
  std::string_view name;
  Takes takes;
  bool fault;  // sets something that has to be undone
  std::string_view doc;
};
std::span<const StepKind> step_kinds();
const StepKind& kind_of(Act act);

// Places are words until the drill begins: `owner`, `standby`, `home`, `other`, `minority`, `majority`, `everybody`,
// `clients`, or a site's name.
struct Step {
  Act act = Act::write;
  Micros length = 0;     // write
  std::string at;        // the place; of cut and slow where it comes from; of revoke where it is refused
  std::string to;        // of cut and slow; of revoke whose certificates
  bool one_way = false;  // cut
  std::uint64_t bytes_per_s = 0;
  std::string program;
  int line = 0;
  bool operator==(const Step&) const = default;
};

inline constexpr Micros kTtl = -1;  // of a demand: as long as the topology's lease

// What must hold; empty: not asked.
struct Hold {
  std::optional<std::size_t> errors, unknown, missing;  // at most
  std::optional<std::size_t> lost;                      // acknowledged, and neither readable nor salvaged; at most
  std::optional<Micros> pause_p99, rto_p50, rto_p99, rpo, halt;
  bool diverged = false;  // something must be missing at first, or nothing was shown
  std::string owner;      // of the residency in the end: same, other; empty: not asked
  bool operator==(const Hold&) const = default;
};

Hold with_ttl(Hold hold, Micros ttl);  // kTtl is replaced

struct Plan {
  std::string name, kind;  // as reports name it; the kind may be empty
  std::string about;       // a sentence
  std::string residency = "us";
  std::size_t clients = 20;
  std::size_t rate = 500;      // writes per second of all together
  std::string clients_inside;  // a place that half of the clients share the fate of; empty: none
  bool fresh = false;          // each run needs a lab of its own
  std::size_t every_days = 0;  // older than this is red in `status`; 0: the file does not say
  std::vector<Step> steps;
  Hold hold;
  bool operator==(const Plan&) const = default;
};

// The residency of a topology as a drill finds it.
struct Scene {
  std::string residency, owner, home, standby;  // standby: the next lawful owner; empty: there is none
  std::vector<std::string> sites, voters;       // regions and voters; voters alone
};
Scene scene_of(const topology::Topology& topology, const topology::Residency& residency, const std::string& owner);
// The sites that a place means, `host` among them for clients; an error names what there is instead. `apart_from`: of
// everybody.
Result<std::vector<std::string>> sites_at(const Scene& scene, const std::string& place,
                                          const std::string& apart_from = {});
inline constexpr std::string_view kClientsPlace = "host";  // the lab's name for where clients are

// A step in words, for people who want to know what would be done; a fault with how it ends.
std::string explain(const Step& step, const Scene& scene);
std::string explain(const Hold& hold);  // a line per demand
// All of it.
std::string explain(const Plan& plan, const Scene& scene);

}  // namespace domicile::drills
