#include "agent/gateway_loop.hpp"

#include "agent/snapshot_words.hpp"
#include "edge/generations.hpp"
#include "edge/publish.hpp"

namespace domicile::agent {
GatewayLoop::GatewayLoop(GatewaySetup setup, Published<GatewaySeen>& board, Bell& changes)
    : setup_(std::move(setup)), changes_(changes), board_(board) {}

snapshot::AuthorityRow GatewayLoop::row_of(const topology::Residency& residency, const ResidencySeen& seen,
                                           const QuorumSeen& quorum) const {
  snapshot::AuthorityRow row;
  row.residency = residency.name.str();
  row.here = form_of(topology::form_at(*setup_.topology, residency, setup_.region));
  row.reads_stale = residency.reads == topology::Reads::stale;
  const auto before = before_.find(row.residency);
  if (!seen.record) {
    if (before == before_.end()) return row;
    auto kept = before->second;
    kept.here = row.here;
    kept.reads_stale = row.reads_stale;
    return kept;
  }
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
  else if (before != before_.end() && before->second.owner == record.owner && before->second.epoch == row.epoch)
    row.lease_end = before->second.lease_end;
  // The process before this one died between becoming the owner and telling the gateway: requests wait until a beat has
  // given the lease that the record promises, but not longer than one would last.
  if (record.owner == setup_.region && record.mode == authority::Mode::serving && row.lease_end == 0 &&
      monotonic_now() < begun_at_ + setup_.topology->lease.ttl)
    row.mode = snapshot::Mode::draining;
  if (const auto site = setup_.sites->find(record.owner); site != setup_.sites->end()) {
    row.tunnel = site->second.tunnel;
    row.forward = site->second.forward;
  }
  return row;
}

void GatewayLoop::recall() {
  const auto last = edge::last_authority(setup_.directory.string());
  if (!last || last->region != setup_.region) return;
  for (auto row : last->rows) {
    if (last->boot_id != host_boot_id()) row.lease_end = 0;  // of another clock
    before_[row.residency] = row;
  }
  if (setup_.moves != nullptr) moves_ = last->moves;
}

// Rows that do not fit are left out together, and the last ones stay: leases must be told in any case, and who waits
// for that version waits on.
void GatewayLoop::look_at_moves(GatewaySeen& next) {
  next.moves_version = last_.moves_version;
  if (setup_.moves == nullptr) return;
  const auto seen = setup_.moves->get();
  if (seen->version.empty()) return;
  if (const auto fit = snapshot::check(seen->rows); !fit) {
    next.trouble = one_line(fit.error());
    if (next.trouble != last_.trouble)
      setup_.log.error("gateway.moves", "cannot tell the gateway which tenants move", {{Field::reason, next.trouble}});
    return;
  }
  moves_ = seen->rows;
  next.moves_version = seen->version;
}

void GatewayLoop::write_authority() {
  // Before the leases: a record is told once its lease is there, and never the other way round.
  std::vector<std::shared_ptr<const ResidencySeen>> records;
  for (const auto& residency : setup_.topology->residencies)
    records.push_back(setup_.residencies.at(residency.name.str())->get());
  const auto quorum = setup_.quorum->get();
  snapshot::AuthoritySnapshot snap;
  snap.region = setup_.region;
  snap.policy_hash = setup_.policy_hash.substr(0, snapshot::kNameSize - 1);
  snap.boot_id = host_boot_id();
  GatewaySeen next;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto& residency = setup_.topology->residencies[i];
    snap.rows.push_back(row_of(residency, *records[i], *quorum));
    if (records[i]->record) next.record_texts[residency.name.str()] = records[i]->record->text;
  }
  look_at_moves(next);
  snap.moves = moves_;
  auto bytes = snapshot::compile(snap);
  if (bytes && *bytes == written_) {
    // Nothing that a gateway could see, and nothing that anybody waits for.
    if (next.record_texts == last_.record_texts && next.moves_version == last_.moves_version &&
        next.trouble == last_.trouble)
      return;
  } else if (bytes) {
    written_ = *bytes;
  }
  next.generation = snap.generation = last_.generation + 1;
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

void GatewayLoop::run(const std::stop_token& stop) {
  std::uint64_t rung = 0;
  last_.generation = edge::highest_generations(setup_.directory.string()).authority;
  recall();
  begun_at_ = monotonic_now();
  while (!stop.stop_requested()) {
    life_.begin_pass();
    write_authority();
    rung = changes_.wait(rung, monotonic_now() + kSecond);
  }
}

}  // namespace domicile::agent
