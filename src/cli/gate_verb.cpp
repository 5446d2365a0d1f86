// domicile gate: the only thing in a region that a peer's PostgreSQL can reach.
#include "cli/registry.hpp"
#include "cli/until_signal.hpp"
#include "gate/daemon.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io&) {
  const auto stop = stop_at_signal();
  const auto file = TRY(gate::read_gate_file(args.get("config")));
  CHECK_OK(gate::run_gate(file, stop));
  return Exit::ok;
}

}  // namespace

Verb gate_verb() {
  return {"gate",
          "Run the gate of one region: peers replicate through it, and it checks every row.",
          {},
          {{"config", "FILE", "gate.yaml: what it listens to and how it reaches PostgreSQL.", true}},
          {"domicile gate --config /etc/domicile/gate.yaml"},
          run};
}

}  // namespace domicile::cli
