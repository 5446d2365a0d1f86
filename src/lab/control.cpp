#include "lab/control.hpp"

#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/http_server.hpp"
#include "lab/faults.hpp"

namespace domicile::lab {
namespace {

Json status_json(Lab& lab, const Faults& faults) {
  Json json{{"isolation", name_of(lab.isolation())},
            {"directory", lab.spec().directory.string()},
            {"base", lab.spec().base},
            {"recorded", lab.spec().record.string()},
            {"sites", Json::array()},
            {"paths", Json::array()},
            {"faults", faults.json()}};
  for (const SiteState& site : lab.sites())
    json["sites"].push_back({{"site", site.name},
                             {"address", site.address},
                             {"voter", site.voter},
                             {"killed", site.killed},
                             {"paused", site.paused},
                             {"running", site.running},
                             {"processes", site.processes}});
  for (const PathState& path : lab.wan().paths())
    json["paths"].push_back({{"from", path.from},
                             {"to", path.to},
                             {"latency_ms", static_cast<double>(path.latency) / 1000},
                             {"cut", path.cut},
                             {"bytes_per_s", path.bytes_per_s},
                             {"flap_ms", path.flap_period / 1000},
                             {"bytes", path.bytes},
                             {"connections", path.connections}});
  return json;
}

// A direction between two places of this lab, clients' own included.
struct Pair {
  std::string from, to;
};
Result<Pair> pair_of(const Lab& lab, const Json& body) {
  Pair pair{TRY(member<std::string>(body, "from")), TRY(member<std::string>(body, "to"))};
  for (const std::string& name : {pair.from, pair.to}) {
    bool known = name == kHost;
    for (const Site& site : lab.spec().sites) known |= site.name == name;
    if (!known) return fail(Kind::invalid_input, "the lab has no site " + name, "domicile lab status");
  }
  if (pair.from == pair.to) return fail(Kind::invalid_input, "name two different sites");
  return pair;
}

Result<void> act_on_paths(Lab& lab, const std::string& verb, const Json& body) {
  if (verb == "heal" && !body.contains("from")) {
    lab.wan().heal_all();
    return {};
  }
  const Pair pair = TRY(pair_of(lab, body));
  const bool one_way = TRY(member_or<bool>(body, "one_way", false));
  const auto rate = TRY(member_or<std::int64_t>(body, "bytes_per_s", 0));
  const auto period = TRY(member_or<std::int64_t>(body, "period_ms", 0));
  if ((verb == "slow" && rate <= 0) || (verb == "flap" && period <= 0))
    return fail(Kind::invalid_input, verb + " needs a positive figure");
  const auto act = [&](const std::string& from, const std::string& to) {
    if (verb == "cut") lab.wan().cut(from, to);
    if (verb == "heal") lab.wan().heal(from, to);
    if (verb == "slow") lab.wan().slow(from, to, static_cast<std::uint64_t>(rate));
    if (verb == "flap") lab.wan().flap(from, to, period * kMillisecond);
  };
  act(pair.from, pair.to);
  if (!one_way) act(pair.to, pair.from);
  return {};
}

Result<void> act(Lab& lab, const std::string& verb, const Json& body) {
  if (verb == "cut" || verb == "heal" || verb == "slow" || verb == "flap") return act_on_paths(lab, verb, body);
  const std::string site = TRY(member<std::string>(body, "site"));
  if (verb == "kill") return lab.kill(site);
  if (verb == "pause") return lab.pause(site);
  if (verb == "resume") return lab.resume(site);
  if (verb == "start") return lab.start(site);
  if (verb == "disk") return lab.fill_disk(site, TRY(member<bool>(body, "full")));
  if (verb == "clock") return lab.set_clock(site, TRY(member<Micros>(body, "off_us")));
  if (verb.ends_with("-program")) {
    const auto program = TRY(member<std::string>(body, "program"));
    if (verb == "kill-program") return lab.kill_program(site, program);
    if (verb == "start-program") return lab.start_program(site, program);
    if (verb == "pause-program") return lab.pause_program(site, program);
    if (verb == "resume-program") return lab.resume_program(site, program);
  }
  if (verb == "revoke") return lab.revoke(site, TRY(member<std::string>(body, "whose")));
  if (verb == "unrevoke") return lab.unrevoke(site);
  return fail(Kind::invalid_input, "the lab does not know " + verb);
}

// A fault that a process holds is remembered; any other one is a person's to end.
Result<void> order(Lab& lab, Faults& faults, const std::string& verb, const Json& body) {
  if (verb == "undo")
    return body.contains("holder") ? faults.undo(TRY(holder_of(body["holder"])).process) : faults.undo_all();
  if (body.contains("holder")) return faults.set(TRY(holder_of(body["holder"])), verb, body);
  return act(lab, verb, body);
}

HttpReply answer(Lab& lab, Faults& faults, const HttpCall& call) {
  if (call.method == "GET" && call.path == "/status") return {200, dump(status_json(lab, faults))};
  if (call.method != "POST" || call.path.size() < 2) return {404, "{}"};
  if (call.path == "/down") {
    ::kill(::getpid(), SIGTERM);
    return {200, "{}"};
  }
  const auto body = parse_json(call.body.empty() ? "{}" : call.body, "request");
  Result<void> done;
  if (body)
    done = order(lab, faults, call.path.substr(1), *body);
  else
    done = tl::unexpected<Error>(body.error());
  if (done) return {200, "{}"};
  return {done.error().kind == Kind::failed     ? 500
          : done.error().kind == Kind::conflict ? 409
                                                : 400,
          dump({{"error", done.error().what}, {"fix", done.error().fix}})};
}

bool may_enter(fs::path path) {  // everybody may
  for (; path != path.root_path(); path = path.parent_path()) {
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0 && (info.st_mode & S_IXOTH) == 0) return false;
  }
  return true;
}

// Whether the end came meanwhile, asked for or by signal. The signals must be blocked in every thread.
bool ended_within(Micros time) {
  sigset_t ends;
  sigemptyset(&ends);
  for (const int number : {SIGINT, SIGTERM}) sigaddset(&ends, number);
  const timespec wait{time / kSecond, time % kSecond * 1000};
  return ::sigtimedwait(&ends, nullptr, &wait) > 0;
}

}  // namespace

