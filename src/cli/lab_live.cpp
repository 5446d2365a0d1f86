#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>

#include "cli/drill_common.hpp"
#include "cli/registry.hpp"
#include "drill/live_view.hpp"

namespace domicile::cli {
namespace {

using drill::LiveState;

// To see a drill, not to measure one: a small machine serves it beside the traffic that always flows.
constexpr double kDrillRate = 100, kTrafficRate = 50;
constexpr char kEnter[] = "\033[?1049h\033[?25l\033[2J";  // alternate screen, no cursor
constexpr char kLeave[] = "\033[?25h\033[?1049l";

void put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

// The terminal without echo and line editing, given back on every way out.
class Screen {
 public:
  Screen() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    put(kEnter);
  }
  ~Screen() { leave(); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  void leave() const {
    if (left_.exchange(true)) return;
    put(kLeave);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  void show(const LiveState& state) const {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) size = {30, 100, 0, 0};
    put("\033[H" + drill::picture(state, size.ws_col, size.ws_row) + "\033[J");
  }
  // 0: no key within the time; -1: the terminal is gone.
  static int key(int wait_ms) {
    pollfd entry{STDIN_FILENO, POLLIN, 0};
    if (::poll(&entry, 1, wait_ms) <= 0) return 0;
    char c = 0;
    return ::read(STDIN_FILENO, &c, 1) == 1 ? c : -1;
  }

 private:
  mutable std::atomic<bool> left_ = false;
  termios before_{};
};

// The tenants that always write, so that there is something to see.
class Traffic {
 public:
  Traffic(const drill::Field& field, const DrillSettings& settings) {
    for (const auto& residency : field.topology().residencies) {
      if (residency.name == topology::kDirectory) continue;
      drill::DrillSpec spec = settings.spec;
      spec.residency = residency.name;
      spec.clients = 5;
      spec.per_s = kTrafficRate;
      spec.patience = kSecond;
      auto load = drill::load_for(field, spec);
      if (!load) continue;
      if (auto started = drill::Load::start(*load)) loads_[residency.name] = {std::move(*started), {}};
    }
  }
  void fill(drill::LiveResidency& residency) {
    const auto found = loads_.find(residency.name);
    if (found == loads_.end()) return;
    auto& [load, recent] = found->second;
    const Micros now = wall_now();
    for (auto& write : load->take()) recent.push_back(std::move(write));
    std::erase_if(recent, [&](const drill::Write& write) { return write.done < now - 60 * kSecond; });
    residency.history.assign(30, 0);
    std::size_t last = 0;
    for (const auto& write : recent) {
      if (write.outcome != drill::Outcome::acknowledged) {
        ++residency.errors;
        continue;
      }
      const Micros age = (now - write.done) / kSecond;
      if (age == 0) ++last;
      if (age < 30) ++residency.history[static_cast<std::size_t>(29 - age)];
    }
    residency.writes_per_s = static_cast<double>(last);
    residency.offered_per_s = kTrafficRate;
    const auto counters = load->counters();
    residency.waiting = counters.offered - counters.acknowledged - counters.refused - counters.unknown;
  }

 private:
  struct One {
    std::unique_ptr<drill::Load> load;
    std::vector<drill::Write> recent;
  };
  std::map<std::string, One> loads_;
};

// Looks around again and again on a thread of its own: a lost region must not stop the picture.
class Watcher {
 public:
  Watcher(const drill::Field& field, const DrillSettings& settings) : field_(field), traffic_(field, settings) {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        LiveState seen = look();
        {
          const std::lock_guard lock(mutex_);
          seen_ = std::move(seen);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
      }
    });
  }
  LiveState seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  LiveState look() {
    LiveState state;
    std::map<std::string, Json> agents;
    for (const auto& region : field_.topology().regions) {
      const auto status = field_.agent(region.name, "GET", "/v1/status", {}, 300 * kMillisecond);
      if (status) agents[region.name] = *status;
      if (const auto list = field_.agent(region.name, "GET", "/v1/events?count=30", {}, 300 * kMillisecond)) {
        events_[region.name].clear();
        for (const Json& each : *list)
          events_[region.name].push_back(
              {member_or<Micros>(each, "at_us", 0).value_or(0), region.name,
               fmt::format("{} {} {}", member_or<std::string>(each, "residency", "").value_or(""),
                           member_or<std::string>(each, "event", "").value_or(""),
                           member_or<std::string>(each, "text", "").value_or(""))});
      }
    }
    for (const auto& [region, events] : events_) state.events.insert(state.events.end(), events.begin(), events.end());
    std::stable_sort(state.events.begin(), state.events.end(),
                     [](const auto& a, const auto& b) { return a.at < b.at; });
    for (const auto& residency : field_.topology().residencies)
      state.residencies.push_back(residency_of(residency, agents));
    places(state, agents);
    return state;
  }

