#include "cli/drill_common.hpp"

#include <signal.h>
#include <unistd.h>

#include <thread>

#include "core/topology/parse.hpp"

namespace domicile::cli {
namespace {

sigset_t ends() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  return set;
}

Result<std::size_t> positive(const Args& args, const char* name, const char* otherwise) {
  const std::int64_t value = TRY(lab_figure(args.get(name, otherwise)));
  if (value < 1 || value > 1'000'000) return fail(Kind::invalid_input, fmt::format("--{} is out of range", name));
  return static_cast<std::size_t>(value);
}

}  // namespace

std::vector<Option> drill_options(std::vector<Option> own) {
  own.push_back({"residency", "R", "Whose writes are drilled (default: us)."});
  own.push_back({"clients", "N", "Clients, each a tenant of its own (default: 20).", false, false, valid_count});
  own.push_back({"rate", "N", "Writes per second of all clients together (default: 500).", false, false, valid_count});
  own.push_back({"topology", "FILE", "The lab's topology (default: examples/three-regions)."});
  own.push_back(base_option());
  own.push_back(json_option());
  return own;
}

Result<DrillSettings> drill_settings(const Args& args) {
  DrillSettings settings;
  settings.base = TRY(lab_base(args));
  settings.directory = TRY(lab_directory(args));
  settings.topology_file = args.get("topology", (checkout() / "examples/three-regions/topology.yaml").string());
  settings.topology = TRY(topology::load(TRY(read_file(settings.topology_file)), settings.topology_file.string()));
  settings.spec.residency = args.get("residency", "us");
  if (topology::residency_of(settings.topology, settings.spec.residency) == nullptr)
    return fail(Kind::invalid_input, "the topology has no residency " + settings.spec.residency);
  settings.spec.clients = TRY(positive(args, "clients", "20"));
  settings.spec.per_s = static_cast<double>(TRY(positive(args, "rate", "500")));
  settings.spec.program = fs::read_symlink("/proc/self/exe");
  settings.runs = TRY(positive(args, "runs", "1"));
  return settings;
}

drill::Talk talk_to(Io& io) {
  return [&io, begin = monotonic_now()](const std::string& text) {
    io.err << fmt::format("{:6.1f} s  {}", static_cast<double>(monotonic_now() - begin) / kSecond, text) << std::endl;
  };
}

bool lab_runs(const fs::path& directory) { return lab::ask(directory, "GET", "/status").has_value(); }

TemporaryLab::TemporaryLab(fs::path directory) : directory_(std::move(directory)) {
  const sigset_t set = ends();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  watch_ = std::jthread([this](const std::stop_token& stop) { await_signals(stop); });
}

void TemporaryLab::await_signals(const std::stop_token& stop) {
  const sigset_t set = ends();
  const timespec wait{0, 100'000'000};
  while (!stop.stop_requested()) {
    const int number = ::sigtimedwait(&set, nullptr, &wait);
    if (number <= 0) continue;
    const std::lock_guard lock(mutex_);
    if (before_end_) before_end_();
    // A lab that is not up yet is ended by the process that brings it up; it is reaped by the thread that waits for it.
    ending_ = true;
    if (const pid_t pid = bringing_up_; pid > 0) ::kill(pid, SIGTERM);
    while (bringing_up_ != 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    end();
    ::_exit(128 + number);
  }
}

// What was recorded stays when a lab ends, since somebody asked for it: here that was us.
void TemporaryLab::end() {
  (void)lab::down(directory_, leave_);
  std::error_code code;
  fs::remove_all(directory_ / "recorded", code);
  if (leave_ == lab::Leave::nothing) fs::remove(directory_, code);  // not when somebody else keeps something in it
}

Result<std::unique_ptr<TemporaryLab>> TemporaryLab::up(const DrillSettings& settings) {
  if (lab_runs(settings.directory)) return fail(Kind::conflict, "a lab runs there already", "domicile lab down");
  std::unique_ptr<TemporaryLab> lab(new TemporaryLab(settings.directory));
  // In a process of its own: the lab's daemon must be forked from one that has no threads.
  std::vector<std::string> argv = {
      settings.spec.program.string(), "lab", "up", "--base", std::to_string(settings.base), "--topology",
      settings.topology_file.string()};
  if (settings.record) argv.emplace_back("--record");
  if (settings.instruments) argv.emplace_back("--instruments");
  auto starting = TRY(Process::start({.argv = std::move(argv)}));
  lab->bringing_up_ = starting.pid();
  const int code = starting.wait();
  lab->bringing_up_ = 0;
  while (lab->ending_)  // the thread that got the signal ends this process
    std::this_thread::sleep_for(std::chrono::seconds(1));
  if (code != 0) {
    lab->leave_ = lab::Leave::logs;
    return fail(Kind::failed, "the lab does not come up", "its logs are in " + settings.directory.string());
  }
  return lab;
}

void TemporaryLab::keep_logs(const drill::Talk& talk) {
  talk("something went wrong: the logs stay in " + directory_.string());
  leave_ = lab::Leave::logs;
}

void TemporaryLab::before_end(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  before_end_ = std::move(work);
}

TemporaryLab::~TemporaryLab() {
  end();
  watch_.request_stop();
  watch_.join();
  const sigset_t set = ends();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

drill::Report judged(const DrillSettings& settings, const char* drill, const char* kind,
                     const std::vector<drill::RunResult>& runs) {
  return drill::judge(
      {drill, kind, settings.spec.residency, settings.spec.clients, settings.spec.per_s, settings.topology.lease.ttl},
      runs);
}

Exit show_reports(Io& io, bool json, const std::vector<drill::Report>& reports) {
  if (json)
    io.out << dump(drill::json_of(reports)) << "\n";
  else
    io.out << drill::table(reports, io.terminal);
  io.out.flush();
  for (const auto& report : reports)
    if (!report.held()) return Exit::broken;
  return Exit::ok;
}

}  // namespace domicile::cli
