#include "agent/link_loop.hpp"

namespace domicile::agent {

using authority::Copy;

namespace {
constexpr Micros kPeriod = 300 * kMillisecond;
constexpr int kSlotRounds = 10;  // slots are kept every so many rounds
}  // namespace

LinkLoop::LinkLoop(LinkSetup setup, Published<CopiesSeen>& board) : setup_(std::move(setup)), board_(board) {}

std::optional<Micros> lag_of(const replication::CopyHealth& health, const std::optional<authority::Marker>& committed,
                             Micros seen_age, Micros life) {
  if (seen_age > life) return {};
  if (!health.complete || !health.trouble.empty() || !health.applied || !committed) return {};
  // Ahead of the last beat: beats come once a second, markers five times.
  if (health.applied->epoch != committed->epoch) return {};
  const Micros lag = committed->clock_us - health.applied->clock_us;
  // No marker is committed a lease after the owner's last beat: what is further behind us is not that beat, but one of
  // a restored quorum or what a restarted agent found there.
  if (lag < -life) return {};
  return std::max<Micros>(0, lag);
}

void LinkLoop::trouble(const std::string& residency, const char* doing, const Error& error) {
  const std::string text = one_line(error);
  std::string& last = troubles_[residency + doing];
  if (text != last) setup_.log.warn("link.trouble", doing, {{Field::residency, residency}, {Field::reason, text}});
  last = text;
}

void LinkLoop::look_at(const topology::Residency& residency) {
  const std::string& name = residency.name;
  const Copy copy = setup_.disk->copy(name);
  if (copy.source.empty() || copy.source == setup_.region || copy.state == Copy::State::none) {
    last_.erase(name);
    return;
  }
  auto health = setup_.store->copy_health({name, copy.source, setup_.region});
  if (!health) {
    last_.erase(name);
    return trouble(name, "cannot look at the copy", health.error());
  }
  const auto drift = setup_.drift->get();
  if (const auto differs = drift->schema_differs.find(name);
      differs != drift->schema_differs.end() && !differs->second.empty() && health->trouble.empty())
    health->trouble = "the schema differs from " + copy.source + "'s: " + differs->second;
  const auto quorum = setup_.quorum->get();
  const auto committed = authority::told_marker(quorum->view, copy.source, name);
  const auto& lease = setup_.topology->lease;
  last_[name] = {copy.source, *health,
                 lag_of(*health, committed, monotonic_now() - quorum->sent_at, lease.ttl + lease.margin)};
}

void LinkLoop::keep_slots(const topology::Residency& residency) {
  if (!topology::may_own(residency, setup_.region)) return;
  const std::string& name = residency.name;
  const auto seen = setup_.residencies.at(name)->get();
  if (!seen->record) return;
  const auto& record = seen->record->value;
  // Never while this region owns it, is about to, or owned it and has not proven that nothing is left to salvage.
  const Copy copy = setup_.disk->copy(name);
  const bool quiet = record.mode == authority::Mode::serving && record.owner != setup_.region;
  if (!quiet || copy.state != Copy::State::following) return;
  const auto kept = setup_.slots->keep_reverse_slots(name);
  if (!kept) trouble(name, "cannot keep the reverse slots", kept.error());
}

void LinkLoop::run(const std::stop_token& stop) {
  Bell clock;
  for (int round = 0; !stop.stop_requested(); ++round) {
    life_.begin_pass();
    for (const auto& residency : setup_.topology->residencies) {
      life_.alive();
      look_at(residency);
      if (round % kSlotRounds == 0) keep_slots(residency);
    }
    board_.set(last_);
    clock.wait(0, monotonic_now() + kPeriod);
  }
}

}  // namespace domicile::agent
