// Asks every agent again and again who serves, and records what it says whenever that is new.
#pragma once
#include <thread>

#include "campaign/recorder.hpp"
#include "drill/field.hpp"

namespace domicile::campaign {

class Watcher {
 public:
  Watcher(const drill::Field& field, Recorder& recorder);  // until destruction

 private:
  void run(const std::stop_token& stop, const std::string& region);
  const drill::Field& field_;
  Recorder& recorder_;
  std::vector<std::jthread> threads_;  // one for each region: an agent that hangs hides no other
};

}  // namespace domicile::campaign
