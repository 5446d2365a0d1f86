#include "lab/lab.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace domicile::lab {
namespace {

constexpr Port kBetweenRegions[] = {gateway, tunnel, forward, gate, etcd_client, etcd_peer, agent_api};
constexpr Port kFromHost[] = {gateway, agent_api};

bool on_voters(Port port) { return port == etcd_client || port == etcd_peer || port == agent_api; }

std::string_view name_of(Port port) {
  switch (port) {
    case gateway:
      return "gateway";
    case tunnel:
      return "tunnel";
    case forward:
      return "forward";
    case demo:
      return "demo";
    case postgres:
      return "postgres";
    case gate:
      return "gate";
    case etcd_client:
      return "etcd-client";
    case etcd_peer:
      return "etcd-peer";
    case agent_api:
      return "agent";
  }
  return "unknown";
}

}  // namespace

Lab::Lab(LabSpec spec, Isolation isolation)
    : spec_(std::move(spec)), isolation_(isolation), uid_(::geteuid()), gid_(::getegid()) {
  int number = 0;
  for (const Site& site : spec_.sites) {
    auto place = std::make_unique<Place>();
    place->site = site;
    place->number = number += 10;
    places_.push_back(std::move(place));
  }
  // PostgreSQL refuses to run as root.
  const passwd* user = uid_ != 0                ? ::getpwuid(uid_)
                       : ::getpwnam("postgres") ? ::getpwnam("postgres")
                                                : ::getpwnam("nobody");
  if (user != nullptr) user_name_ = user->pw_name, uid_ = user->pw_uid, gid_ = user->pw_gid;
}

Result<std::unique_ptr<Lab>> Lab::up(LabSpec spec, Isolation isolation) {
  if (spec.sites.empty() || spec.sites.size() > 12)
    return fail(Kind::invalid_input, "a lab has 1 to 12 sites", "name them in the topology");
  CHECK_OK(make_directories(spec.directory));
  std::error_code code;
  spec.directory = fs::canonical(spec.directory, code);
  struct stat info {};
  if (::stat(spec.directory.c_str(), &info) != 0 || info.st_uid != ::geteuid())
    return fail(Kind::conflict, spec.directory.string() + " belongs to another user",
                "remove it, or use another checkout");
  (void)TRY(end_leftovers(spec.directory, false));
  std::unique_ptr<Lab> lab(new Lab(std::move(spec), isolation));
  lab->remember();  // from here on there is something to end
  CHECK_OK(lab->bring_up());
  return lab;
}

Result<void> Lab::bring_up() {
  say("certificates and networks");
  CHECK_OK(make_folders());
  CHECK_OK(make_certificates());
  CHECK_OK(make_network());
  if (!spec_.engines) return {};
  say("databases are made, the quorum forms");
  for (auto& place : places_) CHECK_OK(launch_etcd(*place));
  std::vector<Result<void>> made(places_.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < made.size(); ++i)
      if (!places_[i]->site.voter) threads.emplace_back([&, i] { made[i] = initialise_postgres(*places_[i]); });
  }
  for (auto& result : made) CHECK_OK(std::move(result));
  say("PostgreSQL starts");
  for (auto& place : places_)
    if (!place->site.voter) CHECK_OK(launch_postgres(*place));
  return await_engines();
}

void Lab::say(const std::string& what) const {
  if (spec_.progress) spec_.progress(what);
}

Lab::~Lab() {
  const std::lock_guard lock(mutex_);
  for (auto& place : places_) (void)kill(place->site.name);
  relay_.reset();
  std::error_code code;
  fs::remove(spec_.directory / "leftovers.json", code);
}

Result<void> Lab::make_folders() {
  std::error_code code;
  for (const char* part : {"sites", "certs", "bin"}) fs::remove_all(spec_.directory / part, code);
  if (!spec_.record.empty()) fs::remove_all(spec_.record, code);
  CHECK_OK(make_directories(spec_.directory / "bin"));
  std::vector<fs::path> binaries = spec_.binaries;
  if (!spec_.tls_tap.empty()) binaries.push_back(spec_.tls_tap);
  binaries.insert(binaries.end(), spec_.instruments.begin(), spec_.instruments.end());
  for (const fs::path& binary : binaries) {
    fs::copy_file(binary, this->binary(binary.filename().string()), code);
    if (code)
      return fail(Kind::failed, fmt::format("cannot copy {} into the lab: {}", binary.string(), code.message()));
  }
  for (const auto& place : places_) {
    for (const char* part : {"run", "logs"}) CHECK_OK(make_directories(folder(place->site.name) / part));
    if (!spec_.instruments.empty()) CHECK_OK(make_instruments(place->site.name));
    CHECK_OK(give(folder(place->site.name)));
    if (!spec_.record.empty()) CHECK_OK(make_directories(spec_.record / "tls" / place->site.name, 0700));
  }
  if (!spec_.record.empty()) {
    fs::permissions(spec_.record, fs::perms(0700), code);
    CHECK_OK(give(spec_.record));
  }
  return {};
}

