#include "agent/tenants_loop.hpp"

#include <sys/random.h>

#include "agent/published.hpp"
#include "edge/generations.hpp"
#include "edge/publish.hpp"

namespace domicile::agent {
namespace {
constexpr Micros kPeriod = 200 * kMillisecond;
}

void TenantsLoop::look() {
  auto directory = setup_.read_directory(version_);
  if (!directory) {
    setup_.log.debug("gateway.directory", "cannot read the directory", {{Field::reason, one_line(directory.error())}});
    return;
  }
  if (!*directory) return;
  snapshot::TenantsSnapshot snap;
  snap.generation = generation_ + 1;
  if (::getrandom(snap.seed, sizeof snap.seed, 0) != sizeof snap.seed) return;
  snap.hosts = std::move((*directory)->hosts);
  const auto count = static_cast<std::int64_t>(snap.hosts.size());
  const auto bytes = snapshot::compile(snap);
  const auto done = bytes ? edge::publish(setup_.directory / "tenants.snap", *bytes)
                          : Result<void>(tl::unexpected<Error>(bytes.error()));
  if (!done) {
    setup_.log.error("gateway.snapshot", "cannot write tenants.snap", {{Field::reason, one_line(done.error())}});
    return;
  }
  generation_ = snap.generation;
  if (version_.empty()) setup_.log.info("gateway.tenants", "tenants.snap is there", {{Field::tenant_count, count}});
  version_ = (*directory)->version;
  board_.set({version_, generation_});
}

void TenantsLoop::run(const std::stop_token& stop) {
  Bell clock;
  generation_ = edge::highest_generations(setup_.directory.string()).tenants;
  while (!stop.stop_requested()) {
    life_.begin_pass();
    look();
    clock.wait(0, monotonic_now() + kPeriod);
  }
}

}  // namespace domicile::agent
