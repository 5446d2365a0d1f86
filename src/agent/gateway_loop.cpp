#include "agent/gateway_loop.hpp"

#include <sys/random.h>

#include "agent/snapshot_words.hpp"
#include "edge/publish.hpp"

namespace domicile::agent {
namespace {

constexpr Micros kDirectoryPeriod = 200 * kMillisecond;

// Wall-clock microseconds: grows over restarts of the agent, and needs no file that could be lost.
std::uint64_t next_generation(std::uint64_t last) { return std::max(last + 1, static_cast<std::uint64_t>(wall_now())); }

}  // namespace

GatewayLoop::GatewayLoop(GatewaySetup setup, Published<GatewaySeen>& board, Bell& changes)
    : setup_(std::move(setup)), changes_(changes), board_(board) {}

snapshot::AuthorityRow GatewayLoop::row_of(const topology::Residency& residency, const ResidencySeen& seen,
                                           const QuorumSeen& quorum) const {
  snapshot::AuthorityRow row;
  row.residency = residency.name.str();
  row.here = form_of(topology::form_at(*setup_.topology, residency, setup_.region));
  row.reads_stale = residency.reads == topology::Reads::stale;
  if (!seen.record) return row;
  const auto& record = seen.record->value;
  row.owner = record.owner;
  row.epoch = static_cast<std::uint64_t>(record.epoch);
  row.mode = mode_of(record.mode);
  row.switch_id = record.switch_id;
  // Given up, or its owner dead: nobody is about to answer, and who waits would wait for nothing.
  const bool given_up = record.mode == authority::Mode::draining && record.to.empty();
  if (record.mode != authority::Mode::moving && (given_up || seen.owner_expired)) row.mode = snapshot::Mode::down;
  const auto lease = quorum.leases.find(row.residency);
  if (record.owner == setup_.region && lease != quorum.leases.end() && lease->second.epoch == record.epoch)
    row.lease_end = lease->second.gateway_end.at;
  if (const auto site = setup_.sites->find(record.owner); site != setup_.sites->end()) {
    row.tunnel = site->second.tunnel;
    row.forward = site->second.forward;
  }
  return row;
}

void GatewayLoop::write_authority() {
  const auto quorum = setup_.quorum->get();
  snapshot::AuthoritySnapshot snap;
  snap.region = setup_.region;
  snap.policy_hash = setup_.policy_hash.substr(0, snapshot::kNameSize - 1);
  snap.boot_id = host_boot_id();
  GatewaySeen next;
  for (const auto& residency : setup_.topology->residencies) {
    const auto seen = setup_.residencies.at(residency.name.str())->get();
    snap.rows.push_back(row_of(residency, *seen, *quorum));
    if (seen->record) next.record_texts[residency.name.str()] = seen->record->text;
  }
  auto bytes = snapshot::compile(snap);
  if (bytes && *bytes == written_) {
    if (next.record_texts == last_.record_texts) return;  // nothing that a gateway could see
  } else if (bytes) {
    written_ = *bytes;
  }
  next.generation = snap.generation = next_generation(last_.generation);
  bytes = snapshot::compile(snap);
  const auto done = bytes ? edge::publish(setup_.directory / "authority.snap", *bytes)
                          : Result<void>(tl::unexpected<Error>(bytes.error()));
  if (!done) {
    written_.clear();
    next = last_;
    next.trouble = one_line(done.error());
    if (next.trouble != last_.trouble)
      setup_.log.error("gateway.snapshot", "cannot write authority.snap", {{Field::reason, next.trouble}});
  }
  last_ = next;
  board_.set(std::move(next));
}

void GatewayLoop::write_tenants() {
  auto directory = setup_.read_directory(directory_version_);
  if (!directory) {
    setup_.log.debug("gateway.directory", "cannot read the directory", {{Field::reason, one_line(directory.error())}});
    return;
  }
  if (!*directory) return;
  snapshot::TenantsSnapshot snap;
  snap.generation = tenants_generation_ = next_generation(tenants_generation_);
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
  directory_version_ = (*directory)->version;
  if (!wrote_tenants_) setup_.log.info("gateway.tenants", "tenants.snap is there", {{Field::tenant_count, count}});
  wrote_tenants_ = true;
}

void GatewayLoop::run(const std::stop_token& stop) {
  std::uint64_t rung = 0;
  Micros directory_due = 0;
  while (!stop.stop_requested()) {
    life_.begin_pass();
    write_authority();
    if (setup_.read_directory && monotonic_now() >= directory_due) {
      write_tenants();
      directory_due = monotonic_now() + kDirectoryPeriod;
    }
    rung = changes_.wait(rung, setup_.read_directory ? directory_due : monotonic_now() + kSecond);
  }
}

}  // namespace domicile::agent
