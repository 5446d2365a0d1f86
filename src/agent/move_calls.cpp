#include "agent/move_calls.hpp"

#include <sys/random.h>

#include <thread>

#include "agent/bodies.hpp"
#include "agent/row_stream.hpp"
#include "core/desired/desired.hpp"
#include "edge/state.hpp"
#include "engines/postgres/moves/places.hpp"
#include "engines/postgres/tenants.hpp"

namespace domicile::agent {

using moves::Move;
using moves::Phase;

namespace {

constexpr std::size_t kMostMoves = 64;  // what authority.snap can tell a gateway at once
constexpr Micros kWriters = 2 * kSecond;
constexpr Micros kCounting = 1500 * kMillisecond;  // whoever asks all sites what they observe waits three seconds

std::string fresh_id() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != sizeof bits) bits = static_cast<std::uint64_t>(wall_now());
  return fmt::format("{:016x}", bits);
}

Result<PhaseQuestion> question_of(const Json& body) {
  PhaseQuestion question;
  question.move = TRY(asked(moves::move_of(TRY(asked(member<Json>(body, "move"))))));
  question.gateway = TRY(asked(member_or<bool>(body, "gateway", false)));
  question.settled = TRY(asked(member_or<bool>(body, "settled", false)));
  question.gone = TRY(asked(member_or<std::string>(body, "gone", "")));
  const auto patience = TRY(asked(member_or<std::int64_t>(body, "patience_ms", 1000)));
  question.patience = std::clamp<Micros>(patience * kMillisecond, 0, 10 * kSecond);
  return question;
}

}  // namespace

Json json_of(const PhaseQuestion& question) {
  return {{"move", moves::json_of(question.move)},
          {"gateway", question.gateway},
          {"settled", question.settled},
          {"gone", question.gone},
          {"patience_ms", question.patience / kMillisecond}};
}

Result<std::string> MoveCalls::owner_of(const std::string& residency) const {
  const auto board = setup_.residencies.find(residency);
  if (board == setup_.residencies.end()) return fail(Kind::invalid_input, "this agent knows no residency " + residency);
  const auto seen = board->second->get();
  if (!seen->record || seen->record->value.mode != authority::Mode::serving)
    return fail(Kind::unavailable, "nobody serves " + residency + " now", "domicile status");
  return seen->record->value.owner;
}

Result<Json> MoveCalls::order(const Json& body, const std::string& who) {
  moves::Order order;
  order.tenant = TRY(asked(member<std::string>(body, "tenant")));
  order.to = TRY(asked(member<std::string>(body, "to")));
  order.reason = TRY(asked(member_or<std::string>(body, "reason", "")));
  order.without_personal = TRY(asked(member_or<bool>(body, "without_personal", false)));
  const bool only_check = TRY(asked(member_or<bool>(body, "dry_run", false)));
  auto connection = TRY(session());
  const auto tenant = TRY(postgres::find_tenant(connection, order.tenant));
  if (!tenant)
    return fail(Kind::invalid_input, "the directory has no tenant '" + order.tenant + "'", "domicile tenant add",
                "DOM-T033");
  CHECK_OK(moves::judge(*setup_.topology, tenant->residency, order));
  Move move{order.tenant, "m-" + fresh_id(), tenant->residency, order.to};
  move.without_personal = order.without_personal;
  move.reason = order.reason;
  move.by = who;
  move.at = wall_now();
  const auto from = TRY(owner_of(move.from)), to = TRY(owner_of(move.to));
  Json answer = moves::json_of(move);
  answer["from_region"] = from;
  answer["to_region"] = to;
  answer["form"] =
      topology::name_of(moves::lawful_form(*setup_.topology, *topology::residency_of(*setup_.topology, move.from),
                                           *topology::residency_of(*setup_.topology, move.to)));
  if (only_check) return answer;
  const auto others = TRY(postgres::read_moves(connection));
  if (others.size() >= kMostMoves)
    return fail(Kind::unavailable, fmt::format("{} tenants are moving, more cannot at once", others.size()),
                "wait until one of them has ended", "DOM-E718");
  CHECK_OK(postgres::begin_move(connection, move));
  setup_.events->ordered("move.ordered", fmt::format("{}: {} to {}", move.id, move.from, move.to),
                         fmt::format("tenant {} by {}: {}", move.tenant, who, order.reason), move.from);
  return answer;
}