std::vector<Site> sites_of(const topology::Topology& topology) {
  std::vector<Site> sites;
  for (const auto& region : topology.regions) {
    Site site{region.name, region.jurisdiction, false, {}};
    for (const auto& residency : topology.residencies)
      if (residency.name != topology::kDirectory &&
          topology::form_at(topology, residency, region.name.str()) == topology::Form::full)
        site.full_residencies.push_back(residency.name);
    sites.push_back(std::move(site));
  }
  for (const auto& voter : topology.voters) sites.push_back({voter, "", true, {}});
  return sites;
}

fs::path default_directory(const fs::path& checkout, int base) {
  const fs::path wanted = checkout / "build" / (base == 0 ? "lab" : fmt::format("lab-{}", base));
  if (::geteuid() != 0 || may_enter(checkout)) return wanted;
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a: the same folder for the same checkout, always
  for (const char c : wanted.string()) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return fmt::format("/var/tmp/domicile-lab-{:016x}", hash);
}

Result<void> launch_demo(Lab& lab, const fs::path& schema) {
  const std::string sql = TRY(read_file(schema));
  for (const Site& site : lab.spec().sites) {
    if (site.voter) continue;
    const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(
        PQconnectdb(lab.database_of(site.name, "postgres").c_str()), &PQfinish);
    const std::unique_ptr<PGresult, decltype(&PQclear)> made(PQexec(connection.get(), sql.c_str()), &PQclear);
    if (PQresultStatus(made.get()) != PGRES_COMMAND_OK)
      return fail(Kind::failed,
                  fmt::format("{} failed in {}: {}", schema.string(), site.name, PQerrorMessage(connection.get())));
    const std::string listen = fmt::format("{}:{}", lab.address(site.name, site.name), lab.port(site.name, demo));
    CHECK_OK(lab.launch(site.name, "demo",
                        {{lab.binary("domicile-demo").string(), listen, lab.database_of(site.name, "app")}}));
  }
  return {};
}

