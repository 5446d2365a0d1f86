#include "cli/drill_common.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/sha256.hpp"
#include "cli/agent_client.hpp"
#include "core/drills/parse.hpp"
#include "core/topology/parse.hpp"
#include "drill/chart.hpp"
#include "drill/raw_log.hpp"

namespace domicile::cli {
namespace {

sigset_t ends() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  return set;
}

Result<std::size_t> positive(const Args& args, const char* name, const std::string& otherwise) {
  const std::int64_t value = TRY(lab_figure(args.get(name, otherwise)));
  if (value < 1 || value > 1'000'000) return fail(Kind::invalid_input, fmt::format("--{} is out of range", name));
  return static_cast<std::size_t>(value);
}

}  // namespace

std::vector<Option> drill_options(std::vector<Option> own) {
  own.push_back({"residency", "R", "Whose writes are drilled (default: the drill's, us)."});
  own.push_back(
      {"clients", "N", "Clients, each a tenant of its own (default: the drill's, 20).", false, false, valid_count});
  own.push_back({"rate", "N", "Writes per second of all clients together (default: the drill's, 500).", false, false,
                 valid_count});
  own.push_back({"topology", "FILE", "The lab's topology (default: examples/three-regions)."});
  own.push_back(base_option());
  own.push_back(json_option());
  return own;
}

std::vector<Option> held_options(std::vector<Option> own) {
  own.push_back({"runs", "N", "So many runs (default: 1).", false, false, valid_count});
  own.push_back({"dry-run", "", "Only say what would be done, step by step, and what must hold."});
  own.push_back({"report", "DIR", "Where report.json, raw.log and phases.svg are written."});
  return drill_options(std::move(own));
}