Result<void> Lab::give(const fs::path& path) const {
  if (::geteuid() != 0) return {};
  const auto change = [&](const fs::path& one) { return ::lchown(one.c_str(), uid_, gid_) == 0; };
  bool all = change(path);
  std::error_code code;
  if (fs::is_directory(path, code))
    for (const auto& entry : fs::recursive_directory_iterator(path, code)) all &= change(entry.path());
  if (!all) return fail(Kind::failed, fmt::format("cannot give {} to {}", path.string(), user_name_));
  return {};
}

Result<void> Lab::make_certificates() {
  const fs::path certs = spec_.directory / "certs";
  const Authority authority = TRY(Authority::make(certs));
  for (const auto& place : places_) {
    const std::string& site = place->site.name;
    const fs::path own = certificates(site);
    CHECK_OK(make_directories(own, 0755));
    std::vector<std::string> addresses{"127.0.0.1"};
    for (const auto& from : places_) addresses.push_back(address(from->site.name, site));
    addresses.push_back(address(kHost, site));
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    CHECK_OK(authority.issue(own / "site", {site, {site, "localhost"}, addresses}));
    std::string role = "domicile_link_" + site;
    std::replace(role.begin(), role.end(), '-', '_');
    CHECK_OK(authority.issue(own / "link", {role, {}, {}}));
    // The JSON gateway of etcd refuses every call of a client whose certificate has a common name.
    CHECK_OK(authority.issue(own / "etcd", {"", {}, {}}));
    for (const std::string& residency : place->site.full_residencies)
      CHECK_OK(
          authority.issue(own / residency, {residency, {"*." + residency + ".example", std::string(kMovingHost)}, {}}));
    CHECK_OK(give(own));
  }
  CHECK_OK(make_directories(certs / "clients", 0700));
  for (const char* role : {"view", "operate", "approve", "break-glass"})
    CHECK_OK(authority.issue(certs / "clients" / role, {role, {}, {}}));
  return {};
}

std::string Lab::origin(const std::string& from) const { return from == kHost ? kClients : address(from, from); }

std::string Lab::address(const std::string& from, const std::string& to) const {
  const Place* target = find(to);
  const int number = target == nullptr ? 0 : target->number;
  const Place* source = find(from);
  if (isolation_ != Isolation::flat || from == to) return fmt::format("127.{}.0.1", number);
  // One network for all: the relay needs addresses of its own.
  return fmt::format("127.{}.{}.1", source == nullptr ? 1 : source->number, number);
}

int Lab::port(const std::string& from, Port service) const {
  return service + (from == kHost || isolation_ == Isolation::flat ? spec_.base : 0);
}

std::string Lab::database_of(const std::string& site, const std::string& role) const {
  return fmt::format("host='{}' port={} dbname={} user={} connect_timeout=5", (folder(site) / "run").string(),
                     port(site, postgres), spec_.database, role);
}

Result<void> Lab::make_network() {
  std::map<std::string, int> namespaces{{kHost, -1}};
  for (auto& place : places_) {
    if (isolation_ != Isolation::flat) place->network = TRY(make_network_namespace());
    place->inode = place->network ? inode_of(place->network.get()) : 0;
    namespaces[place->site.name] = place->network ? place->network.get() : -1;
  }
  relay_ = TRY(Relay::start(namespaces, spec_.record));
  const auto connect = [&](const std::string& from, const Place& to, Port service) -> Result<void> {
    const std::string& name = to.site.name;
    (void)TRY(relay_->add({from, name, std::string(name_of(service)), address(from, name), port(from, service),
                           address(name, name), port(name, service), origin(from)}));
    return {};
  };
  for (const auto& to : places_) {
    for (const auto& from : places_) {
      if (from == to) continue;
      for (const Port service : kBetweenRegions)
        if (!to->site.voter || on_voters(service)) CHECK_OK(connect(from->site.name, *to, service));
    }
    for (const Port service : kFromHost)
      if (!to->site.voter || on_voters(service)) CHECK_OK(connect(kHost, *to, service));
  }
  set_latencies(true);
  remember();
  return {};
}

void Lab::set_latencies(bool far) {
  for (const auto& from : places_)
    for (const auto& to : places_) {
      const bool same = from->site.jurisdiction == to->site.jurisdiction;
      if (from != to) relay_->set_latency(from->site.name, to->site.name, !far ? 0 : same ? spec_.near : spec_.far);
    }
}