  drill::LiveResidency residency_of(const topology::Residency& residency, const std::map<std::string, Json>& agents) {
    drill::LiveResidency seen{.name = residency.name};
    for (const auto& [region, status] : agents) {
      for (const Json& each : status.value("residencies", Json::array())) {
        if (each.value("residency", "") != residency.name.str()) continue;
        const auto epoch = member_or<std::int64_t>(each, "epoch", 0).value_or(0);
        if (epoch > seen.epoch || (epoch == seen.epoch && seen.owner.empty())) {
          seen.epoch = epoch;
          seen.owner = member_or<std::string>(each, "owner", "").value_or("");
          seen.mode = member_or<std::string>(each, "mode", "").value_or("");
        }
        const auto proposal = member_or<std::string>(each, "proposal", "").value_or("");
        if (!proposal.empty()) seen.note = "waits for: domicile approve " + proposal;
      }
    }
    for (const auto& region : field_.topology().regions)
      if (region.name.str() != seen.owner)
        if (const auto form = topology::form_at(field_.topology(), residency, region.name.str());
            form != topology::Form::none)
          seen.links.push_back(link_of(residency.name, region.name, topology::name_of(form), agents));
    traffic_.fill(seen);
    return seen;
  }

  // Lag and state are the copy's own words.
  static drill::LiveLink link_of(const std::string& residency, const std::string& region, std::string_view form,
                                 const std::map<std::string, Json>& agents) {
    drill::LiveLink link{region, std::string(form), {}, "no word"};
    const auto agent = agents.find(region);
    if (agent == agents.end()) return link;
    for (const Json& each : agent->second.value("residencies", Json::array())) {
      if (each.value("residency", "") != residency) continue;
      const Json copy = each.value("copy", Json::object());
      link.state = copy.is_object() ? member_or<std::string>(copy, "state", "").value_or("") : "";
      if (const auto lag = member<std::int64_t>(each, "lag_ms")) link.lag = *lag * kMillisecond;
    }
    return link;
  }

  void places(LiveState& state, const std::map<std::string, Json>& agents) {
    const auto status = field_.lab_status();
    if (!status) return;
    state.title = fmt::format("{}  {}", status->value("directory", ""),
                              status->value("isolation", "") == "flat" ? "(regions are not isolated here)" : "");
    for (const auto& region : field_.topology().regions) {
      drill::LiveRegion seen{region.name, region.jurisdiction, agents.contains(region.name) ? "up" : "no agent", {}};
      for (const Json& site : (*status)["sites"])
        if (site.value("site", "") == region.name.str())
          seen.state = site.value("killed", false) ? "killed" : site.value("paused", false) ? "paused" : seen.state;
      for (const Json& path : (*status)["paths"])
        if (path.value("to", "") == region.name.str() && path.value("cut", false)) {
          const std::string from = path.value("from", "");
          seen.cut_from.push_back(from == lab::kHost ? "clients" : from);
        }
      state.regions.push_back(std::move(seen));
    }
  }

  const drill::Field& field_;
  Traffic traffic_;
  std::map<std::string, std::vector<drill::LiveEvent>> events_;  // of the last answer of each agent
  mutable std::mutex mutex_;
  LiveState seen_;
  std::jthread thread_;  // last: it uses the others
};

