#include "gate/daemon.hpp"

#include <condition_variable>
#include <mutex>

#include "base/service_manager.hpp"
#include "core/topology/parse.hpp"
#include "gate/control.hpp"

namespace domicile::gate {
namespace {

constexpr std::size_t kPiece = 1U << 20;  // of first rows beside the largest one

}  // namespace

Result<void> run_gate(const GateFile& file, const std::stop_token& stop) {
  const Log log(2, file.log, Level::info, file.region);
  const auto topology = TRY(topology::load(TRY(read_file(file.topology)), file.topology.string()));
  RevokedFile revoked(file.revoked_file);
  GateConfig config;
  config.host = file.host;
  config.port = file.port;
  config.tls = file.tls;
  config.upstream = file.database;
  config.database = file.name;
  config.links = gate_links(topology, file.region);
  if (config.links.empty())
    return fail(Kind::invalid_input, file.region + " may send nothing to anybody", "a voter needs no gate", "DOM-E602");
  config.peers = gate_peers(config.links);
  config.state = file.state;
  config.largest_row = file.largest_row;
  config.revoked = [&revoked](const std::string& serial) { return revoked.contains(serial); };
  const auto gate = TRY(Gate::start(std::move(config), log));
  const auto server =
      TRY(HttpServer::start({.unix_socket = file.socket.string(), .max_body = file.largest_row + kPiece},
                            [&](const HttpCall& call) { return answer(*gate, log, call); }));
  for (const auto& held : gate->book().held())
    log.error("gate.held", "a link is held since before: domicile link resume",
              {{Field::link, held.link}, {Field::code, held.rule}, {Field::reason, held.what}});
  log.info("gate.up", "the gate listens", {{Field::detail, fmt::format("{}:{}", file.host, gate->port())}});
  notify_service_manager("READY=1");
  std::mutex mutex;
  std::condition_variable_any ended;
  std::unique_lock lock(mutex);
  const Micros alive = watchdog_interval().value_or(60 * kSecond) / 2;
  while (!ended.wait_for(lock, stop, std::chrono::microseconds(alive), [&] { return stop.stop_requested(); }))
    notify_service_manager("WATCHDOG=1");
  notify_service_manager("STOPPING=1");
  return {};
}

}  // namespace domicile::gate