Command Lab::inside_site(const Place& place, Command command) const {
  const int network = place.network ? place.network.get() : -1;
  const bool drop = ::geteuid() == 0;
  if (command.directory.empty()) command.directory = folder(place.site.name).string();
  // Bare system calls: glibc's wrappers would signal threads that a forked child does not have.
  command.in_child = [network, drop, uid = uid_, gid = gid_, also = std::move(command.in_child)] {
    if (network >= 0 && ::syscall(SYS_setns, network, CLONE_NEWNET) != 0) return false;
    if (drop && (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::syscall(SYS_setgid, gid) != 0 ||
                 ::syscall(SYS_setuid, uid) != 0))
      return false;
    return !also || also();
  };
  return command;
}

Result<void> Lab::run_program(Place& place, Program& program) {
  Command command = program.command;
  preload(place, program.name, command);
  if (command.output.empty()) command.output = (folder(place.site.name) / "logs" / (program.name + ".log")).string();
  program.process = std::make_unique<Process>(TRY(Process::start(inside_site(place, std::move(command)))));
  remember();
  return {};
}

void Lab::preload(const Place& place, const std::string& program, Command& command) const {
  std::string libraries;
  const auto add = [&](const fs::path& library) {
    libraries += (libraries.empty() ? "" : ":") + binary(library.filename().string()).string();
  };
  if (!spec_.record.empty() && !spec_.tls_tap.empty()) {
    add(spec_.tls_tap);
    command.env["DOMICILE_TLS_TAP"] = (spec_.record / "tls" / place.site.name / program).string();
  }
  for (const fs::path& library : spec_.instruments) add(library);
  if (!spec_.instruments.empty()) {
    const fs::path own = folder(place.site.name) / "instruments";
    command.env["FULL_DISK"] = (own / "disk").string();
    command.env["FULL_DISK_BELOW"] = folder(place.site.name).string() + "/";
    command.env["WALL_CLOCK_SHIFT"] = (own / "clock").string();
  }
  if (!libraries.empty()) command.env["LD_PRELOAD"] = libraries;
}

Result<void> Lab::make_instruments(const std::string& site) const {
  const fs::path own = folder(site) / "instruments";
  CHECK_OK(make_directories(own));
  CHECK_OK(write_file(own / "disk", "0"));
  return write_file(own / "clock", std::string(sizeof(std::int64_t), '\0'));
}

// In place: the programs have the file mapped.
Result<void> Lab::turn(const std::string& site, const char* instrument, std::string_view bytes) const {
  if (find(site) == nullptr) return fail(Kind::invalid_input, "the lab has no site " + site, "domicile lab status");
  if (spec_.instruments.empty())
    return fail(Kind::unavailable, "this lab has no instruments", "domicile lab up --instruments");
  const fs::path file = folder(site) / "instruments" / instrument;
  const Fd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd && ::pwrite(fd.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size())) return {};
  return tl::unexpected<Error>(errno_error("cannot write " + file.string()));
}

Result<void> Lab::fill_disk(const std::string& site, bool full) { return turn(site, "disk", full ? "1" : "0"); }

Result<void> Lab::set_clock(const std::string& site, Micros off) {
  return turn(site, "clock", {reinterpret_cast<const char*>(&off), sizeof off});
}

Result<void> Lab::at(const std::string& site, const std::function<void()>& work) {
  int network = -1;
  {
    const std::lock_guard lock(mutex_);
    const Place* place = TRY(this->place(site));
    if (place->network) network = place->network.get();
  }
  inside(network, work);
  return {};
}

Result<void> Lab::launch(const std::string& site, const std::string& name, Command command) {
  const std::lock_guard lock(mutex_);
  Place* place = TRY(this->place(site));
  const auto known = std::find_if(place->programs.begin(), place->programs.end(),
                                  [&](const Program& program) { return program.name == name; });
  if (known == place->programs.end()) {
    place->programs.push_back({name, std::move(command), nullptr});
    return run_program(*place, place->programs.back());
  }
  if (known->process && known->process->running())
    return fail(Kind::conflict, fmt::format("{} already runs in {}", name, site));
  known->command = std::move(command);
  return run_program(*place, *known);
}

Result<void> Lab::signal_program(const std::string& site, const std::string& name, int number) {
  const std::lock_guard lock(mutex_);
  Place* place = TRY(this->place(site));
  for (Program& program : place->programs) {
    if (program.name != name || !program.process || !program.process->running()) continue;
    for (const pid_t pid : descendants_of({program.process->pid()})) ::kill(pid, number);
    if (number == SIGKILL) program.process->wait();
    return {};
  }
  return fail(Kind::invalid_input, fmt::format("no {} runs in {}", name, site), "domicile lab status");
}

