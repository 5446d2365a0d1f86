// Child processes: started without a shell, ended with their owner.
#pragma once
#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace domicile {

struct Command {
  std::vector<std::string> argv;                // argv[0] is looked up in PATH
  std::map<std::string, std::string> env = {};  // added to this process's environment
  std::string directory = {};                   // working directory; empty: this process's
  std::string output = {};                      // file that stdout and stderr are appended to; empty: inherited
  std::string input = {};                       // what the child reads on stdin
  // Runs in the child between fork and exec: only async-signal-safe calls (setns, setuid, …). False ends the child with
  // 126.
  std::function<bool()> in_child = {};
};

// A running child. Destruction ends it: SIGTERM, then SIGKILL after `grace`.
class Process {
 public:
  static Result<Process> start(const Command& command);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();
  pid_t pid() const { return pid_; }
  bool running();                  // reaps when it has ended
  std::optional<int> exit_code();  // 128 + signal for a signal; empty while it runs
  void signal(int number) const;
  int wait();                                   // until it ends
  std::optional<int> wait_for(Micros timeout);  // empty: still running
  void stop(Micros grace = 5 * kSecond);
  pid_t detach();  // no longer ours to end

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
  std::optional<int> code_;
};

struct Outcome {
  int exit_code;
  std::string out, err;
};
// Runs to its end and gathers what it printed. `unavailable` when the timeout passed (the child is then killed).
Result<Outcome> run(const Command& command, Micros timeout);

}  // namespace domicile