// One key's or drill's work at a time, off the picture's thread.
class Worker {
 public:
  bool busy() const { return busy_; }
  void start(const std::string& what, std::function<void()> work) {
    if (busy_.exchange(true)) {
      const std::lock_guard lock(mutex_);
      return tell("one thing at a time: wait for " + doing_);
    }
    if (thread_.joinable()) thread_.join();
    {
      const std::lock_guard lock(mutex_);
      doing_ = what;
    }
    thread_ = std::jthread([this, work = std::move(work)] {
      work();
      busy_ = false;
    });
  }
  void say(const std::string& text) {
    const std::lock_guard lock(mutex_);
    tell(text);
  }
  std::vector<std::string> said() const {
    const std::lock_guard lock(mutex_);
    return {said_.begin(), said_.end()};
  }

 private:
  void tell(const std::string& text) {
    said_.push_back(iso8601(wall_now()).substr(11, 8) + " " + text);
    while (said_.size() > 4) said_.pop_front();
  }
  mutable std::mutex mutex_;
  std::string doing_;
  std::deque<std::string> said_{"choose a region by its number, a residency by r"};
  std::atomic<bool> busy_ = false;
  std::jthread thread_;
};

struct Chosen {
  std::size_t region = 0, residency = 0;
  bool link = false;  // the next digit names the other end
};

void ask_lab(const drill::Field& field, Worker& worker, const std::string& verb, const Json& body,
             const std::string& done) {
  worker.start("the last key", [&field, &worker, verb, body, done] {
    const auto answer = field.lab(verb, body);
    worker.say(answer ? done : answer.error().what);
  });
}

void toggle_cut(const drill::Field& field, Worker& worker, const std::string& region,
                const std::vector<std::string>& others, bool heal) {
  worker.start("the last key", [&field, &worker, region, others, heal] {
    for (const auto& other : others)
      if (other != region) (void)field.lab(heal ? "heal" : "cut", {{"from", region}, {"to", other}});
    worker.say(fmt::format("{} is {} {}", region, heal ? "connected again with" : "cut off from",
                           others.size() > 1         ? "everybody"
                           : others[0] == lab::kHost ? "its clients"
                                                     : others[0]));
  });
}

void run_drill(const drill::Field& field, Worker& worker, const DrillSettings& settings, const std::string& residency,
               bool loss) {
  worker.start("the drill", [&field, &worker, settings, residency, loss] {
    drill::DrillSpec spec = settings.spec;
    spec.residency = residency;
    spec.patience = 20 * kSecond;
    const auto talk = [&](const std::string& text) { worker.say(text); };
    const auto to = drill::other_owner(field, residency);
    if (!loss && !to) return worker.say(to.error().what);
    const auto plan = drill_file(loss ? "region-loss-kill" : "planned-switch");
    if (!plan) return worker.say(plan.error().what);
    auto run = drill::run_plan(field, spec, *plan, talk);
    if (!run) return worker.say("no drill: " + run.error().what);
    const auto report = drill::judge(drill::subject_of(*plan, spec, settings.topology.lease.ttl), {std::move(*run)});
    const auto ms = [](const std::optional<Micros>& length) {
      return length ? fmt::format("{} ms", *length / kMillisecond) : std::string("-");
    };
    worker.say(fmt::format("{}: {} acknowledged, {} missing, {} unknown, {} errors, {}",
                           report.held() ? "held" : "BROKEN", report.counts.acknowledged,
                           report.missing ? fmt::to_string(report.missing->size()) : "?", report.counts.unknown,
                           report.counts.refused,
                           loss ? "RTO " + ms(report.rto_p99) + ", RPO " + ms(report.rpo_max)
                                : "pause p99 " + ms(report.pause_p99) + ", max " + ms(report.pause_max)));
    for (const auto& broken : report.broken) worker.say("broken: " + broken);
  });
}

