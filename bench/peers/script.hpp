// The fault script: the same for every arm. An arm is a running system with three regions, of which the first is lost.
#pragma once
#include <atomic>
#include <csignal>
#include <functional>
#include <memory>

#include "base/file.hpp"
#include "classify.hpp"

namespace domicile::bench::peers {

// Writes, from its making on.
class Clients {
 public:
  virtual ~Clients() = default;
  virtual std::vector<drill::Write> take() = 0;  // the writes that ended since the last take
  // Lets no further write fall due, waits until each has an outcome, and answers with those not yet taken.
  virtual Result<std::vector<drill::Write>> stop() = 0;
};

// Brought up, with the first region as the primary and both others following it.
class Arm {
 public:
  virtual ~Arm() = default;
  virtual std::string lost() const = 0;  // the first region's name
  // Clients outside of all regions; inside: locked in with the first one.
  virtual Result<std::unique_ptr<Clients>> clients(double per_s, bool inside) = 0;
  virtual Result<void> strike(const std::string& kind) = 0;
  // Which other region takes writes now; empty: none.
  virtual std::string successor() = 0;
  // The region runs again as far as it does so without a person: links healed, processes continued, services started.
  virtual Result<void> end_fault(const std::string& kind) = 0;
  // What the documentation tells a person to do then, until the region follows the successor.
  virtual Result<void> bring_back(const std::string& kind, const std::string& successor) = 0;
  virtual Result<std::set<std::string>> readable(const std::string& successor) = 0;  // ids
  virtual Result<std::set<std::string>> kept() = 0;                                  // ids, see History
  virtual fs::path lost_files() const = 0;                                           // all that the lost region stores
};

struct Script {
  std::string kind;  // kill, pause, cut
  double per_s = 500;
  Micros before = 3 * kSecond;
  Micros after = 6 * kSecond;       // for clients that come when the fault has ended
  Micros patience = 120 * kSecond;  // for a successor, for service, for the return
};

// Blocks the signals that end a process; a rest that one of them comes into fails.
class Interrupts {
 public:
  Interrupts();
  Result<void> rest(Micros length) const;
  bool came() const { return came_; }

 private:
  sigset_t ends_{};
  mutable std::atomic<bool> came_ = false;
};

using Talk = std::function<void(const std::string&)>;

struct Outcome {
  History history;
  Findings findings;
  std::size_t on_disk = 0;  // of the lost, those whose id still lies somewhere in the files of the returned region
};

Result<Outcome> lose_region(Arm& arm, const Script& script, const Interrupts& interrupts, const Talk& talk);

// How many of these uuids occur below `folder`, as text or as the 16 bytes that PostgreSQL stores.
std::size_t found_in_files(const fs::path& folder, const std::vector<std::string>& uuids);

}  // namespace domicile::bench::peers