Result<Json> MoveCalls::abort(const Json& body, const std::string& who) {
  const auto tenant = TRY(asked(member<std::string>(body, "tenant")));
  const auto reason = TRY(asked(member_or<std::string>(body, "reason", "")));
  auto connection = TRY(session());
  const auto move = TRY(postgres::find_move(connection, tenant));
  if (!move || !moves::live(move->phase))
    return fail(Kind::conflict, "tenant '" + tenant + "' does not move", "domicile tenant show " + tenant);
  if (move->phase == Phase::aborting) return moves::json_of(*move);
  if (!moves::abortable(move->phase))
    return fail(Kind::conflict,
                fmt::format("tenant '{}' lives in {} already, its move cannot be taken back", tenant, move->to),
                "let it end, then move it again");
  Move next = *move;
  next.phase = Phase::aborting;
  next.note = "a person asked for it";
  CHECK_OK(postgres::advance_move(connection, *move, next));
  setup_.events->ordered("move.abort", move->id, fmt::format("tenant {} by {}: {}", tenant, who, reason), move->from);
  return moves::json_of(next);
}

Result<Json> MoveCalls::find(const Json& body) {
  auto connection = TRY(session());
  const auto move = TRY(postgres::find_move(connection, TRY(asked(member<std::string>(body, "tenant")))));
  return Json{{"move", move ? moves::json_of(*move) : Json()}};
}

Result<Json> MoveCalls::advance(const Json& body) {
  const auto now = TRY(asked(moves::move_of(TRY(asked(member<Json>(body, "now"))))));
  const auto next = TRY(asked(moves::move_of(TRY(asked(member<Json>(body, "next"))))));
  auto connection = TRY(session());
  CHECK_OK(postgres::advance_move(connection, now, next));
  return moves::json_of(next);
}

// Empty: all that is asked for holds.
Result<std::string> MoveCalls::not_obeyed(const PhaseQuestion& question) {
  const auto seen = setup_.moves->get();
  const auto here = std::ranges::find_if(seen->live, [&](const Move& move) { return move.id == question.move.id; });
  if (here == seen->live.end() || here->phase != question.move.phase)
    return fmt::format("its directory has not got {} yet", moves::name_of(question.move.phase));
  if (question.gateway && setup_.gateway != nullptr) {
    const auto written = setup_.gateway->get();
    if (written->moves_version != seen->version) return std::string("its gateway was not told yet");
    const auto state = edge::read_edge_state(setup_.config->gateway->directory / "edge.state");
    // Another tenant's slow write must not keep this one held.
    const bool drains = question.move.phase == Phase::holding;
    if (drains && !TRY(edge::moves_at_rest(state, written->generation)))
      return std::string("its gateway does not hold yet, or has writes of the tenant in flight");
    if (!drains && state && !state->workers.empty() && state->generation_obeyed() < written->generation)
      return std::string("its gateway does not obey yet");
  }
  if (question.settled && setup_.tenants != nullptr) {
    auto connection = TRY(session());
    const auto version = TRY(postgres::directory_version(connection));
    const auto written = setup_.tenants->get();
    if (written->version != version) return std::string("its tenants.snap is not new yet");
    const auto state = edge::read_edge_state(setup_.config->gateway->directory / "edge.state");
    if (state)
      for (const auto& worker : state->workers)
        if (worker.tenants_generation < written->generation) return std::string("its gateway has an old tenants.snap");
  }
  if (!question.gone.empty()) {
    auto rows = TRY(postgres::TenantRows::open(
        TRY(session()),
        postgres::move_tables(*setup_.topology, question.move, setup_.store.region, setup_.store.region), "", ""));
    if (TRY(rows.any(question.gone, question.move.tenant))) return "rows of " + question.gone + " are still here";
  }
  return std::string();
}

