// `domicile gate`: the gate with its settings, control API and systemd notifications, until it is told to stop.
#pragma once
#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "gate/config.hpp"

namespace domicile::gate {

// Somebody's word that the topology is another one now. Thread-safe.
class Reload {
 public:
  void ask();
  // True once for however many asked; false when nobody does within `patience`, or at a stop.
  bool wait(const std::stop_token& stop, Micros patience);

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool asked_ = false;
};

// When asked to reload it begins anew by the topology's file as it is now: all sessions end, and what comes again is
// judged by the new links. A file that cannot be obeyed changes nothing, and is said in the log.
Result<void> run_gate(const GateFile& file, const std::stop_token& stop, Reload& reload);

}  // namespace domicile::gate
