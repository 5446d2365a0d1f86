// Somebody in the forbidden region who wants the residency to be its own: by the agents' API with every certificate
// that a region's operators have, and by writing what he likes into the quorum, as the region's own login.
#include "core/authority/record.hpp"
#include "engines/etcd/base64.hpp"
#include "engines/etcd/etcd_quorum.hpp"
#include "prove/ground.hpp"
#include "prove/plant.hpp"

namespace domicile::prove {
namespace {

using authority::Mode;
using authority::Record;

constexpr Micros kSeen = 30 * kSecond;      // until the region has seen a record, over a whole drain
constexpr Micros kRestored = 90 * kSecond;  // until the owner serves again

Attempt asking(const char* id, const char* what, std::vector<std::string> rules, bool quick,
               std::function<Result<HttpResponse>(const Ground&)> ask) {
  return {id,
          Layer::authority,
          what,
          std::move(rules),
          quick,
          false,
          [ask = std::move(ask)](const Ground& ground, const Target&) { return outcome_of(ask(ground)); }};
}

Json order(const Ground& ground) { return {{"residency", ground.residency}, {"to", ground.here}, {"reason", "prove"}}; }

// What the quorum says to a login that may not.
Outcome outcome_of_quorum(const Error& error) {
  return error.kind == Kind::refused ? refused_by("etcd_rights", {}, one_line(error)) : in_trouble(one_line(error));
}

// The life of the owner, as its own beat would tell it.
Outcome write_beat(const Ground& ground, const Target&) {
  etcd::Client client(own_quorum(ground));
  const std::string key = std::string(etcd::kBeat) + ground.home;
  const auto before = client.range(key);
  if (!before) return in_trouble(one_line(before.error()));
  const auto done =
      client.commit({.compares = {{key, before->contains(key) ? std::optional(before->at(key)) : std::nullopt}},
                     .puts = {{key, "{}"}},
                     .read_prefix = {}});
  return done ? went_through() : outcome_of_quorum(done.error());
}

Outcome add_login(const Ground& ground, const Target&) {
  etcd::Client client(own_quorum(ground));
  const auto done =
      client.call("/v3/auth/user/add", {{"name", "prove"}, {"password", fresh_uuid()}}, etcd::Effect::writes);
  return done ? went_through() : outcome_of_quorum(done.error());
}

// ---- a record that makes the region the owner

Record forged(const Ground& ground, const Record& now, Mode mode) {
  Record next = now;
  next.mode = mode;
  next.switch_id = "prove-" + fresh_uuid();
  next.from = now.owner;
  next.to = ground.here;
  next.cause = authority::Cause::planned;
  if (mode != Mode::draining) next.epoch += 1;
  if (mode == Mode::serving) {
    next.owner = ground.here;
    next.history.push_back({next.epoch, ground.here, {}});
  }
  return next;
}

Json residency_at(const Ground& ground, const std::string& region) {
  const auto status = ground.field->agent_status(region);
  if (!status || !status->contains("residencies")) return {};
  for (const Json& each : (*status)["residencies"])
    if (each.value("residency", "") == ground.residency) return each;
  return {};
}

// The region says itself why it does not open, and its database lets nothing through.
Outcome stays_closed(const Ground& ground, const Target& target) {
  std::string why;
  const bool said = eventually(kSeen, [&] {
    const Json seen = residency_at(ground, ground.here);
    why = seen.is_object() ? seen.value("why", "") : "";
    return why.find("may not own") != std::string::npos;
  });
  auto database = session_at(ground, ground.here, "");
  if (!database) return in_trouble(one_line(database.error()));
  const auto open = database->exec_params(
      "SELECT 1 FROM domicile.guard_state() WHERE residency = $1 AND state = 'open'", {ground.residency});
  if (!open) return in_trouble(one_line(open.error()));
  if (!open->empty()) return went_through("the guard is open");
  const Outcome row =
      try_sql(ground, "app",
              {fmt::format("INSERT INTO app.orders (id, residency, tenant_id, customer_name) VALUES ('{}', {}, {}, {})",
                           fresh_uuid(), postgres::Connection::quote_literal(ground.residency),
                           postgres::Connection::quote_literal(target.tenant),
                           postgres::Connection::quote_literal(target.canary.value))});
  if (!row.refused || (row.rule != "DM001" && row.rule != "DM008")) return row;
  if (!said) return in_trouble("the agent has not said that it may not own it, but: " + why);
  return refused_by("may_own", {}, row.seen);
}

bool served_at_home(const Ground& ground, authority::Epoch beyond) {
  const Json seen = residency_at(ground, ground.home);
  return seen.is_object() && seen.value("owner", "") == ground.home && seen.value("mode", "") == "serving" &&
         seen.value("epoch", authority::Epoch{0}) > beyond && seen.contains("lease_ms") && seen["lease_ms"].is_number();
}

Outcome edit_record(const Ground& ground, const Target& target, Mode mode) {
  etcd::Client client(own_quorum(ground));
  const std::string key = std::string(etcd::kAuthority) + ground.residency;
  const auto values = client.range(key);
  if (!values || !values->contains(key)) return in_trouble("the quorum's record cannot be read");
  const std::string before = values->at(key);
  const auto now = authority::record_of(before);
  if (!now) return in_trouble(one_line(now.error()));
  if (now->mode != Mode::serving) return in_trouble("a switch is under way");
  const Record next = forged(ground, *now, mode);
  const auto done =
      client.commit({.compares = {{key, before}}, .puts = {{key, authority::to_text(next)}}, .read_prefix = {}});
  if (!done) return outcome_of_quorum(done.error());
  if (!done->applied) return in_trouble("the record has changed meanwhile");
  const Outcome outcome = stays_closed(ground, target);
  // A record without a target for its owner ends by itself: whoever owns it takes it back.
  if (mode != Mode::serving && !eventually(kRestored, [&] { return served_at_home(ground, next.epoch); }))
    return in_trouble(fmt::format("{} does not serve {} again", ground.home, ground.residency));
  return outcome;
}

Attempt editing(const char* id, const char* what, Mode mode, bool quick, bool breaks) {
  return {id,
          Layer::authority,
          what,
          {"may_own", "etcd_rights"},
          quick,
          breaks,
          [mode](const Ground& ground, const Target& target) { return edit_record(ground, target, mode); }};
}

}  // namespace

std::vector<Attempt> authority_attempts() {
  std::vector<Attempt> all = {
      asking("authority.switch", "a switch to here, ordered here by an operator", {"DOM-E202", "refused"}, true,
             [](const Ground& g) {
               return ask_api(g, g.here, client_certificate(g, "operate"), "POST", "/v1/switch", dump(order(g)));
             }),
      asking("authority.switch_by_peer", "the same, ordered at home by this region's certificate",
             {"DOM-E202", "refused"}, true,
             [](const Ground& g) {
               return ask_api(g, g.home, own_certificate(g, "site"), "POST", "/v1/switch", dump(order(g)));
             }),
      asking("authority.view", "the same by a certificate that may only look", {"DOM-E610"}, false,
             [](const Ground& g) {
               return ask_api(g, g.home, client_certificate(g, "view"), "POST", "/v1/switch", dump(order(g)));
             }),
      asking("authority.epoch", "an epoch of its own on the owner's disk", {"refused"}, true,
             [](const Ground& g) {
               return ask_api(g, g.home, own_certificate(g, "site"), "PUT", "/v1/epochs/" + g.residency,
                              dump({{"epoch", 1'000'000}, {"owner", g.here}}));
             }),
      asking("authority.foreign_epoch", "an epoch in the owner's name on a third site's disk", {"refused"}, false,
             [](const Ground& g) {
               std::string third = g.home;
               for (const auto& region : g.field->regions())
                 if (region != g.home && region != g.here) third = region;
               return ask_api(g, third, own_certificate(g, "site"), "PUT", "/v1/epochs/" + g.residency,
                              dump({{"epoch", 1'000'000}, {"owner", g.home}}));
             }),
      asking("authority.adopt", "the quorum adopted with this region as owner", {"DOM-E202"}, true,
             [](const Ground& g) {
               return ask_api(g, g.here, client_certificate(g, "operate"), "POST", "/v1/quorum/adopt",
                              dump({{"reason", "prove"}, {"residency", g.residency}, {"owner", g.here}}));
             }),
      asking("authority.break_glass", "opened here without a quorum", {"DOM-E202"}, false,
             [](const Ground& g) {
               Json attest = Json::object();
               for (const auto& region : g.field->regions())
                 if (region != g.here) attest[region] = "prove";
               return ask_api(
                   g, g.here, client_certificate(g, "break-glass"), "POST", "/v1/break-glass",
                   dump({{"residency", g.residency}, {"by", "prove"}, {"reason", "prove"}, {"attest", attest}}));
             }),
      asking("authority.approve", "an approval of a switch that nobody proposed", {"conflict"}, false,
             [](const Ground& g) {
               return ask_api(g, g.here, client_certificate(g, "approve"), "POST", "/v1/approve",
                              dump({{"proposal", g.residency + "-2"}, {"reason", "prove"}}));
             }),
      editing("authority.record_moving", "the quorum's record edited: moving to here", Mode::moving, true, false),
      editing("authority.record_draining", "the quorum's record edited: a planned switch to here", Mode::draining,
              false, false),
      editing("authority.record_serving", "the quorum's record edited: served by this region", Mode::serving, false,
              true),
  };
  all.push_back({"authority.beat",
                 Layer::authority,
                 "the owner's beat, overwritten in the quorum",
                 {"etcd_rights"},
                 true,
                 false,
                 write_beat});
  all.push_back({"authority.login",
                 Layer::authority,
                 "a login of its own in the quorum",
                 {"etcd_rights"},
                 false,
                 false,
                 add_login});
  return all;
}

}  // namespace domicile::prove
