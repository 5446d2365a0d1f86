// What all sessions of a gate share: which links there are, which of them are in use or held, and what was refused.
//
// A link is held from the first violation until a person has looked: STATE/held.json says why, survives restarts, and
// is written before the peer is cut off.
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "gate/denials.hpp"
#include "gate/protocol/check.hpp"
#include "gate/protocol/dialogue.hpp"
#include "gate/protocol/rows.hpp"
#include "gate/register.hpp"

namespace domicile::gate {

struct GateLink {
  LinkRule rule;
  std::string to, form;  // the peer's region; full or reduced
};

struct Held {
  std::string link, rule, what;
  Micros at = 0;  // wall clock
  // A person has looked and gave up what the slot's log holds: it goes on once the agent has ended that slot.
  bool fresh_slot = false;
};

// How far a link is. Both clocks are the owner's database's, by its markers; 0: none yet.
struct Progress {
  Lsn sent = 0, confirmed = 0;  // confirmed: what the peer has on its disk, by its own word
  std::int64_t epoch = 0, sent_clock = 0, confirmed_clock = 0;
  Micros at = 0;  // monotonic, of the last change
};

class Book {
 public:
  static Result<std::unique_ptr<Book>> open(const fs::path& state, std::vector<GateLink> links, Log log);

  std::vector<std::string> links_to(const std::string& region) const;
  const GateLink* link(const std::string& name) const;
  const std::vector<GateLink>& links() const { return links_; }
  // One more session of a region, until leave(). `busy` when it has `most` already; 0: two for each of its links, as
  // one may not have ended when the next begins, and some for making subscriptions. So no region shuts another one out.
  std::optional<Refused> enter(const std::string& region, int most);
  void leave(const std::string& region);
  bool in_use(const std::string& link) const;
  // One session at a time streams a link. `held`, `busy`, or `message` when its subscriber says that it has more than
  // it was ever sent.
  std::optional<Refused> take(const std::string& link, Lsn from);
  void give_back(const std::string& link);
  void progress(const std::string& link, const Progress& now);
  std::map<std::string, Progress> progress() const;

  // Nothing goes out any more once a transaction that ends at `at` or later has: an exact place, for a planned switch.
  // Until go(), or until this gate is started again: what forbids writes behind it is the database's fence.
  Result<void> stop(const std::string& link, Lsn at);
  Result<void> go(const std::string& link);
  std::optional<Lsn> stops_at(const std::string& link) const;
  bool is_held(const std::string& link) const;

  // The columns of first rows that are to come, as their sender names them. `refused` when they are not those that the
  // link lets out, and then it is held.
  Result<void> match(const std::string& link, std::string_view table, const std::vector<std::string>& columns);
  // First rows of a link, in the columns that matched: judged, and counted as gone; their number. `refused` when the
  // link is held, or is from now on.
  Result<std::uint64_t> pass(const std::string& link, std::string_view table, std::string_view lines);

  // From here on nothing of the link passes. Fails when that cannot be kept on the disk; it is held all the same.
  Result<void> hold(const std::string& link, const Violation& violation);
  // `conflict` when it is not held. Who said so and why is on the disk before: STATE/resumed, a JSON object a line.
  // With `fresh_slot` it stays held until released().
  Result<Held> resume(const std::string& link, const std::string& by, const std::string& reason, bool fresh_slot);
  // The slot of a link that waits for a fresh one is gone. `conflict` when it does not wait for one.
  Result<void> released(const std::string& link);
  std::vector<Held> held() const;

  std::string deny(const std::string& region, std::string_view rule, const std::string& what);  // its id
  const Denials& denials() const { return denials_; }
  Register& transfers() { return transfers_; }

 private:
  Book(fs::path state, std::vector<GateLink> links, Register transfers, Journal resumed, Log log);
  struct Carried {
    const GateLink* link;
    const LinkTable* table;
  };
  // `refused` when there is none, or it is held.
  Result<Carried> carried(const std::string& link, std::string_view table) const;
  Error cut(const std::string& link, const Violation& violation);  // holds it
  Result<void> keep() const;                                       // the lock is held
  Result<void> end_hold(const std::string& link);                  // the lock is held
  Result<void> remember_sent();

  fs::path state_;
  std::vector<GateLink> links_;
  Register transfers_;
  Journal resumed_;
  Log log_;
  Denials denials_;
  mutable std::mutex mutex_;  // all below
  std::map<std::string, Held> held_;
  std::map<std::string, bool> in_use_;
  std::map<std::string, int> sessions_;  // by region
  std::map<std::string, Progress> progress_;
  std::map<std::string, Lsn> stops_;
};

}  // namespace domicile::gate