// Acts on one key; false: quit.
bool act(int key, const LiveState& seen, Chosen& chosen, const drill::Field& field, Worker& worker,
         const DrillSettings& settings) {
  if (key == 'q' || key == 3 || key == -1) return false;
  if (key >= '0' && key <= '9') {
    const auto index = static_cast<std::size_t>(key - '1');
    if (chosen.link && (key == '0' || index < seen.regions.size())) {
      const std::string other = key == '0' ? lab::kHost : seen.regions[index].name;
      const auto& cut = seen.regions[chosen.region].cut_from;
      const bool is_cut = std::find(cut.begin(), cut.end(), key == '0' ? "clients" : other) != cut.end();
      toggle_cut(field, worker, seen.regions[chosen.region].name, {other}, is_cut);
    } else if (index < seen.regions.size()) {
      chosen.region = index;
    }
    chosen.link = false;
    return true;
  }
  chosen.link = key == 'l';
  if (key == 'r' && !seen.residencies.empty()) chosen.residency = (chosen.residency + 1) % seen.residencies.size();
  if (key == 'h') ask_lab(field, worker, "heal", Json::object(), "every link is whole");
  if (chosen.region >= seen.regions.size() || chosen.residency >= seen.residencies.size()) return true;
  const auto& region = seen.regions[chosen.region];
  const Json site{{"site", region.name}};
  if (key == 'k') ask_lab(field, worker, "kill", site, region.name + " is killed");
  if (key == 's') ask_lab(field, worker, "start", site, region.name + " is started");
  if (key == 'p' && region.state == "paused") ask_lab(field, worker, "resume", site, region.name + " goes on");
  if (key == 'p' && region.state != "paused") ask_lab(field, worker, "pause", site, region.name + " is paused");
  if (key == 'c') {
    std::vector<std::string> others{lab::kHost};
    for (const auto& other : seen.regions) others.push_back(other.name);
    toggle_cut(field, worker, region.name, others, !region.cut_from.empty());
  }
  const std::string& residency = seen.residencies[chosen.residency].name;
  if ((key == 'w' || key == 'x') && residency == topology::kDirectory)
    worker.say("the directory has no writing clients: choose another residency by r");
  else if (key == 'w' || key == 'x')
    run_drill(field, worker, settings, residency, key == 'x');
  return true;
}

Result<Exit> run(const Args& args, Io& io) {
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0)
    return fail(Kind::invalid_input, "the live view needs a terminal", "domicile lab once");
  DrillSettings settings = TRY(drill_settings(args));
  if (!args.has("rate")) settings.spec.per_s = kDrillRate;
  std::unique_ptr<TemporaryLab> own;
  if (!lab_runs(settings.directory)) {
    io.err << "bringing the lab up; q will take it down again" << std::endl;
    own = TRY(TemporaryLab::up(settings));
  }
  const auto field = TRY(drill::Field::open(settings.directory, settings.topology));
  {
    const Screen screen;
    if (own) own->before_end([&screen] { screen.leave(); });
    Worker worker;
    const Watcher watcher(field, settings);
    Chosen chosen;
    while (true) {
      LiveState state = watcher.seen();
      state.message = worker.said();
      if (chosen.link && chosen.region < state.regions.size())
        state.message.push_back(fmt::format("cut or heal {} and which other? its number, 0 for the clients",
                                            state.regions[chosen.region].name));
      state.region = chosen.region;
      state.residency = chosen.residency;
      screen.show(state);
      const int key = Screen::key(200);
      if (key != 0 && !act(key, state, chosen, field, worker, settings)) break;
    }
    if (own) own->before_end({});
    screen.leave();
    if (worker.busy()) io.err << "finishing what was begun; Ctrl-C ends it at once" << std::endl;
  }
  if (own) io.err << "taking the lab down" << std::endl;
  return Exit::ok;
}

}  // namespace

Verb lab_live_verb() {
  std::vector<Option> options = drill_options({});
  for (Option& option : options)
    if (option.name == "rate") option.doc = "Writes per second of a drill's clients together (default: 100).";
  return {"lab live",
          "Watch a lab and play with it: cut and heal links, kill and start regions, run drills by keys.",
          {},
          std::move(options),
          {"domicile lab live", "domicile lab live --base 100"},
          run};
}

}  // namespace domicile::cli