Result<Json> MoveCalls::obeyed(const Json& body) {
  const auto question = TRY(question_of(body));
  const Micros deadline = monotonic_now() + question.patience;
  for (Micros pause = 2 * kMillisecond;; pause = std::min(2 * pause, 50 * kMillisecond)) {
    const auto why = TRY(not_obeyed(question));
    if (why.empty() || monotonic_now() >= deadline) return Json{{"obeyed", why.empty()}, {"why", why}};
    std::this_thread::sleep_for(std::chrono::microseconds(pause));
  }
}

Result<postgres::TenantRows> MoveCalls::open_rows(const Move& move, const std::string& from_region,
                                                  const std::string& to_region, bool receiving) const {
  const bool outlet = !receiving && from_region != to_region;
  return postgres::TenantRows::open(TRY(session()),
                                    postgres::move_tables(*setup_.topology, move, from_region, to_region),
                                    outlet ? residency::link_name(move.from, from_region, to_region) : "",
                                    outlet ? desired::link_role(to_region) : "");
}

Result<std::vector<std::string>> MoveCalls::hosts_of(const std::string& tenant) const {
  auto connection = TRY(session());
  const auto found = TRY(postgres::find_tenant(connection, tenant));
  return found ? found->hosts : std::vector<std::string>{};
}

Result<Json> MoveCalls::places(const std::string& tenant) const {
  auto connection = TRY(session());
  const auto counts = TRY(postgres::places_of(connection, *setup_.topology, tenant, monotonic_now() + kCounting));
  Json move;
  const auto seen = setup_.moves->get();
  for (const auto& each : seen->live)
    if (each.tenant == tenant)
      move = {{"id", each.id}, {"from", each.from}, {"to", each.to}, {"phase", moves::name_of(each.phase)}};
  return Json{{"rows", counts.rows}, {"salvage", counts.salvage}, {"unnamed", counts.unnamed}, {"move", move}};
}

// The move that a peer's question names, as this region's own directory has it: what the peer says of it counts for
// nothing.
Result<Move> MoveCalls::known(const Json& body) const {
  const auto asked_for = TRY(asked(moves::move_of(TRY(asked(member<Json>(body, "move"))))));
  auto connection = TRY(session());
  const auto move = TRY(postgres::find_move(connection, asked_for.tenant));
  if (!move || move->id != asked_for.id || !moves::live(move->phase))
    return fail(Kind::unavailable, "this region's directory does not have that move");
  if (TRY(owner_of(move->from)) != setup_.store.region)
    return fail(Kind::refused, setup_.store.region + " does not own " + move->from);
  return *move;
}

Result<Json> MoveCalls::summary(const Json& body, const std::string& peer) {
  return look(TRY(known(body)), peer, TRY(asked(member_or<std::string>(body, "since", ""))));
}

Result<Json> MoveCalls::look(const Move& move, const std::string& peer, const std::string& since) {
  std::shared_ptr<const postgres::TenantRows::Look> before;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(answered_, [&](const auto& each) {
      const auto& live = setup_.moves->get()->live;
      return each.first != move.id && std::ranges::none_of(live, [&](const Move& m) { return m.id == each.first; });
    });
    const auto found = answered_.find(move.id);
    if (found != answered_.end() && found->second.look == since) before = found->second.rows;
  }
  auto rows = TRY(open_rows(move, setup_.store.region, peer, false));
  const auto now =
      std::make_shared<const postgres::TenantRows::Look>(TRY(rows.look(move.from, move.tenant, before.get())));
  const std::string id = fresh_id();
  const std::lock_guard lock(mutex_);
  answered_[move.id] = {id, now};
  return Json{{"summary", moves::json_of(before ? moves::changes(before->rows, now->rows) : now->rows)},
              {"look", id},
              {"whole", before == nullptr}};
}