Result<DrillSettings> drill_settings(const Args& args, const drills::Plan& plan) {
  DrillSettings settings;
  settings.base = TRY(lab_base(args));
  settings.directory = TRY(lab_directory(args));
  settings.topology_file = args.get("topology", (checkout() / "examples/three-regions/topology.yaml").string());
  settings.topology = TRY(topology::load(TRY(read_file(settings.topology_file)), settings.topology_file.string()));
  settings.spec.residency = args.get("residency", plan.residency);
  if (topology::residency_of(settings.topology, settings.spec.residency) == nullptr)
    return fail(Kind::invalid_input, "the topology has no residency " + settings.spec.residency);
  settings.spec.clients = TRY(positive(args, "clients", std::to_string(plan.clients)));
  settings.spec.per_s = static_cast<double>(TRY(positive(args, "rate", std::to_string(plan.rate))));
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
  std::vector<std::string> argv = {settings.spec.program.string(),
                                   "lab",
                                   "up",
                                   "--base",
                                   std::to_string(settings.base),
                                   "--topology",
                                   settings.topology_file.string(),
                                   "--for",
                                   std::to_string(::getpid())};
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

std::vector<fs::path> drill_files() {
  std::vector<fs::path> files;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(checkout() / "drills", code))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

Result<drills::Plan> drill_file(const std::string& name) {
  fs::path file = name;
  if (name.find('/') == std::string::npos && !name.ends_with(".yaml")) {
    file = checkout() / "drills" / (name + ".yaml");
    if (!fs::exists(file)) return fail(Kind::invalid_input, "there is no drill " + name, "domicile drill list");
  }
  return drills::load(TRY(read_file(file)), file.string());
}

drill::Report judged(const DrillSettings& settings, const drills::Plan& plan,
                     const std::vector<drill::RunResult>& runs) {
  return drill::judge(drill::subject_of(plan, settings.spec, settings.topology.lease.ttl), runs);
}

Result<std::string> explained(const DrillSettings& settings, const drills::Plan& plan) {
  const auto* rules = topology::residency_of(settings.topology, settings.spec.residency);
  drills::Scene scene = drills::scene_of(settings.topology, *rules, rules->home);
  if (const auto field = drill::Field::open(settings.directory, settings.topology))
    if (const auto now = drill::scene_now(*field, settings.spec.residency, settings.spec.to)) scene = *now;
  if (!settings.spec.to.empty()) scene.standby = settings.spec.to;
  drills::Plan shown = plan;
  shown.clients = settings.spec.clients;
  shown.rate = static_cast<std::size_t>(settings.spec.per_s);
  for (const auto& step : plan.steps)
    for (const auto& place : {step.at, step.to})
      if (!place.empty() && place != "elsewhere") (void)TRY(drills::sites_at(scene, place));
  return drills::explain(shown, scene);
}

namespace {

std::vector<drill::RunResult> runs_of(const DrillSettings& settings, const drills::Plan& plan, bool running,
                                      const drill::Talk& talk) {
  std::vector<drill::RunResult> runs;
  std::unique_ptr<TemporaryLab> own;
  for (std::size_t i = 0; i < settings.runs; ++i) {
    const auto one = [&]() -> Result<drill::RunResult> {
      if (!running && (!own || plan.fresh)) {
        own.reset();
        talk(fmt::format("run {} of {}: bringing a lab up", i + 1, settings.runs));
        own = TRY(TemporaryLab::up(settings));
      }
      return drill::run_plan(TRY(drill::Field::open(settings.directory, settings.topology)), settings.spec, plan, talk);
    };
    runs.push_back(drill::run_of(one()));
    if (runs.back().trouble.empty()) continue;
    if (own) own->keep_logs(talk);
    if (!plan.fresh) break;
  }
  return runs;
}

// Which drills there are and how old each may be, and how this one went: what an agent's status then shows.
Json news_of(const drills::Plan& plan, const drill::Report& report, const std::vector<drill::RunResult>& runs) {
  Json schedule = Json::object();
  for (const fs::path& file : drill_files())
    if (const auto each = drill_file(file.string()); each && each->every_days != 0)
      schedule[file.stem().string()] = each->every_days;
  const std::string name = plan.name + (plan.kind.empty() ? "" : "-" + plan.kind);
  if (plan.every_days != 0) schedule[name] = plan.every_days;
  return {{"schedule", schedule},
          {"result",
           {{"drill", name},
            {"at_us", wall_now()},
            {"held", report.held()},
            {"broken", report.held() ? "" : report.broken.front()},
            {"report", sha256_hex(drill::raw_log(report.subject, runs))}}}};
}

// The agents of a lab that stays, and the one that is named. One that does not take it ends no drill.
Result<void> tell_agents(const Args& args, const DrillSettings& settings, bool stays, const Json& news,
                         const drill::Talk& talk) {
  if (const auto field = drill::Field::open(settings.directory, settings.topology); stays && field)
    for (const std::string& region : field->regions())
      if (const auto told = field->agent(region, "POST", "/v1/drills", news); !told) talk(one_line(told.error()));
  if (!args.has("agent") && !args.has("url")) return {};
  auto agent = TRY(AgentClient::of(args));
  (void)TRY(agent.post("/v1/drills", news));
  return {};
}

Result<void> write_report(const fs::path& folder, const drill::Report& report,
                          const std::vector<drill::RunResult>& runs) {
  CHECK_OK(make_directories(folder));
  const std::string log = drill::raw_log(report.subject, runs);
  CHECK_OK(write_file(folder / "raw.log", log));
  CHECK_OK(write_file(folder / "phases.svg", drill::chart_svg(report, runs)));
  Json json = drill::json_of(std::vector{report});
  json["at"] = iso8601(wall_now());
  json["raw_log"] = {{"file", "raw.log"}, {"sha256", sha256_hex(log)}};
  return write_file(folder / "report.json", dump(json) + "\n");
}

}  // namespace

fs::path new_report_folder(const std::string& drill) {
  std::string when = iso8601(wall_now()).substr(0, 19);
  std::erase_if(when, [](char c) { return c == '-' || c == ':'; });
  return checkout() / "build/drills" / fmt::format("{}-{}Z", drill, when);
}

Result<drill::Report> held_drill(const Args& args, Io& io, const drills::Plan& plan, const fs::path& folder) {
  DrillSettings settings = TRY(drill_settings(args, plan));
  settings.spec.to = args.get("to");
  const bool running = lab_runs(settings.directory);
  if (running && plan.fresh && settings.runs > 1)
    return fail(Kind::conflict, "a lab runs, and each of several losses needs a fresh one", "domicile lab down");
  const auto talk = talk_to(io);
  const auto runs = runs_of(settings, plan, running, talk);
  auto report = judged(settings, plan, runs);
  if (const fs::path to = args.get("report", folder.string()); !to.empty()) {
    CHECK_OK(write_report(to, report, runs));
    talk("the report is in " + to.string());
  }
  CHECK_OK(tell_agents(args, settings, running, news_of(plan, report, runs), talk));
  return report;
}

Result<Exit> hold_drill(const Args& args, Io& io, const drills::Plan& plan, const fs::path& folder) {
  if (args.has("dry-run")) {
    DrillSettings settings = TRY(drill_settings(args, plan));
    settings.spec.to = args.get("to");
    io.out << TRY(explained(settings, plan));
    return Exit::ok;
  }
  return show_reports(io, args.has("json"), {TRY(held_drill(args, io, plan, folder))});
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
