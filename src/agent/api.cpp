#include "agent/api.hpp"

#include <future>

#include "agent/bodies.hpp"
#include "agent/drill_book.hpp"
#include "agent/switch_order.hpp"
#include "base/url.hpp"

namespace domicile::agent {

namespace {

constexpr Micros kLayers = 6 * kSecond;    // a member of the quorum that does not answer is waited for
constexpr Micros kObserved = 3 * kSecond;  // whoever asks an agent waits five
constexpr Micros kPrecheck = 3 * kSecond;  // a copy that has just begun to follow needs a moment until its lag is known

int status_of(Kind kind) {
  switch (kind) {
    case Kind::invalid_input:
      return 400;
    case Kind::conflict:
      return 409;
    case Kind::refused:
      return 403;
    case Kind::unsafe:
      return 412;
    case Kind::unavailable:
      return 503;
    case Kind::unknown_outcome:
      return 504;
    case Kind::corrupt:
    case Kind::failed:
      return 500;
  }
  return 500;
}

HttpReply reply(const Json& json, int status = 200) { return {status, dump(json)}; }

HttpReply refuse(const Error& error) {
  std::string fix = error.fix;
  for (auto cause = error.cause; cause; cause = cause->cause)
    if (!cause->fix.empty()) fix = cause->fix;
  return reply({{"what", one_line(error)}, {"fix", fix}, {"code", error.id}, {"kind", name_of(error.kind)}},
               status_of(error.kind));
}

std::optional<Role> role_of(const std::string& name) {
  if (name == "view") return Role::view;
  if (name == "operate") return Role::operate;
  if (name == "approve") return Role::approve;
  if (name == "break-glass") return Role::break_glass;
  return {};
}

HttpReply drills(const fs::path& directory, const HttpCall& call) {
  const auto news = drill_body(call.body);
  if (!news) return refuse(news.error());
  const auto kept = keep_drills(directory, *news);
  return kept ? reply(Json::object()) : refuse(kept.error());
}

// Null when what was told cannot be read: unknown is not none.
Json drills_json(const fs::path& directory) {
  const auto book = read_drills(directory);
  return book ? json_of(*book, wall_now()) : Json();
}

}  // namespace

std::set<Role> Roles::of(const HttpCall& call) {
  if (call.local) return {Role::view, Role::operate, Role::approve, Role::break_glass};
  if (call.peer_name.empty() || revoked_.contains(call.peer_serial)) return {};
  // Sites pass planned switches on to the owner; an approval is only ever given where the switch waits.
  if (config_.sites.contains(call.peer_name)) return {Role::agent, Role::view, Role::operate};
  std::set<Role> roles;
  const auto named = config_.api.roles.find(call.peer_name);
  if (named == config_.api.roles.end()) return {};
  for (const auto& name : named->second)
    if (const auto role = role_of(name)) roles.insert(*role);
  return roles;
}

HttpReply Api::answer(const HttpCall& call) {
  if (call.path == "/healthz") return health();
  if (call.path == "/readyz") return ready();
  const auto roles = roles_.of(call);
  HttpReply reply = route(call, roles);
  setup_.denials->name(call, Roles::who(call), roles.contains(Role::agent), reply);
  return reply;
}

HttpReply Api::route(const HttpCall& call, const std::set<Role>& roles) {
  const auto need = [&](Role role) { return roles.contains(role); };
  const HttpReply forbidden =
      reply({{"what", fmt::format("'{}' may not {} {}", Roles::who(call), call.method, call.path)},
             {"kind", "refused"},
             {"code", "DOM-E610"},
             {"fix", "give its certificate the role in agent.yaml: api.roles"}},
            403);
  const auto rest_of = [&](std::string_view prefix) { return call.path.substr(prefix.size()); };

  if (call.path == "/v1/epochs" || call.path.starts_with("/v1/epochs/")) {
    if (!need(call.method == "PUT" ? Role::agent : Role::view)) return forbidden;
    return epochs(call, call.path == "/v1/epochs" ? "" : rest_of("/v1/epochs/"));
  }
  if (call.path == "/v1/look" && call.method == "POST") return need(Role::agent) ? look(call) : forbidden;
  if (call.path.starts_with("/v1/first-rows/"))
    return need(Role::agent) ? first_rows(call, rest_of("/v1/first-rows/")) : forbidden;
  if (call.path == "/v1/moves" || call.path.starts_with("/v1/moves/")) {
    const auto what = call.path == "/v1/moves" ? "" : rest_of("/v1/moves/");
    const bool read = what == "find" || call.method == "GET";
    const bool order = what.empty() || what == "abort";
    if (!need(read ? Role::view : order ? Role::operate : Role::agent)) return forbidden;
    return moves(call, what, roles);
  }
  if (call.path == "/v1/salvage" || call.path.starts_with("/v1/salvage/")) {
    const auto what = call.path == "/v1/salvage" ? "" : rest_of("/v1/salvage/");
    const bool read = what.empty() || what == "show";
    if (!need(read ? Role::view : what == "decide" ? Role::operate : Role::agent)) return forbidden;
    return salvage(call, what);
  }
  if (call.path == "/v1/switch" && call.method == "POST") return need(Role::operate) ? order_switch(call) : forbidden;
  if (call.path == "/v1/drills" && call.method == "POST")
    return need(Role::operate) ? drills(setup_.config->state, call) : forbidden;
  if (call.path == "/v1/approve" && call.method == "POST") return need(Role::approve) ? approve(call) : forbidden;
  if ((call.path == "/v1/quorum/adopt" || call.path == "/v1/break-glass") && call.method == "POST") {
    const bool adopt = call.path == "/v1/quorum/adopt";
    if (!need(adopt ? Role::operate : Role::break_glass)) return forbidden;
    const auto done = (adopt ? setup_.adopt : setup_.break_glass)(call.body, Roles::who(call));
    return done ? reply(*done) : refuse(done.error());
  }
  if (!need(Role::view)) return forbidden;
  if (call.path == "/v1/status") return reply(status());
  if (call.path == "/v1/events") return events(call);
  if (call.path == "/v1/layers") return everywhere(call, kLayers, setup_.layers);
  if (call.path == "/v1/observed") {
    const auto tenant = call.query.find("tenant");
    return everywhere(call, kObserved, [&] { return observed(tenant == call.query.end() ? "" : tenant->second); });
  }
  if (call.path == "/v1/switch/check") return check_switch(call);
  if (call.path.starts_with("/v1/schemas/")) return schemas(call, rest_of("/v1/schemas/"));
  if (call.path.starts_with("/v1/links/")) return link(call, rest_of("/v1/links/"));
  if (call.path.starts_with("/v1/copies/")) return copy(rest_of("/v1/copies/"));
  if (call.path.starts_with("/v1/denials/")) {
    const auto denial = setup_.denials->find(rest_of("/v1/denials/"));
    if (denial) return reply(json_of(*denial));
    return reply({{"what", "this agent remembers no such denial"},
                  {"fix", "ask the agent that refused, which may be the owner's; the last thousand are kept"},
                  {"code", "DOM-E701"},
                  {"kind", "invalid_input"}},
                 404);
  }
  if (call.path == "/metrics") return {200, setup_.metrics(), "text/plain; version=0.0.4"};
  return reply({{"what", "no such route: " + call.path}, {"kind", "invalid_input"}}, 404);
}

HttpReply Api::events(const HttpCall& call) const {
  const auto asked = call.query.find("count");
  const std::size_t count = asked == call.query.end() ? 100 : std::strtoul(asked->second.c_str(), nullptr, 10);
  Json list = Json::array();
  for (const auto& event : setup_.events->last(count)) {
    list.push_back(json_of(event));
    list.back()["region"] = setup_.config->region;
  }
  if (!call.query.contains("everywhere")) return reply(list);
  // A switch happens at two sites: whoever watches it wants both halves. A site that does not answer is left out.
  for (const auto& [site, addresses] : setup_.peers->sites()) {
    const auto theirs = setup_.peers->call(site, "GET", fmt::format("/v1/events?count={}", count), {}, kSecond);
    if (!theirs || !theirs->is_array()) continue;
    for (Json event : *theirs) {
      if (event.is_object() && !event.contains("region")) event["region"] = site;
      list.push_back(std::move(event));
    }
  }
  return reply(list);
}

HttpReply Api::everywhere(const HttpCall& call, Micros patience, const std::function<Json()>& own) const {
  if (!call.query.contains("everywhere")) return reply(own());
  std::string path = call.path;
  if (const auto tenant = call.query.find("tenant"); tenant != call.query.end())
    path += "?tenant=" + url_encoded(tenant->second);
  std::map<std::string, std::future<Result<Json>>> asked;
  for (const auto& [site, addresses] : setup_.peers->sites())
    asked[site] = std::async(std::launch::async, [peers = setup_.peers, site = site, path, patience] {
      return peers->call(site, "GET", path, Json(), patience);
    });
  Json sites{{setup_.config->region, own()}};
  for (auto& [site, answer] : asked) {
    const auto told = answer.get();
    sites[site] = told ? *told : Json{{"unknown", one_line(told.error())}};
  }
  return reply(sites);
}

HttpReply Api::epochs(const HttpCall& call, const std::string& residency) {
  if (residency.empty()) {
    Json all = Json::object();
    for (const auto& [name, known] : setup_.disk->epochs())
      all[name] = {{"epoch", known.epoch}, {"owner", known.owner}};
    return reply(all);
  }
  if (topology::residency_of(*setup_.topology, residency) == nullptr)
    return reply({{"what", "no residency is called " + residency}}, 404);
  if (call.method == "PUT") {
    const auto kept = [&]() -> Result<void> {
      const KnownEpoch known = TRY(epoch_body(call.body));
      // Only its future owner puts an epoch on our disk, and only where the law lets it own.
      const auto* rules = topology::residency_of(*setup_.topology, residency);
      if (known.owner != call.peer_name || !topology::may_own(*rules, known.owner))
        return fail(Kind::refused,
                    fmt::format("{} may not announce {} as owner of {}", call.peer_name, known.owner, residency));
      return setup_.disk->persist_epoch(residency, known);
    }();
    // A conflict is an answer, not a failure: the asker must see what is known here.
    if (!kept && kept.error().kind != Kind::conflict) return refuse(kept.error());
  }
  const auto known = setup_.disk->epoch(residency);
  return reply({{"epoch", known.epoch}, {"owner", known.owner}});
}

HttpReply Api::look(const HttpCall& call) {
  const auto hint = hint_body(call.body).value_or(HintBody{});  // one that nobody understands is still one to look
  if (const auto loop = setup_.residencies.find(hint.residency);
      loop != setup_.residencies.end() && !hint.record.empty())
    loop->second->hints.put(hint.record);
  setup_.beat->look_now();
  return reply({{"ok", true}});
}

HttpReply Api::copy(const std::string& residency) const {
  const auto copy = setup_.disk->copy(residency);
  Json json{
      {"state", authority::name_of(copy.state)}, {"source", copy.source}, {"epoch", copy.epoch}, {"candidate", false}};
  json["why"] = copy.why;
  json["lag_ms"] = nullptr;
  std::int64_t open = 0;
  for (const auto& [run, rows] : open_salvage())
    if (run.first == residency) open += rows;
  json["salvage_open"] = open;
  if (setup_.copies != nullptr) {
    const auto copies = setup_.copies->get();
    if (const auto seen = copies->find(residency); seen != copies->end()) {
      json["complete"] = seen->second.health.complete;
      json["trouble"] = seen->second.health.trouble;
      if (seen->second.lag) json["lag_ms"] = *seen->second.lag / 1000;
    }
    if (const auto seen = copies->find(residency); seen != copies->end() && seen->second.health.position) {
      json["system"] = seen->second.health.position->system_id;
      json["timeline"] = seen->second.health.position->timeline;
      json["lsn"] = authority::lsn_text(seen->second.health.position->lsn);
      json["candidate"] = seen->second.health.complete && seen->second.health.trouble.empty() &&
                          copy.state != authority::Copy::State::resync;
    }
  }
  return reply(json);
}

bool Api::serves(const std::string& residency) const { return setup_.beat->seen().get()->leases.contains(residency); }

HttpReply Api::first_rows(const HttpCall& call, const std::string& rest) {
  if (setup_.exports == nullptr) return reply({{"what", "a voter has no rows"}}, 404);
  const auto slash = rest.find('/');
  const std::string residency = rest.substr(0, slash), what = slash == std::string::npos ? "" : rest.substr(slash + 1);
  // The peer's certificate says to whom; the topology says whether, and in which form.
  const auto* rules = topology::residency_of(*setup_.topology, residency);
  if (rules == nullptr || !topology::may_own(*rules, setup_.config->region) ||
      topology::form_at(*setup_.topology, *rules, call.peer_name) == topology::Form::none)
    return reply({{"what", fmt::format("no link of {} goes from here to {}", residency, call.peer_name)}}, 403);
  if (what.empty()) {
    // A region that owns it no more has rows of its next owner, and its slots belong to an epoch that has ended. One
    // that has not opened may hold rows of the past (behind_own_marker).
    const auto loop = setup_.residencies.find(residency);
    const auto record = loop == setup_.residencies.end() ? std::nullopt : loop->second->seen().get()->record;
    if (!record || record->value.owner != setup_.config->region || record->value.mode != authority::Mode::serving ||
        !serves(residency))
      return reply({{"what", fmt::format("{} does not serve {} now", setup_.config->region, residency)}}, 409);
  }
  if (what.empty()) return setup_.exports->session(residency, call.peer_name, call.body);
  if (what == "sums") return setup_.exports->sums(residency, call.peer_name, call.body);
  if (what == "rows") return setup_.exports->rows(residency, call.peer_name, call.body);
  if (what == "close") return setup_.exports->close(residency, call.peer_name, call.body);
  return reply({{"what", "no such route"}}, 404);
}

// The tables of one link as they are here: `from` and `to` name it. No row, no value.
HttpReply Api::schemas(const HttpCall& call, const std::string& residency) {
  const auto from = call.query.find("from"), to = call.query.find("to");
  const auto* rules = topology::residency_of(*setup_.topology, residency);
  if (!store_ || rules == nullptr || from == call.query.end() || to == call.query.end() ||
      !topology::may_own(*rules, from->second) ||
      topology::form_at(*setup_.topology, *rules, to->second) == topology::Form::none)
    return reply({{"what", "no such link has an end here"}, {"kind", "invalid_input"}}, 404);
  const std::lock_guard lock(store_mutex_);
  const auto prints = store_->fingerprints({residency, from->second, to->second});
  return prints ? reply(Json(*prints)) : refuse(prints.error());
}

// The sending end of one link: what its receiver can never get from here.
HttpReply Api::link(const HttpCall& call, const std::string& residency) {
  const auto from = call.query.find("from"), to = call.query.find("to");
  const auto* rules = topology::residency_of(*setup_.topology, residency);
  if (!store_ || rules == nullptr || from == call.query.end() || from->second != setup_.config->region ||
      to == call.query.end() || !topology::may_own(*rules, from->second) ||
      topology::form_at(*setup_.topology, *rules, to->second) == topology::Form::none)
    return reply({{"what", "no such link begins here"}, {"kind", "invalid_input"}}, 404);
  const std::lock_guard lock(store_mutex_);
  const auto lost = store_->lost_to_receiver({residency, from->second, to->second});
  // Not open, its database may be another one than was told of (behind_own_marker): it proves nothing about a copy.
  return lost ? reply({{"lost", *lost}, {"open", serves(residency)}}) : refuse(lost.error());
}

PrecheckSetup Api::precheck_setup() const { return {setup_.config->region, setup_.peers, setup_.make_store}; }

Result<std::vector<std::string>> Api::precheck(const std::string& residency, const std::string& to, bool terminate,
                                               Micros patience) const {
  const auto loop = setup_.residencies.find(residency);
  if (loop == setup_.residencies.end()) return fail(Kind::invalid_input, "this agent knows no residency " + residency);
  return agent::check_switch(*loop->second, precheck_setup(), to, terminate, patience);
}

HttpReply Api::check_switch(const HttpCall& call) {
  const auto asked = [&](const char* name) {
    const auto it = call.query.find(name);
    return it == call.query.end() ? std::string() : it->second;
  };
  const auto done = [&]() -> Result<Json> {
    const std::string residency = asked("residency"), to = asked("to");
    const auto loop = setup_.residencies.find(residency);
    if (loop != setup_.residencies.end())
      if (const auto seen = loop->second->seen().get();
          seen->record && seen->record->value.owner != setup_.config->region)
        return setup_.peers->call(
            seen->record->value.owner, "GET",
            fmt::format("/v1/switch/check?residency={}&to={}&terminate={}", residency, to, asked("terminate")), Json(),
            4 * kSecond);
    const auto warnings = TRY(precheck(residency, to, asked("terminate") == "1", 0));
    return Json{{"ready", true}, {"warnings", warnings}};
  }();
  return done ? reply(*done) : refuse(done.error());
}

HttpReply Api::order_switch(const HttpCall& call) {
  const auto done = [&]() -> Result<Json> {
    SwitchBody body = TRY(switch_body(call.body));
    const std::string residency = body.residency;
    if (body.by.empty() || call.local || call.peer_name.empty()) body.by = Roles::who(call);
    SwitchOrder order;
    order.to = body.to;
    order.reason = body.reason;
    order.by = body.by;
    order.terminate = body.terminate;
    order.switch_id = fresh_switch_id();
    const auto loop = setup_.residencies.find(residency);
    if (loop == setup_.residencies.end())
      return fail(Kind::invalid_input, "this agent knows no residency " + residency);
    const auto seen = loop->second->seen().get();
    if (!seen->record) return fail(Kind::unavailable, "nobody owns " + residency + " yet", "domicile status");
    const std::string owner = seen->record->value.owner;
    if (owner != setup_.config->region)
      return setup_.peers->call(owner, "POST", "/v1/switch", json_of(body), 10 * kSecond);
    const auto [record, warnings] = TRY(agent::order_switch(*loop->second, precheck_setup(), order, kPrecheck));
    return Json{{"switch", record.switch_id}, {"residency", residency}, {"from", record.from}, {"to", record.to},
                {"epoch", record.epoch},      {"warnings", warnings}};
  }();
  return done ? reply(*done, 202) : refuse(done.error());
}

HttpReply Api::approve(const HttpCall& call) {
  const auto done = [&]() -> Result<Json> {
    const auto [proposal, reason] = TRY(approval_body(call.body));
    for (const auto& [name, loop] : setup_.residencies) {
      const auto seen = loop->seen().get();
      if (seen->proposal.id.empty() || seen->proposal.id != proposal) continue;
      CHECK_OK(setup_.disk->approve(seen->proposal));
      setup_.events->ordered("switch.approved", proposal, fmt::format("by {}: {}", Roles::who(call), reason), name);
      setup_.beat->look_now();
      return Json{{"approved", proposal}};
    }
    return fail(Kind::conflict, "nothing here waits for " + proposal,
                "domicile status shows what waits, and at which region");
  }();
  return done ? reply(*done) : refuse(done.error());
}

// Orders go to the directory's owner, wherever they are given; the rest is for this region.
HttpReply Api::moves(const HttpCall& call, const std::string& what, const std::set<Role>& roles) {
  if (setup_.moves == nullptr) return reply({{"what", "a voter has no tenants"}}, 404);
  if (call.method == "GET") return reply(moves_json());
  const auto body = parse_json(call.body, "the question");
  if (!body) {
    Error error = body.error();
    error.kind = Kind::invalid_input;
    return refuse(error);
  }
  auto& moves = *setup_.moves;
  if (what == "rows") return moves.rows(*body, call.peer_name);
  const auto done = [&]() -> Result<Json> {
    if (what.empty() || what == "abort") {
      // A site that passes an order on says who gave it.
      auto who = Roles::who(call);
      if (roles.contains(Role::agent)) who = TRY(member_or<std::string>(*body, "by", who));
      const auto owner = TRY(moves.owner_of(std::string(topology::kDirectory)));
      if (owner == setup_.config->region) return what.empty() ? moves.order(*body, who) : moves.abort(*body, who);
      if (roles.contains(Role::agent)) return fail(Kind::unavailable, "this region does not own the directory");
      Json passed = *body;
      passed["by"] = who;
      return setup_.peers->call(owner, "POST", call.path, passed, 10 * kSecond);
    }
    if (what == "find") return moves.find(*body);
    if (what == "advance") return moves.advance(*body);
    if (what == "obeyed") return moves.obeyed(*body);
    if (what == "summary") return moves.summary(*body, call.peer_name);
    if (what == "seal") return moves.seal(*body, call.peer_name);
    if (what == "compare") return moves.compare(*body, call.peer_name);
    if (what == "remove") return moves.remove(*body, call.peer_name);
    return fail(Kind::invalid_input, "no such route: " + call.path);
  }();
  return done ? reply(*done) : refuse(done.error());
}

HttpReply Api::salvage(const HttpCall& call, const std::string& what) {
  if (setup_.salvage == nullptr) return reply({{"what", "a voter has no rows"}}, 404);
  auto& salvage = *setup_.salvage;
  if (what.empty())
    return everywhere(call, kObserved, [&] {
      const auto list = salvage.list();
      return list ? *list : Json{{"unknown", one_line(list.error())}};
    });
  const auto body = parse_json(call.body, "the question");
  if (!body) {
    Error error = body.error();
    error.kind = Kind::invalid_input;
    return refuse(error);
  }
  if (what == "rows") return salvage.rows(*body, call.peer_name);
  const auto done = [&]() -> Result<Json> {
    if (what == "show") return salvage.show(*body, call.local);
    if (what == "decide") return salvage.decide(*body, Roles::who(call));
    if (what == "since") return salvage.since(*body, call.peer_name);
    if (what == "apply") return salvage.apply(*body, call.peer_name);
    return fail(Kind::invalid_input, "no such route: " + call.path);
  }();
  return done ? reply(*done) : refuse(done.error());
}

// The live moves that this region knows, and what those that it acts in wait for.
Json Api::moves_json() const {
  Json list = Json::array();
  if (setup_.moves == nullptr) return list;
  const auto troubles = setup_.move_troubles();
  const auto seen = setup_.moves->setup().moves->get();
  for (const auto& move : seen->live) {
    Json json = moves::json_of(move);
    const auto trouble = troubles.find(move.tenant);
    json["waits"] = trouble == troubles.end() ? "" : trouble->second;
    list.push_back(std::move(json));
  }
  return list;
}

HttpReply Api::health() const {
  const auto hung = setup_.lives->hung(monotonic_now());
  return reply({{"ok", hung.empty()}, {"hung", hung}}, hung.empty() ? 200 : 503);
}

HttpReply Api::ready() const {
  const auto quorum = setup_.beat->seen().get();
  const bool quorum_ok = quorum->sent_at != 0 && quorum->trouble.empty();
  const bool database_ok = setup_.markers == nullptr || setup_.markers->get()->trouble.empty();
  return reply({{"quorum", quorum_ok}, {"database", database_ok}}, quorum_ok && database_ok ? 200 : 503);
}

namespace {

Json rules_json(const topology::Residency& residency) {
  Json holds = Json::object(), standby = Json::array();
  for (const auto& [jurisdiction, form] : residency.holds) holds[jurisdiction.str()] = topology::name_of(form);
  for (const auto& each : residency.standby) standby.push_back(each.str());
  return {{"home", residency.home.str()},
          {"standby", standby},
          {"holds", holds},
          {"rpo_ms", residency.rpo / 1000},
          {"without_standby", topology::name_of(residency.without_standby)},
          {"failover", topology::name_of(residency.failover)},
          {"failback", topology::name_of(residency.failback)},
          {"quiet_ms", residency.quiet / 1000},
          {"reapply", topology::name_of(residency.reapply)}};
}

}  // namespace

Json Api::residency_status(const topology::Residency& residency) const {
  const std::string& name = residency.name;
  const auto loop = setup_.residencies.find(name);
  const auto quorum = setup_.beat->seen().get();
  Json json{{"residency", name}, {"rules", rules_json(residency)}};
  std::optional<authority::Stored<authority::Record>> record;
  if (loop != setup_.residencies.end()) {
    const auto seen = loop->second->seen().get();
    record = seen->record;
    json["why"] = seen->why;
    json["proposal"] = seen->proposal.id;
    json["distrusted"] = seen->distrusted;
    if (seen->glass)
      json["glass"] = {{"open", seen->glass->open},     {"epoch", seen->glass->record.epoch},
                       {"by", seen->glass->by},         {"reason", seen->glass->reason},
                       {"attest", seen->glass->attest}, {"at", iso8601(seen->glass->at)}};
    json["owner_expired"] = seen->owner_expired;
    if (setup_.ways_home != nullptr) {
      const auto ways = setup_.ways_home->get();
      if (const auto way = ways->find(name); way != ways->end()) json["way_home"] = way->second;
    }
    json["copy"] = {{"state", authority::name_of(seen->copy.state)},
                    {"source", seen->copy.source},
                    {"epoch", seen->copy.epoch},
                    {"why", seen->copy.why}};
  } else if (const auto stored = quorum->view.authorities.find(name); stored != quorum->view.authorities.end()) {
    record = stored->second;
  }
  if (record) {
    const auto& r = record->value;
    json["owner"] = r.owner;
    json["epoch"] = r.epoch;
    json["mode"] = authority::name_of(r.mode);
    json["switch"] = r.switch_id;
    json["from"] = r.from;
    json["to"] = r.to;
    json["cause"] = authority::name_of(r.cause);
    json["covered"] = covered_by(r);
  }
  if (setup_.standbys != nullptr) {
    const auto standbys = setup_.standbys->get();
    if (const auto seen = standbys->find(name); seen != standbys->end())
      json["standby"] = {{"why", seen->second.why},
                         {"waits_for", seen->second.waits_for},
                         {"stuck", seen->second.stuck},
                         {"waiting", seen->second.waiting}};
  }
  if (setup_.drift != nullptr) {
    const auto drift = setup_.drift->get();
    if (const auto differs = drift->schema_differs.find(name); differs != drift->schema_differs.end())
      json["schema_differs"] = differs->second;
  }
  json["form"] = topology::name_of(topology::form_at(*setup_.topology, residency, setup_.config->region));
  const auto lease = quorum->leases.find(name);
  json["lease_ms"] = lease == quorum->leases.end() ? Json() : Json((lease->second.over - monotonic_now()) / 1000);
  json["guard"] = guard_json(name);
  json["lag_ms"] = nullptr;
  if (setup_.copies != nullptr) {
    const auto copies = setup_.copies->get();
    if (const auto seen = copies->find(name); seen != copies->end()) {
      if (seen->second.lag) json["lag_ms"] = *seen->second.lag / 1000;
      json["link"] = {{"complete", seen->second.health.complete},
                      {"streaming", seen->second.health.streaming},
                      {"trouble", seen->second.health.trouble}};
    }
  }
  return json;
}

// What the database itself would let through; null: it did not answer, or this is a voter.
Json Api::guard_json(const std::string& residency) const {
  if (setup_.markers == nullptr) return {};
  const auto seen = setup_.markers->get();
  const auto state = seen->guards.find(residency);
  if (!seen->guard_clock) return {};
  if (state == seen->guards.end()) return {{"state", "closed"}, {"epoch", 0}, {"left_ms", nullptr}, {"switch", ""}};
  const auto& guard = state->second;
  // An end by another clock (another boot, another cluster) is no end of anything here.
  const bool comparable = guard.state == "open" && guard.clock_id == seen->guard_clock->clock_id;
  return {{"state", guard.state},
          {"epoch", guard.epoch},
          {"left_ms", comparable ? Json((guard.end - seen->guard_clock->now) / 1000) : Json()},
          {"switch", guard.switch_id}};
}

// Null where nothing was looked at yet.
Json Api::drift_json() const {
  if (setup_.drift == nullptr) return {};
  const auto seen = setup_.drift->get();
  if (seen->at == 0) return {};
  const auto list = [](std::initializer_list<const std::vector<Drift>*> parts) {
    Json out = Json::array();
    for (const auto* part : parts)
      for (const auto& drift : *part)
        out.push_back({{"object", drift.object}, {"what", drift.what}, {"fix", drift.fix}});
    return out;
  };
  return {{"seen_ms_ago", (monotonic_now() - seen->at) / 1000},
          {"trouble", seen->trouble},
          {"found", list({&seen->drift, &seen->lasting})},
          {"warned", list({&seen->warned})}};
}

// A copy: what a board holds lives only as long as nothing newer is put there.
std::map<std::pair<std::string, authority::Epoch>, std::int64_t> Api::open_salvage() const {
  if (setup_.drift == nullptr) return {};
  const auto seen = setup_.drift->get();
  return seen->salvage;
}

// Salvaged rows that nobody has decided about.
Json Api::salvage_json() const {
  Json list = Json::array();
  for (const auto& [run, rows] : open_salvage())
    list.push_back({{"residency", run.first}, {"epoch", run.second}, {"open", rows}});
  return list;
}

// Null where there is none, or it never answered.
Json Api::gate_json() const {
  if (setup_.gate == nullptr) return {};
  const auto seen = setup_.gate->get();
  Json links = Json::array();
  for (const auto& link : seen->links)
    links.push_back({{"link", link.link},
                     {"residency", link.residency},
                     {"to", link.to},
                     {"streams", link.streams},
                     {"held", link.held},
                     {"stopped", link.stopped},
                     {"lag_ms", link.lag ? Json(*link.lag / 1000) : Json()}});
  return {{"trouble", seen->at == 0 && seen->trouble.empty() ? "it was not asked yet" : seen->trouble},
          {"policy", seen->policy.empty() ? Json() : Json(seen->policy)},
          {"links", links}};
}

// How links look in the database itself; null where nothing was looked at yet.
Json Api::links_json() const {
  if (setup_.drift == nullptr) return {};
  const auto seen = setup_.drift->get();
  if (seen->at == 0) return {};
  Json publications = Json::object(), subscriptions = Json::object();
  for (const auto& [name, publication] : seen->publications) {
    Json tables = Json::array();
    for (const auto& table : publication.tables)
      tables.push_back({{"table", table.table}, {"columns", table.columns}, {"filter", table.filter}});
    publications[name] = {{"all_tables", publication.all_tables}, {"publish", publication.publish}, {"tables", tables}};
  }
  for (const auto& [name, subscription] : seen->subscriptions)
    subscriptions[name] = {{"enabled", subscription.enabled}};
  return {{"publications", publications}, {"subscriptions", subscriptions}, {"slots", seen->slots}};
}

// What explain draws: places and flows as they are. Names and counts, never a row.
Json Api::observed(const std::string& tenant) {
  const Json status = this->status();
  Json out;
  for (const char* part : {"region", "policy", "at", "residencies"}) out[part] = status[part];
  out["gate"] = gate_json();
  if (setup_.gate != nullptr) out["gate"]["transfers"] = setup_.gate->get()->transfers;
  out["database"] = links_json();
  out["gateway"] = setup_.gateway_layer ? setup_.gateway_layer() : Json();
  if (!tenant.empty() && setup_.moves != nullptr) {
    const auto places = setup_.moves->places(tenant);
    out["tenant"] = places ? *places : Json{{"unknown", one_line(places.error())}};
  }
  return out;
}

Json Api::status() {
  const auto quorum = setup_.beat->seen().get();
  Json residencies = Json::array();
  for (const auto& residency : setup_.topology->residencies) residencies.push_back(residency_status(residency));
  Json regions = Json::object();
  for (const auto& region : setup_.topology->regions) regions[region.name.str()] = region.jurisdiction.str();
  Json lives = Json::object();
  for (const auto& [region, life] : quorum->observed.lives) {
    lives[region] = {
        {"boot", life.boot}, {"counter", life.counter}, {"seen_ms_ago", (monotonic_now() - life.changed_at) / 1000}};
    const auto beat = quorum->view.beats.find(region);
    lives[region]["protocol"] = beat == quorum->view.beats.end() ? Json() : Json(beat->second.value.protocol);
  }
  return {
      {"region", setup_.config->region},
      {"version", setup_.version},
      {"policy", setup_.policy_hash},
      {"at", iso8601(wall_now())},
      {"lease", {{"ttl_ms", setup_.topology->lease.ttl / 1000}, {"margin_ms", setup_.topology->lease.margin / 1000}}},
      {"regions", regions},
      {"quorum",
       {{"trouble", quorum->trouble},
        {"answered_ms_ago", quorum->sent_at == 0 ? Json() : Json((monotonic_now() - quorum->sent_at) / 1000)},
        {"etcd", setup_.quorum_status ? setup_.quorum_status() : Json()}}},
      {"lives", lives},
      {"database", setup_.markers == nullptr ? Json() : Json(setup_.markers->get()->trouble)},
      {"drift", drift_json()},
      {"gate", gate_json()},
      {"moves", moves_json()},
      {"salvage", salvage_json()},
      {"passes", setup_.lives->passes()},
      {"revoked", roles_.trouble()},
      {"drills", drills_json(setup_.config->state)},
      {"residencies", residencies}};
}

}  // namespace domicile::agent