Result<void> serve(const LabSpec& spec, const Furnish& furnish, const std::function<void()>& ready) {
  sigset_t ends;
  sigemptyset(&ends);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ends, number);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  const Isolation isolation = spec.flat ? Isolation::flat : prepare_isolation();
  const auto lab = TRY(Lab::up(spec, isolation));
  if (furnish) CHECK_OK(furnish(*lab));
  Faults faults([&lab](const std::string& verb, const Json& body) {
    fmt::print(stderr, "{}  {} {}\n", iso8601(wall_now()), verb, dump(body));
    const auto done = act(*lab, verb, body);
    if (!done) fmt::print(stderr, "{}  {}\n", iso8601(wall_now()), one_line(done.error()));
    return done;
  });
  const auto server = TRY(HttpServer::start({.unix_socket = (lab->spec().directory / "lab.sock").string()},
                                            [&](const HttpCall& call) { return answer(*lab, faults, call); }));
  ready();
  while (!ended_within(200 * kMillisecond)) {
    faults.undo_orphans();
    if (lab->spec().holder.pid != 0 && !alive(lab->spec().holder)) break;
  }
  return {};
}

namespace {

constexpr std::string_view kStep = "step ", kUp = "up", kFailed = "failed ", kRefused = "refused ";

// The daemon's side: tells its progress by lines, its last word is whether it is up.
[[noreturn]] void be_daemon(LabSpec spec, const Furnish& furnish, Fd pipe, pid_t parent) {
  // Until it is up it belongs to whoever waits for it; a killed one must not leave a lab that comes up by itself.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  ::setsid();
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const Fd log(::open((spec.directory / "lab.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  ::dup2(null.get(), 0);
  ::dup2(log.get(), 1);
  ::dup2(log.get(), 2);
  const auto tell = [&pipe](std::string_view kind, const std::string& text) {
    const std::string line = fmt::format("{}{}\n", kind, text);
    [[maybe_unused]] const ssize_t n = ::write(pipe.get(), line.data(), line.size());
  };
  spec.progress = [&tell, begin = monotonic_now()](const std::string& text) {
    fmt::print(stderr, "{:6.1f} s  {}\n", static_cast<double>(monotonic_now() - begin) / kSecond, text);
    tell(kStep, text);
  };
  bool came_up = false;
  const auto served = serve(spec, furnish, [&] {
    ::prctl(PR_SET_PDEATHSIG, 0);
    tell(kUp, "");
    pipe.reset();
    came_up = true;
  });
  if (!served) {
    fmt::print(stderr, "{}\n", render(served.error()));
    const Kind kind = served.error().kind;
    // Refused: what lies in the folder may be somebody else's, or a lab that runs.
    if (!came_up)
      tell(kind == Kind::conflict || kind == Kind::invalid_input ? kRefused : kFailed, render(served.error()));
  }
  // Whoever it was for has died and removes nothing any more.
  if (came_up && spec.holder.pid != 0 && !alive(spec.holder)) {
    std::error_code code;
    fs::remove_all(spec.record, code);
    clear(spec.directory, Leave::nothing);
  }
  ::_exit(served ? 0 : 1);
}

// Blocks the signals that end a process, for as long as it lives, and tells which one came.
class Interrupts {
 public:
  Interrupts() {
    sigset_t ends;
    sigemptyset(&ends);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ends, number);
    pthread_sigmask(SIG_BLOCK, &ends, &before_);
    fd_ = Fd(::signalfd(-1, &ends, SFD_CLOEXEC));
  }
  ~Interrupts() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  int fd() const { return fd_.get(); }
  int number() const {
    signalfd_siginfo info{};
    return ::read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : SIGTERM;
  }

 private:
  sigset_t before_{};
  Fd fd_;
};

struct Heard {
  bool up = false, refused = false;
  int interrupted = 0;  // by this signal
  std::string last;     // of a daemon that is not up: why
};

// Listens until the daemon is up, ends, or somebody interrupts us.
Heard listen_to(const Fd& pipe, const Interrupts& interrupts, const Talk& talk) {
  Heard heard;
  std::string text;
  while (true) {
    pollfd entries[] = {{pipe.get(), POLLIN, 0}, {interrupts.fd(), POLLIN, 0}};
    if (::poll(entries, 2, -1) <= 0) continue;
    if (entries[1].revents != 0) {
      heard.interrupted = interrupts.number();
      return heard;
    }
    char buffer[4096];
    const ssize_t n = ::read(pipe.get(), buffer, sizeof buffer);
    if (n <= 0) break;
    text.append(buffer, static_cast<std::size_t>(n));
    while (text.starts_with(kStep) && text.find('\n') != std::string::npos) {
      const std::size_t end = text.find('\n');
      if (talk) talk(text.substr(kStep.size(), end - kStep.size()));
      text.erase(0, end + 1);
    }
  }
  heard.up = text.starts_with(kUp);
  heard.refused = text.starts_with(kRefused);
  heard.last = text.starts_with(kFailed)    ? text.substr(kFailed.size())
               : text.starts_with(kRefused) ? text.substr(kRefused.size())
                                            : "its daemon ended";
  return heard;
}

}  // namespace

Result<void> start_daemon(const LabSpec& spec, const Furnish& furnish, const Talk& talk) {
  CHECK_OK(make_directories(spec.directory));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return tl::unexpected<Error>(errno_error("cannot make a pipe"));
  const Fd reader(ends[0]);
  Fd writer(ends[1]);
  Heard heard;
  {
    const Interrupts interrupts;
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) return tl::unexpected<Error>(errno_error("cannot fork"));
    if (pid == 0) be_daemon(spec, furnish, std::move(writer), parent);
    writer.reset();
    heard = listen_to(reader, interrupts, talk);
    if (heard.up) return {};
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  if (heard.refused) return fail(Kind::conflict, "the lab did not come up: " + heard.last);
  // Nobody but us knows of it yet.
  if (heard.interrupted != 0 && talk) talk("interrupted: taking down what has come up");
  CHECK_OK(down(spec.directory, heard.interrupted != 0 ? Leave::nothing : Leave::logs));
  if (heard.interrupted != 0) {
    ::raise(heard.interrupted);  // the end that was asked for, as whoever waits for us expects it
    return fail(Kind::failed, "interrupted");
  }
  return fail(Kind::failed, "the lab did not come up: " + heard.last, "its logs are in " + spec.directory.string());
}

Result<Json> ask(const fs::path& directory, const std::string& method, const std::string& path, const Json& body) {
  HttpClient client({}, (directory / "lab.sock").string());
  const auto response = client.send({method, "http://lab" + path, {}, body.is_null() ? "" : dump(body), 60 * kSecond});
  if (!response) return fail(Kind::unavailable, "no lab answers in " + directory.string(), "domicile lab up");
  const Json json = TRY(parse_json(response->body, "the lab's answer"));
  if (response->status == 200) return json;
  return fail(response->status == 400   ? Kind::invalid_input
              : response->status == 409 ? Kind::conflict
                                        : Kind::failed,
              TRY(member_or<std::string>(json, "error", "the lab refused it")),
              TRY(member_or<std::string>(json, "fix", "")));
}

void clear(const fs::path& directory, Leave leave) {
  std::error_code code;
  if (leave == Leave::all) return;
  for (const char* name : {"certs", "bin", "topology.yaml", "lab.sock"}) fs::remove_all(directory / name, code);
  if (leave == Leave::nothing) {
    fs::remove_all(directory / "sites", code);
    fs::remove(directory / "lab.log", code);
    fs::remove(directory, code);  // not when somebody else keeps something in it
    return;
  }
  std::vector<fs::path> others;
  for (const auto& site : fs::directory_iterator(directory / "sites", code))
    for (const auto& part : fs::directory_iterator(site.path(), code)) {
      if (part.path().filename() == "logs") continue;
      if (part.path().filename() != "gateway") others.push_back(part.path());
      for (const auto& own : fs::directory_iterator(part.path(), code))
        if (own.path().filename() != "logs") others.push_back(own.path());
    }
  for (const fs::path& other : others) fs::remove_all(other, code);
}

Result<void> down(const fs::path& directory, Leave leave) {
  const ProcessId lab = lab_of(directory);
  if (ask(directory, "POST", "/down")) {
    for (const Micros deadline = monotonic_now() + 20 * kSecond;
         (fs::exists(directory / "leftovers.json") || alive(lab)) && monotonic_now() < deadline;)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  (void)TRY(end_leftovers(directory, true));
  clear(directory, leave);
  return {};
}

}  // namespace domicile::lab