Result<void> Lab::kill_program(const std::string& site, const std::string& name) {
  return signal_program(site, name, SIGKILL);
}

Result<void> Lab::pause_program(const std::string& site, const std::string& name) {
  return signal_program(site, name, SIGSTOP);
}

Result<void> Lab::resume_program(const std::string& site, const std::string& name) {
  return signal_program(site, name, SIGCONT);
}
Result<void> Lab::start_program(const std::string& site, const std::string& name) {
  const std::lock_guard lock(mutex_);
  Place* place = TRY(this->place(site));
  for (Program& program : place->programs) {
    if (program.name != name) continue;
    return program.process && program.process->running() ? Result<void>() : run_program(*place, program);
  }
  return fail(Kind::invalid_input, fmt::format("{} has no {}", site, name), "domicile lab status");
}

Result<void> Lab::revoke(const std::string& site, const std::string& whose) {
  std::string list;
  for (const char* name : {"site.pem", "link.pem"}) list += TRY(serial_number(certificates(whose) / name)) + "\n";
  CHECK_OK(write_file(folder(site) / "revoked", list));
  CHECK_OK(kill_program(site, "gate"));
  return start_program(site, "gate");
}

Result<void> Lab::unrevoke(const std::string& site) { return write_file(folder(site) / "revoked", ""); }

const Lab::Place* Lab::find(const std::string& site) const {
  for (const auto& place : places_)
    if (place->site.name == site) return place.get();
  return nullptr;
}

Result<Lab::Place*> Lab::place(const std::string& site) {
  for (auto& place : places_)
    if (place->site.name == site) return place.get();
  return fail(Kind::invalid_input, "the lab has no site " + site, "domicile lab status");
}

std::vector<pid_t> Lab::members(const Place& place) const {
  if (place.inode != 0) return processes_in(place.inode);
  std::vector<pid_t> roots;
  for (const Program& program : place.programs)
    if (program.process && program.process->running()) roots.push_back(program.process->pid());
  return descendants_of(roots);
}

Result<void> Lab::kill(const std::string& site) {
  const std::lock_guard lock(mutex_);
  Place* place = TRY(this->place(site));
  for (int round = 0; round < 500; ++round) {  // again, because a process may fork while we look
    const std::vector<pid_t> found = members(*place);
    if (found.empty()) break;
    for (const pid_t pid : found) ::kill(pid, SIGKILL);
    for (Program& program : place->programs)
      if (program.process) (void)program.process->running();  // reaps
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  for (Program& program : place->programs) program.process.reset();
  place->killed = true, place->paused = false;
  if (!members(*place).empty()) return fail(Kind::failed, "processes of " + site + " do not end");
  remember();
  return {};
}

Result<void> Lab::pause(const std::string& site) {
  const std::lock_guard lock(mutex_);
  Place* place = TRY(this->place(site));
  for (int round = 0; round < 2; ++round)  // the second round finds what was forked during the first
    for (const pid_t pid : members(*place)) ::kill(pid, SIGSTOP);
  place->paused = true;
  return {};
}

Result<void> Lab::resume(const std::string& site) {
  const std::lock_guard lock(mutex_);
  Place* place = TRY(this->place(site));
  for (const pid_t pid : members(*place)) ::kill(pid, SIGCONT);
  place->paused = false;
  return {};
}

Result<void> Lab::start(const std::string& site) {
  const std::lock_guard lock(mutex_);
  Place* place = TRY(this->place(site));
  for (Program& program : place->programs)
    if (!program.process || !program.process->running()) CHECK_OK(run_program(*place, program));
  place->killed = false;
  return {};
}

std::vector<SiteState> Lab::sites() const {
  const std::lock_guard lock(mutex_);
  std::vector<SiteState> all;
  for (const auto& place : places_) {
    SiteState state;
    state.name = place->site.name;
    state.address = address(kHost, place->site.name);
    state.voter = place->site.voter, state.killed = place->killed, state.paused = place->paused;
    for (const Program& program : place->programs)
      if (program.process && program.process->running()) state.running.push_back(program.name);
    state.processes = members(*place).size();
    all.push_back(std::move(state));
  }
  return all;
}

// Best effort: without it the next start finds less to clean, and says nothing wrong.
void Lab::remember() const {
  Leftovers left;
  left.boot_id = host_boot_id();
  left.lab = identify(::getpid());
  for (const auto& place : places_) {
    if (place->inode != 0) left.namespaces.insert(place->inode);
    for (const Program& program : place->programs)
      if (program.process) left.processes.push_back(identify(program.process->pid()));
  }
  (void)save(spec_.directory, left);
}

}  // namespace domicile::lab
