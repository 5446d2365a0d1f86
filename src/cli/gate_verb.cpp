// domicile gate: the only thing in a region that a peer's PostgreSQL can reach.
#include <memory>

#include "cli/registry.hpp"
#include "cli/until_signal.hpp"
#include "gate/daemon.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io&) {
  const auto reload = std::make_shared<gate::Reload>();
  const auto stop = stop_at_signal([reload] { reload->ask(); });
  const auto file = TRY(gate::read_gate_file(args.get("config")));
  CHECK_OK(gate::run_gate(file, stop, *reload));
  return Exit::ok;
}

}  // namespace

Verb gate_verb() {
  return {"gate",
          "Run the gate of one region: peers replicate through it, and it checks every row. SIGHUP: read the topology "
          "again.",
          {},
          {{"config", "FILE", "gate.yaml: what it listens to and how it reaches PostgreSQL.", true}},
          {"domicile gate --config /etc/domicile/gate.yaml"},
          run};
}

}  // namespace domicile::cli
