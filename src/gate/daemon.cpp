#include "gate/daemon.hpp"

#include "base/service_manager.hpp"
#include "core/residency/links.hpp"
#include "core/topology/parse.hpp"
#include "gate/control.hpp"

namespace domicile::gate {
namespace {

constexpr std::size_t kPiece = 1U << 20;  // of first rows beside the largest one

// What the topology's file says now.
struct Obeyed {
  std::string policy;
  std::vector<GateLink> links;
};

Result<Obeyed> read_topology(const GateFile& file) {
  const auto topology = TRY(topology::load(TRY(read_file(file.topology)), file.topology.string()));
  auto links = gate_links(topology, file.region);
  if (links.empty())
    return fail(Kind::invalid_input, file.region + " may send nothing to anybody", "a voter needs no gate", "DOM-E602");
  return Obeyed{residency::policy_hash(topology), std::move(links)};
}

// A gate and whoever operates it; its rules never change.
struct Running {
  std::unique_ptr<Gate> gate;
  std::optional<HttpServer> control;
};

Result<Running> start(const GateFile& file, const Obeyed& obeyed, RevokedFile& revoked, const Log& log) {
  GateConfig config;
  config.host = file.host;
  config.port = file.port;
  config.tls = file.tls;
  config.upstream = file.database;
  config.database = file.name;
  config.links = obeyed.links;
  config.peers = gate_peers(config.links);
  config.state = file.state;
  config.largest_row = file.largest_row;
  config.revoked = [&revoked](const std::string& serial) { return revoked.contains(serial); };
  Running running;
  running.gate = TRY(Gate::start(std::move(config), log));
  running.control = TRY(HttpServer::start({.unix_socket = file.socket.string(), .max_body = file.largest_row + kPiece},
                                          [&gate = *running.gate, policy = obeyed.policy, log](const HttpCall& call) {
                                            return answer(gate, policy, log, call);
                                          }));
  for (const auto& held : running.gate->book().held())
    log.error("gate.held", "a link is held since before: domicile link resume",
              {{Field::link, held.link}, {Field::code, held.rule}, {Field::reason, held.what}});
  log.info("gate.up", "the gate listens",
           {{Field::detail, fmt::format("{}:{}, policy {}", file.host, running.gate->port(), obeyed.policy)}});
  return running;
}

}  // namespace

void Reload::ask() {
  const std::lock_guard lock(mutex_);
  asked_ = true;
  changed_.notify_all();
}

bool Reload::wait(const std::stop_token& stop, Micros patience) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, stop, std::chrono::microseconds(patience), [&] { return asked_; });
  return !stop.stop_requested() && std::exchange(asked_, false);
}

Result<void> run_gate(const GateFile& file, const std::stop_token& stop, Reload& reload) {
  const Log log(2, file.log, Level::info, file.region);
  RevokedFile revoked(file.revoked_file);
  Obeyed obeyed = TRY(read_topology(file));
  Running running = TRY(start(file, obeyed, revoked, log));
  notify_service_manager("READY=1");
  const Micros alive = watchdog_interval().value_or(60 * kSecond) / 2;
  while (!stop.stop_requested()) {
    notify_service_manager("WATCHDOG=1");
    if (!reload.wait(stop, alive)) continue;
    auto now = read_topology(file);
    if (!now) {
      log.error("gate.reload", "the topology cannot be obeyed: the gate goes on by the one before",
                {{Field::reason, one_line(now.error())}});
      continue;
    }
    if (now->policy == obeyed.policy) continue;
    obeyed = *std::move(now);
    running.control.reset();  // it uses the gate; and the next ones use the same socket, port and state
    running.gate.reset();
    running = TRY(start(file, obeyed, revoked, log));
  }
  notify_service_manager("STOPPING=1");
  return {};
}

}  // namespace domicile::gate
