#include "agent/move_loop.hpp"

namespace domicile::agent {
namespace {

// A move holds its tenant while regions wait for each other's looks.
constexpr Micros kPeriod = 200 * kMillisecond, kWhileMoving = 20 * kMillisecond;

std::string version_of(const std::vector<moves::Move>& live) {
  std::string version = "-";
  for (const auto& move : live) version += fmt::format(" {}/{}", move.id, moves::name_of(move.phase));
  return version;
}

}  // namespace

std::map<std::string, std::string> MoveLoop::troubles() const {
  const std::lock_guard lock(mutex_);
  return troubles_;
}

// True: something moves.
bool MoveLoop::look() {
  const auto& setup = calls_.setup();
  if (!connection_ || !connection_->alive()) {
    auto opened = postgres::open_session(setup.store, "domicile-moves");
    if (opened) connection_.emplace(*std::move(opened));
  }
  const auto live = connection_ && connection_->alive()
                        ? postgres::read_moves(*connection_)
                        : Result<std::vector<moves::Move>>(tl::unexpect, Error{Kind::unavailable, "no session"});
  if (!live) {
    // What was read last stays: a database that is down releases nobody.
    const auto why = one_line(live.error());
    if (why != trouble_) setup.log.debug("move.look", "cannot read the moves", {{Field::reason, why}});
    trouble_ = why;
    connection_.reset();
    return !board_.get()->live.empty();
  }
  trouble_.clear();
  MovesSeen seen;
  seen.version = version_of(*live);
  if (seen.version != board_.get()->version) {
    for (const auto& move : *live)
      if (moves::held(move.phase) || moves::flipped(move.phase))
        seen.rows.push_back({move.tenant, move.residency(), moves::held(move.phase)});
    seen.live = *live;
    board_.set(std::move(seen));
  }
  act(*live);
  return !live->empty();
}

void MoveLoop::act(const std::vector<moves::Move>& live) {
  std::erase_if(acting_, [](const auto& each) { return each.second->ended.load(); });
  for (const auto& move : live) {
    const auto owner = calls_.owner_of(move.to);
    if (!owner || *owner != calls_.setup().config->region || acting_.contains(move.tenant)) continue;
    auto& acting = *(acting_[move.tenant] = std::make_unique<Acting>());
    acting.thread = std::jthread([this, &acting, tenant = move.tenant](const std::stop_token& stop) {
      MoveActor(calls_, stall_).run(stop, tenant, [&](std::string why) {
        const std::lock_guard lock(mutex_);
        if (why.empty())
          troubles_.erase(tenant);
        else
          troubles_[tenant] = std::move(why);
      });
      const std::lock_guard lock(mutex_);
      troubles_.erase(tenant);
      acting.ended = true;
    });
  }
}

void MoveLoop::run(const std::stop_token& stop) {
  Bell clock;
  while (!stop.stop_requested()) {
    life_.begin_pass();
    const bool moving = look();
    clock.wait(0, monotonic_now() + (moving ? kWhileMoving : kPeriod));
  }
  acting_.clear();
}

}  // namespace domicile::agent
