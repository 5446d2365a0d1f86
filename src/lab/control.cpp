#include "lab/control.hpp"

#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/http_server.hpp"

namespace domicile::lab {
namespace {

Json status_json(Lab& lab) {
  Json json{{"isolation", name_of(lab.isolation())},
            {"directory", lab.spec().directory.string()},
            {"base", lab.spec().base},
            {"sites", Json::array()},
            {"paths", Json::array()}};
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
  if (verb == "kill-program") return lab.kill_program(site, TRY(member<std::string>(body, "program")));
  return fail(Kind::invalid_input, "the lab does not know " + verb);
}

HttpReply answer(Lab& lab, const HttpCall& call) {
  if (call.method == "GET" && call.path == "/status") return {200, dump(status_json(lab))};
  if (call.method != "POST" || call.path.size() < 2) return {404, "{}"};
  if (call.path == "/down") {
    ::kill(::getpid(), SIGTERM);
    return {200, "{}"};
  }
  const auto body = parse_json(call.body.empty() ? "{}" : call.body, "request");
  Result<void> done;
  if (body)
    done = act(lab, call.path.substr(1), *body);
  else
    done = tl::unexpected<Error>(body.error());
  if (done) return {200, "{}"};
  return {done.error().kind == Kind::failed ? 500 : 400,
          dump({{"error", done.error().what}, {"fix", done.error().fix}})};
}

bool may_enter(fs::path path) {  // everybody may
  for (; path != path.root_path(); path = path.parent_path()) {
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0 && (info.st_mode & S_IXOTH) == 0) return false;
  }
  return true;
}

// Waits for the end, asked for or by signal. The signals must be blocked in every thread.
void wait_for_end() {
  sigset_t ends;
  sigemptyset(&ends);
  for (const int number : {SIGINT, SIGTERM}) sigaddset(&ends, number);
  int number = 0;
  sigwait(&ends, &number);
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
  const Isolation isolation = prepare_isolation();
  const auto lab = TRY(Lab::up(spec, isolation));
  if (furnish) CHECK_OK(furnish(*lab));
  const auto server = TRY(HttpServer::start({.unix_socket = (lab->spec().directory / "lab.sock").string()},
                                            [&lab](const HttpCall& call) { return answer(*lab, call); }));
  ready();
  wait_for_end();
  return {};
}

Result<void> start_daemon(const LabSpec& spec, const Furnish& furnish) {
  CHECK_OK(make_directories(spec.directory));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return tl::unexpected<Error>(errno_error("cannot make a pipe"));
  const Fd reader(ends[0]);
  Fd writer(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return tl::unexpected<Error>(errno_error("cannot fork"));
  if (pid == 0) {
    ::setsid();
    const Fd null(::open("/dev/null", O_RDWR));
    const Fd log(::open((spec.directory / "lab.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    ::dup2(null.get(), 0);
    ::dup2(log.get(), 1);
    ::dup2(log.get(), 2);
    const auto tell = [&](const std::string& text) {
      [[maybe_unused]] const ssize_t n = ::write(writer.get(), text.data(), text.size());
      writer.reset();
    };
    const auto served = serve(spec, furnish, [&] { tell("up"); });
    if (!served) tell(render(served.error()));
    ::_exit(served ? 0 : 1);
  }
  writer.reset();
  std::string told;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(reader.get(), buffer, sizeof buffer)) > 0;)
    told.append(buffer, static_cast<std::size_t>(n));
  if (told == "up") return {};
  ::waitpid(pid, nullptr, 0);
  return fail(Kind::failed, "the lab did not come up: " + (told.empty() ? "its daemon ended" : told),
              "look into " + (spec.directory / "lab.log").string());
}

Result<Json> ask(const fs::path& directory, const std::string& method, const std::string& path, const Json& body) {
  HttpClient client({}, (directory / "lab.sock").string());
  const auto response = client.send({method, "http://lab" + path, {}, body.is_null() ? "" : dump(body), 60 * kSecond});
  if (!response) return fail(Kind::unavailable, "no lab answers in " + directory.string(), "domicile lab up");
  const Json json = TRY(parse_json(response->body, "the lab's answer"));
  if (response->status == 200) return json;
  return fail(response->status == 400 ? Kind::invalid_input : Kind::failed,
              TRY(member_or<std::string>(json, "error", "the lab refused it")),
              TRY(member_or<std::string>(json, "fix", "")));
}

Result<void> down(const fs::path& directory) {
  if (ask(directory, "POST", "/down")) {
    for (const Micros deadline = monotonic_now() + 20 * kSecond;
         fs::exists(directory / "leftovers.json") && monotonic_now() < deadline;)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  (void)TRY(end_leftovers(directory, true));
  std::error_code code;
  fs::remove(directory / "lab.sock", code);
  return {};
}

}  // namespace domicile::lab
