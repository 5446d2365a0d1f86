// What the drill verbs share: the lab that they drill, which they bring up and down where none runs.
#pragma once
#include <atomic>
#include <mutex>
#include <thread>

#include "cli/lab_common.hpp"
#include "drill/drills.hpp"

namespace domicile::cli {

std::vector<Option> drill_options(std::vector<Option> own);
std::vector<Option> held_options(std::vector<Option> own);  // those, and what hold_drill() takes
struct DrillSettings {
  int base = 0;
  fs::path topology_file, directory;
  topology::Topology topology;
  drill::DrillSpec spec;
  std::size_t runs = 1;
  bool record = false;       // the lab that is brought up keeps what crosses
  bool instruments = false;  // and its disks can be filled, its clocks set
};
// What is not said on the command line is the plan's; without a plan: residency us, 20 clients, 500 writes a second.
Result<DrillSettings> drill_settings(const Args& args, const drills::Plan& plan = {});
drill::Talk talk_to(Io& io);

// A lab that is up for as long as this lives; nothing of it stays. SIGINT and SIGTERM take it down and end the process.
class TemporaryLab {
 public:
  static Result<std::unique_ptr<TemporaryLab>> up(const DrillSettings& settings);
  ~TemporaryLab();
  TemporaryLab(const TemporaryLab&) = delete;
  TemporaryLab& operator=(const TemporaryLab&) = delete;
  // Called before a signal ends the process, from another thread; empty: nothing.
  void before_end(std::function<void()> work);
  // Something did not go well: its logs stay when it goes down. Says where.
  void keep_logs(const drill::Talk& talk);

 private:
  explicit TemporaryLab(fs::path directory);
  void await_signals(const std::stop_token& stop);
  void end();
  fs::path directory_;
  lab::Leave leave_ = lab::Leave::nothing;
  std::atomic<pid_t> bringing_up_ = 0;  // the process that does; 0: none does
  std::atomic<bool> ending_ = false;    // by a signal
  std::mutex mutex_;
  std::function<void()> before_end_;
  std::jthread watch_;  // for signals
};
bool lab_runs(const fs::path& directory);

// A drill of the folder `drills` by its name, or a file that has a `/` or ends in .yaml.
Result<drills::Plan> drill_file(const std::string& name);
std::vector<fs::path> drill_files();                   // of the folder `drills`, by name
fs::path new_report_folder(const std::string& drill);  // build/drills/NAME-TIME
// Of `wanted` those that the agent's status calls late, or does not know.
Result<std::vector<std::string>> due_drills(const Json& status, const std::vector<std::string>& wanted);

drill::Report judged(const DrillSettings& settings, const drills::Plan& plan,
                     const std::vector<drill::RunResult>& runs);
// All runs of a drill: in the lab that runs, else in one of its own, or in one for each run where the plan wants it.
// With --report, or `folder`, writes report.json, raw.log and phases.svg. Tells agents how it went.
Result<drill::Report> held_drill(const Args& args, Io& io, const drills::Plan& plan, const fs::path& folder);
// The same, and shows it. With --dry-run only says what would be done.
Result<Exit> hold_drill(const Args& args, Io& io, const drills::Plan& plan, const fs::path& folder = {});
// What a drill would do, without a lab: its owner is then the home.
Result<std::string> explained(const DrillSettings& settings, const drills::Plan& plan);
// Prints the report: one line of JSON, or the table. `broken` when something did not hold.
Exit show_reports(Io& io, bool json, const std::vector<drill::Report>& reports);

}  // namespace domicile::cli