HttpReply MoveCalls::rows(const Json& body, const std::string& peer) {
  return rows_reply([&]() -> Result<RowsOut> {
    const auto move = TRY(known(body));
    if (!moves::abortable(move.phase))
      return fail(Kind::refused, fmt::format("no rows go over while it is {}", moves::name_of(move.phase)));
    const auto name = TRY(asked(member<std::string>(body, "table")));
    std::vector<int> buckets;
    for (const Json& number : TRY(asked(member<Json>(body, "buckets"))))
      if (number.is_number_integer()) buckets.push_back(number.get<int>());
    auto rows = std::make_shared<postgres::TenantRows>(TRY(open_rows(move, setup_.store.region, peer, false)));
    const auto table = std::ranges::find_if(rows->tables(), [&](const auto& each) { return each.qualified() == name; });
    if (table == rows->tables().end()) return fail(Kind::refused, name + " is no table that tenants have");
    const auto link = residency::link_name(move.from, setup_.store.region, peer);
    return [this, rows, table = &*table, move, buckets, link](const std::function<bool(std::string_view)>& write) {
      GatedRows out(GateClient(setup_.config->gate_socket.string()), link, table->qualified(), table->carried, write);
      const auto read = rows->read(*table, move.from, move.tenant, buckets, [&](std::string_view lines) {
        auto added = out.add(lines);
        setup_.stall.reach("move.rows");
        return added;
      });
      const auto done = read ? out.flush() : read;
      if (!done)
        setup_.log.warn(
            "move.export", "a moving tenant's rows stop",
            {{Field::link, link}, {Field::table, table->qualified()}, {Field::reason, one_line(done.error())}});
      return done.has_value();
    };
  }());
}

Result<Json> MoveCalls::seal(const Json& body, const std::string& peer) {
  const auto question = TRY(question_of(body));
  const auto obeys = TRY(obeyed(body));
  if (!TRY(member<bool>(obeys, "obeyed"))) return fail(Kind::unavailable, TRY(member<std::string>(obeys, "why")));
  const auto move = TRY(known(body));
  if (!moves::sealed(move.phase)) return fail(Kind::conflict, "the tenant is not sealed");
  auto writers = TRY(open_rows(move, setup_.store.region, setup_.store.region, true));
  CHECK_OK(writers.wait_writers(kWriters));
  return look(move, peer, TRY(asked(member_or<std::string>(body, "since", ""))));
}

Result<Json> MoveCalls::compare(const Json& body, const std::string& peer) {
  const auto move = TRY(known(body));
  auto rows = TRY(open_rows(move, setup_.store.region, peer, true));
  if (moves::digest_of(TRY(rows.summary(move.from, move.tenant))) != move.digest)
    return fail(Kind::corrupt,
                fmt::format("the rows of tenant '{}' in {} are not those that were compared: nothing is deleted",
                            move.tenant, move.from),
                "compare both residencies' rows of this tenant; somebody has written past the guard", "DOM-E717");
  return Json{{"same", true}};
}

Result<Json> MoveCalls::remove(const Json& body, const std::string& peer) {
  const auto move = TRY(known(body));
  if (move.phase != Phase::deleting)
    return fail(Kind::refused, fmt::format("nothing is deleted while it is {}", moves::name_of(move.phase)));
  auto rows = TRY(open_rows(move, setup_.store.region, peer, true));
  const auto removed = TRY(rows.remove(move.from, move.tenant));
  setup_.stall.reach("move.removed");
  return Json{{"rows", removed}};
}

}  // namespace domicile::agent
