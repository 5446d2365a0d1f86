// The port to a store whose commits wait for standbys: for which links, and of which residencies. Nobody else's
// business is whether the record says so; core/authority/standby.hpp decides.
//
// One per thread, with the deadlines and errors of Store.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/replication/store.hpp"

namespace domicile::replication {

struct StandbySender {
  bool streaming = false;       // has caught up once, so its word counts
  std::uint64_t confirmed = 0;  // on the receiver's disk
};

struct StandbysLook {
  std::string refuses;                           // why commits cannot be made to wait here; empty: they can
  std::vector<std::string> names;                // links that commits wait for, all of them
  std::map<std::string, StandbySender> senders;  // by link, those that are connected
  std::set<std::string> residencies;             // whose commits wait
  std::int64_t waiting = 0;                      // commits that wait just now
  bool others_wait = false;                      // commits of everybody else would wait for the list too
  std::uint64_t written = 0;                     // everything committed before this look lies below
  std::string moment;                            // the store's clock
};

class Standbys {
 public:
  virtual ~Standbys() = default;
  virtual Result<StandbysLook> look() = 0;
  // From each session's next statement on, unless the operator's settings say otherwise: `others_wait` tells. Comes
  // long before the first wait_for(): a statement on its way while both come to be waits by what it knew before.
  virtual Result<void> others_do_not_wait() = 0;
  // Commits wait for exactly these links from now on. Where one is added it is proven when this returns: every part of
  // the store obeys. On an error the list is as it was, as far as that could be done.
  virtual Result<void> wait_for(const std::vector<std::string>& links) = 0;
  virtual Result<void> residency_waits(const std::string& residency, bool waits) = 0;
  // Transactions from before `moment` that may still commit by what they knew then.
  virtual Result<std::int64_t> older_than(const std::string& moment) = 0;
  // Sessions whose commit waits and that began before `moment` are ended: nobody is told that it is done.
  virtual Result<void> end_waiting(const std::string& moment) = 0;
  // The same for those that have waited so long while a new copy cannot begin because of them.
  virtual Result<void> end_blockers() = 0;
};

}  // namespace domicile::replication
