#include "core/snapshot/decision.hpp"

namespace domicile::snapshot {

std::string_view name_of(Action action) noexcept {
  constexpr std::string_view names[kActions] = {"serve",           "tunnel",     "forward",         "hold",
                                                "misdirected_421", "refuse_451", "unavailable_503", "unknown_504",
                                                "bad_400"};
  return names[static_cast<std::size_t>(action)];
}

std::string_view name_of(Reason reason) noexcept {
  constexpr std::string_view names[] = {"owner_here",        "owner_elsewhere",
                                        "unknown_host",      "no_snapshot",
                                        "unknown_residency", "unlawful_here",
                                        "draining",          "moving",
                                        "tenant_moving",     "down",
                                        "unknown_mode",      "lease_over",
                                        "stale_read",        "forwarded_already",
                                        "no_address",        "no_certificate",
                                        "host_is_not_sni",   "tenant_header",
                                        "hold_full",         "hold_timeout",
                                        "outcome_unknown",   "no_answer",
                                        "peer_unreachable",  "application_unreachable"};
  return names[static_cast<std::size_t>(reason)];
}

void World::bind(const TenantsView* tenants, const AuthorityView* authority, std::string_view boot_id) noexcept {
  tenants_ = tenants != nullptr && !tenants->empty() ? tenants : nullptr;
  authority_ = authority != nullptr && !authority->empty() ? authority : nullptr;
  to_authority_.fill(kNone);
  owned_here_.fill(false);
  move_count_ = 0;
  same_boot_ = authority_ != nullptr && !boot_id.empty() && authority_->boot_id() == boot_id;
  if (authority_ == nullptr) return;
  for (std::uint16_t i = 0; i < authority_->residencies(); ++i)
    owned_here_[i] = authority_->region() == authority_->entry(i).owner;
  move_count_ = authority_->moves();
  for (std::uint16_t i = 0; i < move_count_; ++i) {
    const MoveEntry& move = authority_->move(i);
    moves_[i] = {move.tenant, authority_->find(move.residency), move.held != 0};
  }
  if (tenants_ == nullptr) return;
  for (std::uint16_t i = 0; i < tenants_->residencies(); ++i)
    to_authority_[i] = authority_->find(tenants_->residency(i));
}

std::uint16_t World::index_of(std::uint16_t tenants_residency) const noexcept {
  return tenants_residency < kMaxResidencies ? to_authority_[tenants_residency] : kNone;
}

const Move* World::move_of(std::string_view tenant) const noexcept {
  for (std::uint16_t i = 0; i < move_count_; ++i)
    if (moves_[i].tenant == tenant) return &moves_[i];
  return nullptr;
}

Route World::route_with_moves(Found found) const noexcept {
  TenantId tenant;
  // Whose it is cannot be told, so neither whether it moves.
  if (!tenants_->tenant(found, tenant)) return {};
  const Move* move = move_of(tenant.view());
  return move == nullptr ? Route{index_of(found.residency), false} : Route{move->residency, move->held};
}

const AuthorityEntry* World::entry_of(std::uint16_t tenants_residency) const noexcept {
  const std::uint16_t index = index_of(tenants_residency);
  return index == kNone ? nullptr : &authority_->entry(index);
}

bool World::owned_here(const AuthorityEntry& entry) const noexcept {
  return owned_here_[static_cast<std::size_t>(&entry - &authority_->entry(0))];
}

namespace {

struct Verdict {
  Action action;
  Reason reason;
};

Verdict at_owner(const World& world, const AuthorityEntry& entry, const Question& q) noexcept {
  if (world.lease_live(entry, q.now)) return {Action::serve, Reason::owner_here};
  if (!q.write && entry.reads_stale != 0) return {Action::serve, Reason::stale_read};
  return {Action::unavailable_503, Reason::lease_over};
}

// A region that may hold the residency but does not own it.
Verdict to_owner(const AuthorityEntry& entry, Via via) noexcept {
  // Two regions with different views would throw a request to and fro. 421 is safe: nothing was done with it, and the
  // gateway that sent it asks its own authority again.
  if (via == Via::forwarded) return {Action::misdirected_421, Reason::forwarded_already};
  if (entry.owner[0] == 0) return {Action::unavailable_503, Reason::down};
  if (entry.forward[0] == 0) return {Action::unavailable_503, Reason::no_address};
  return {Action::forward, Reason::owner_elsewhere};
}

Verdict verdict(const World& world, const AuthorityEntry& entry, bool tenant_held, const Question& q) noexcept {
  // A decrypted request where only reduced data may lie. With another SNI the client gets home; without one, or when a
  // peer sent it, another connection would end here again.
  if (entry.form_here() != Form::full)
    return {q.via == Via::tls ? Action::misdirected_421 : Action::refuse_451, Reason::unlawful_here};
  // As under Mode::moving: the sender holds it.
  if (tenant_held && q.via == Via::forwarded) return {Action::misdirected_421, Reason::forwarded_already};
  if (tenant_held) return {Action::hold, Reason::tenant_moving};
  const bool here = world.owned_here(entry);
  switch (entry.current_mode()) {
    case Mode::serving:
      return here ? at_owner(world, entry, q) : to_owner(entry, q.via);
    case Mode::draining:
      if (!here && q.via == Via::forwarded) return to_owner(entry, q.via);
      if (q.write) return {Action::hold, Reason::draining};
      if (!here) return to_owner(entry, q.via);
      // Its lease is not extended any more: a read that comes late waits for the new owner.
      if (const Verdict read = at_owner(world, entry, q); read.action == Action::serve) return read;
      return {Action::hold, Reason::draining};
    case Mode::moving:
      // The sender holds it better than we: it will know as soon as we whether it has become the owner itself.
      if (q.via == Via::forwarded) return {Action::misdirected_421, Reason::forwarded_already};
      return {Action::hold, Reason::moving};
    case Mode::down:
      return {Action::unavailable_503, Reason::down};
    case Mode::unknown:
      break;
  }
  return {Action::unavailable_503, Reason::unknown_mode};
}

}  // namespace

Decision decide(const World& world, Found found, const Question& question) noexcept {
  Decision decision{.found = found};
  if (world.tenants() == nullptr || world.authority() == nullptr) return decision;
  const auto give = [&](Action action, Reason reason) {
    decision.action = action;
    decision.reason = reason;
    return decision;
  };
  if (found.residency == kNone) return give(Action::misdirected_421, Reason::unknown_host);
  const Route route = world.route(found);
  decision.residency = route.residency;
  if (decision.residency == kNone) return give(Action::unavailable_503, Reason::unknown_residency);
  const Verdict v = verdict(world, world.authority()->entry(decision.residency), route.held, question);
  return give(v.action, v.reason);
}

Decision decide(const World& world, const Question& question) noexcept {
  if (world.tenants() == nullptr) return {};
  return decide(world, world.tenants()->find(question.host), question);
}

Decision decide_connection(const World& world, std::string_view sni, bool tunnelled) noexcept {
  Decision decision;
  if (world.tenants() == nullptr || world.authority() == nullptr) return decision;
  const auto give = [&](Action action, Reason reason) {
    decision.action = action;
    decision.reason = reason;
    return decision;
  };
  decision.found = world.tenants()->find(sni);
  if (decision.found.residency == kNone) return give(Action::misdirected_421, Reason::unknown_host);
  const Route route = world.route(decision.found);
  decision.residency = route.residency;
  if (decision.residency == kNone) return give(Action::unavailable_503, Reason::unknown_residency);
  const AuthorityEntry& entry = world.authority()->entry(decision.residency);
  const bool full = entry.form_here() == Form::full;
  // Where it may be decrypted its requests are held one by one. Elsewhere it must not go into a tunnel: it would come
  // out where its tenant lives no more.
  if (route.held) return give(full ? Action::serve : Action::hold, Reason::tenant_moving);
  if (full && world.owned_here(entry)) return give(Action::serve, Reason::owner_here);
  const bool settled = entry.current_mode() == Mode::serving || entry.current_mode() == Mode::draining;
  if (settled && !tunnelled && entry.owner[0] != 0 && entry.tunnel[0] != 0)
    return give(Action::tunnel, Reason::owner_elsewhere);
  // Decrypted here, its requests are held, forwarded or answered 503 one by one, which a client understands.
  if (full) return give(Action::serve, settled ? Reason::owner_elsewhere : Reason::moving);
  if (entry.current_mode() == Mode::moving) return give(Action::hold, Reason::moving);
  if (tunnelled) return give(Action::refuse_451, Reason::unlawful_here);
  if (entry.current_mode() == Mode::unknown) return give(Action::unavailable_503, Reason::unknown_mode);
  return give(Action::unavailable_503, settled && entry.owner[0] != 0 ? Reason::no_address : Reason::down);
}

bool outcome_known(const World& world, std::string_view residency, std::uint64_t epoch, std::int64_t now) noexcept {
  if (world.authority() == nullptr) return false;
  const std::uint16_t index = world.authority()->find(residency);
  if (index == kNone) return false;
  const AuthorityEntry& entry = world.authority()->entry(index);
  // A drained residency keeps its lease's end until the fence, and the fence waits for the writes in flight.
  return entry.epoch == epoch && world.owned_here(entry) && world.lease_live(entry, now);
}

bool is_write(std::string_view method) noexcept { return method != "GET" && method != "HEAD" && method != "OPTIONS"; }

}  // namespace domicile::snapshot
