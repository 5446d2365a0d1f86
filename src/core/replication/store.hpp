// The port to a replicated store of one region: leases that the store itself enforces, and links. Nothing here is
// PostgreSQL's word, so that other engines can come under the same switch.
//
// One Store per thread. Every call is idempotent, has the store's deadline, and answers `unavailable` when the store
// does not; after such an error the next call connects anew.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/authority/precheck.hpp"

namespace domicile::replication {

using authority::Epoch;
using authority::Marker;
using authority::Position;

// One flow: a residency's data from one potential owner to one receiver.
struct LinkName {
  std::string residency, from, to;
  bool operator==(const LinkName&) const = default;
  auto operator<=>(const LinkName&) const = default;
};

// The clock by which the store itself judges leases. Instants of different clock ids cannot be compared.
struct StoreClock {
  std::string clock_id;
  Micros now = 0;
  Micros wall = 0;
};

struct GuardState {
  std::string residency;
  Epoch epoch = 0;
  std::string state;  // open, fenced, closed
  Micros end = 0;     // by the store's clock
  std::string clock_id, switch_id;
};

struct Fence {
  bool fenced = false;       // false: writers in flight held it past the timeout
  Position position;         // at or after every commit of the epoch; only when fenced
  std::vector<int> holders;  // process ids of those writers
};

using authority::Holder;

// Of one mapped table: columns with type and nullability, replica identity; as text, by schema.table.
using Fingerprints = std::map<std::string, std::string>;

struct ReceiverProgress {
  std::string region;
  bool live = false;  // connected now
  bool has = false;   // applied at or beyond the asked position
};

// The last marker of a residency that the database holds, whoever committed it; `at`: this database, and the marker's
// place in its log.
struct Held {
  std::optional<Marker> marker;
  Position at;
};

struct CopyHealth {
  bool complete = false;             // first rows of every mapped table journaled, reverse slots there: may be promoted
  bool streaming = false;            // link enabled and its worker alive
  bool disabled = false;             // an error, perhaps a lost connection, ended it: follow it again
  std::optional<Marker> applied;     // last marker applied here
  std::optional<Position> position;  // the source's position applied here
  std::string trouble;               // empty, or one sentence: disabled by error, schema differs, new timeline …
  bool resync = false;  // `trouble` says why this is no prefix of its source's history; only repair ends it
};

class Store {
 public:
  virtual ~Store() = default;

  // Leases
  virtual Result<StoreClock> clock() = 0;
  // Opens or extends; `conflict` for a lower epoch, a fenced one, or another clock id.
  virtual Result<void> lease_set(const std::string& residency, Epoch epoch, Micros end,
                                 const std::string& clock_id) = 0;
  virtual Result<Fence> fence(const std::string& residency, Epoch epoch, const std::string& switch_id,
                              Micros lock_timeout) = 0;
  // Closes without waiting and raises the known epoch.
  virtual Result<void> close(const std::string& residency, Epoch epoch) = 0;
  virtual Result<std::vector<GuardState>> guard_state() = 0;
  // Sessions whose open transaction has written tenant rows, at least so old; the oldest first.
  virtual Result<std::vector<Holder>> open_writers(Micros min_age) = 0;
  // Ends those of these sessions that are open writers; tells which.
  virtual Result<std::vector<Holder>> end_writers(const std::vector<int>& pids) = 0;
  // Of the tables of a link, as they are here.
  virtual Result<Fingerprints> fingerprints(const LinkName& link) = 0;

  // Commits something of no meaning: does the store still commit?
  virtual Result<void> pulse() = 0;

  // Markers
  virtual Result<Marker> commit_marker(const std::string& residency, Epoch epoch) = 0;
  virtual Result<Held> held(const std::string& residency) = 0;
  virtual Result<CopyHealth> copy_health(const LinkName& inbound) = 0;
  // Asks the source itself, by the link's own address: another system, another timeline, or less than is applied here
  // ends this copy, durably; copy_health tells it from then on. `unavailable`: no answer, which proves nothing.
  virtual Result<void> compare_with_source(const LinkName& inbound) = 0;
  // The same for what the source tells about itself in another way.
  virtual Result<void> mark_resync(const LinkName& inbound, const std::string& why) = 0;

  // Inbound
  // The link is disabled and its workers are gone when this returns; `fence_known`: they have nothing left to apply and
  // are ended at once. The position of the source that was applied.
  virtual Result<Position> stop_inbound(const LinkName& inbound, bool fence_known) = 0;
  // Enables the link; makes its receiving end when it is missing. `has_all`: this copy is known to hold everything that
  // the source had when it opened, though it followed somebody else until then (or owned it itself).
  virtual Result<void> follow(const LinkName& inbound, bool has_all) = 0;

  // Outbound
  virtual Result<std::vector<ReceiverProgress>> receivers(const std::string& residency, const Position& position) = 0;
  // Why the receiver of this link misses what it can never get from here: its slot is gone or lost its log, or rows
  // were not let out for a while. Empty: it can have everything, or nobody follows here.
  virtual Result<std::string> lost_to_receiver(const LinkName& outbound) = 0;
  // What the log of this link's slot holds is given up: the slot is ended, and lost_to_receiver tells its receiver why.
  // One that nobody misses anything from stays.
  virtual Result<void> give_up_slot(const LinkName& outbound, const std::string& why) = 0;
  // The slots of a residency that this region may own and does not: made when missing, kept close to the present.
  virtual Result<void> keep_reverse_slots(const std::string& residency) = 0;
  // At takeover, once the inbound link is stopped: every reverse slot lies behind all that was applied and becomes a
  // link's slot.
  virtual Result<void> open_slots(const std::string& residency) = 0;
  // At a former owner whose fence `new_owner` has: its slots hold nothing that is not there. A receiver that never got
  // as far can take nothing more from here, and becomes equal to the new owner.
  virtual Result<void> return_slots(const std::string& residency, const Position& fence,
                                    const std::string& new_owner) = 0;
  // At a target that was overtaken before it opened: what open_slots did is taken back, before it follows again.
  virtual Result<void> withdraw_slots(const std::string& residency) = 0;
  // Once per switch, beyond what the old owner can have used since its last marker; at most `gap` passed since then.
  virtual Result<void> advance_sequences(const LinkName& inbound, const std::string& switch_id, Micros gap) = 0;
};

using StoreFactory = std::function<std::unique_ptr<Store>()>;

}  // namespace domicile::replication
