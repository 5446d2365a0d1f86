// Does the faults of a schedule to a lab, and undoes them.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "campaign/recorder.hpp"
#include "campaign/schedule.hpp"
#include "drill/drills.hpp"

namespace domicile::campaign {

// From its making until all are over, stop, or destruction; then nothing of them is left, whatever was overlapping.
// What could not be done is in the history, and no trouble: a program may be dead already.
class Faults {
 public:
  Faults(const drill::Field& field, std::vector<Fault> schedule, Recorder& recorder, const drill::Talk& talk);
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;
  void stop();

 private:
  void run(const std::stop_token& stop);
  void begin(const Fault& fault);
  void end(const Fault& fault);
  void record(history::Deed deed, const Fault& fault, const Result<void>& done);
  const drill::Field& field_;
  std::vector<Fault> schedule_;
  Recorder& recorder_;
  const drill::Talk& talk_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

// Every site runs, every way is open, every clock is right: whatever has been done before.
Result<void> undo_everything(const drill::Field& field);

}  // namespace domicile::campaign
