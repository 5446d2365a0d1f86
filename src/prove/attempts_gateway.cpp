// Clients who connect to the forbidden region's own gateway and want an order of a tenant from elsewhere.
#include "core/snapshot/compile.hpp"
#include "edge/generations.hpp"
#include "edge/publish.hpp"
#include "edge/state.hpp"
#include "prove/ground.hpp"
#include "prove/plant.hpp"
#include "prove/web.hpp"

namespace domicile::prove {
namespace {

WebAsk order_of(const Ground& ground, const Target& target) {
  WebAsk ask;
  ask.at = ground.config.gateway->listen;
  ask.sni = ground.own_host;
  ask.path = "/orders/" + target.order;
  return ask;
}

// A refusal of the gateway names its reason; 403 and 503 of the service have the database's code.
Outcome outcome_of(const Result<WebAnswer>& answer) {
  if (!answer) return in_trouble(one_line(answer.error()));
  const std::string seen = answer->head + answer->body;
  if (answer->status == 0) return refused_by("handshake", {}, seen);
  const std::string reason = answer->header("X-Domicile-Reason");
  if (!reason.empty()) return refused_by(reason, answer->header("X-Domicile-Denial"), seen);
  const auto body = parse_json(answer->body, "the answer");
  const auto code = body ? member_or<std::string>(*body, "code", "").value_or("") : "";
  if (answer->status >= 400 && !code.empty()) return refused_by(code, {}, seen);
  if (answer->status >= 400) return in_trouble(fmt::format("status {} and no reason", answer->status));
  return went_through(seen);
}

// Answered here by the service of the region, which holds the order reduced: it is there, and its personal columns
// are not.
Outcome reduced_or(const Result<WebAnswer>& answer, const Target& target) {
  Outcome outcome = outcome_of(answer);
  if (outcome.refused || !outcome.trouble.empty()) return outcome;
  const auto order = parse_json(answer->body, "the order");
  if (!order || !order->is_object() || member_or<std::string>(*order, "id", "").value_or("") != target.order)
    return in_trouble("an answer that is not the order");
  for (const char* personal : {"customer_name", "customer_email"})
    if (!order->contains(personal) || !order->at(personal).is_null()) return outcome;
  return lawful_by("reduced", outcome.seen);
}

Outcome ask_for(const Ground& ground, const Target& target, const std::function<void(WebAsk&)>& change) {
  WebAsk ask = order_of(ground, target);
  change(ask);
  return reduced_or(ask_web(ask), target);
}

// Whoever answers must hold the key of home: then nothing was decrypted here.
Outcome by_server_name(const Ground& ground, const Target& target) {
  WebAsk ask = order_of(ground, target);
  ask.sni = target.host;
  ask.path = "/healthz";
  const auto answer = ask_web(ask);
  if (!answer) return in_trouble(one_line(answer.error()));
  if (answer->certificate.empty()) return outcome_of(answer);
  const fs::path certs = ground.field->directory() / "certs";
  std::error_code code;
  for (const auto& file : fs::directory_iterator(certs / ground.here, code))
    if (file.path().extension() == ".pem" &&
        read_file(file.path()).value_or("").find(answer->certificate) != std::string::npos)
      return went_through(answer->head + answer->body);
  const auto home = read_file(certs / ground.home / (ground.residency + ".pem"));
  if (!home || home->find(answer->certificate) == std::string::npos)
    return in_trouble("the certificate is neither of here nor of home");
  return lawful_by("tunnel");
}

std::uint64_t refused_snapshots(const std::string& directory) {
  std::uint64_t sum = 0;
  const auto state = edge::read_edge_state(directory + "/edge.state");
  if (state)
    for (const auto& worker : state->workers) sum += worker.refused_snapshots;
  return sum;
}

// Puts a snapshot there until the workers have looked at it; their agent may replace it meanwhile.
bool offered(const std::string& directory, const char* file, const std::string& bytes) {
  const auto before = refused_snapshots(directory);
  Micros next = 0;
  return eventually(10 * kSecond, [&] {
    if (monotonic_now() >= next) {
      (void)edge::publish(directory + "/" + file, bytes).has_value();
      next = monotonic_now() + kSecond;
    }
    return refused_snapshots(directory) > before;
  });
}

// The workers refused the older snapshot: the one that they have still answers as before.
Outcome by_the_newer(const Outcome& outcome) {
  return outcome.refused || outcome.lawful ? refused_by("older") : outcome;
}

// A directory of yesterday, in which the tenant lies here.
Outcome stale_tenants(const Ground& ground, const Target& target) {
  const std::string directory = ground.config.gateway->directory.string();
  const auto good = read_file(directory + "/tenants.snap");
  if (!good) return in_trouble(one_line(good.error()));
  snapshot::TenantsSnapshot old;
  old.generation = edge::written_in(directory).tenants - 1;
  old.seed[0] = old.seed[1] = 1;
  old.hosts = {{target.host, target.tenant, ground.own_residency},
               {ground.own_host, ground.own_tenant, ground.own_residency}};
  const auto bytes = snapshot::compile(old);
  if (!bytes) return in_trouble(one_line(bytes.error()));
  const bool looked = offered(directory, "tenants.snap", *bytes);
  const Outcome outcome = by_server_name(ground, target);
  (void)edge::publish(directory + "/tenants.snap", *good).has_value();
  if (!looked) return in_trouble("no worker said that it had looked at the snapshot");
  return by_the_newer(outcome);
}

// An authority of yesterday, in which this region owned the residency in full.
Outcome stale_authority(const Ground& ground, const Target& target) {
  const std::string directory = ground.config.gateway->directory.string();
  auto old = edge::last_authority(directory);
  if (!old) return in_trouble("there is no whole authority.snap");
  for (auto& row : old->rows) {
    if (row.residency != ground.residency) continue;
    if (row.epoch == 0) return in_trouble("nobody owned the residency before");
    row.epoch -= 1;
    row.owner = ground.here;
    row.here = snapshot::Form::full;
    row.lease_end = boottime_now() + 600 * kSecond;
  }
  old->generation += 1;
  const auto bytes = snapshot::compile(*old);
  if (!bytes) return in_trouble(one_line(bytes.error()));
  // The agent writes its own again as soon as a lease is extended.
  const bool looked = offered(directory, "authority.snap", *bytes);
  if (!looked) return in_trouble("no worker said that it had looked at the snapshot");
  return by_the_newer(by_server_name(ground, target));
}

// Its tenant says in the body of a request of somebody else's host who it is. The service here finds the residency of
// that tenant, and tries to write the row.
Outcome by_body(const Ground& ground, const Target& target) {
  WebAsk ask = order_of(ground, target);
  ask.path = "/orders";
  ask.method = "POST";
  ask.body = dump({{"id", fresh_uuid()},
                   {"tenant", target.tenant},
                   {"customer_name", target.canary.value},
                   {"customer_email", target.canary.email()}});
  return outcome_of(ask_web(ask));
}

// Unsigned: nobody here would believe it, and nothing here asks for one.
std::string token_of(const Target& target) {
  const auto base64url = [](std::string text) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string out;
    unsigned bits = 0;
    int have = 0;
    for (const char c : text) {
      bits = (bits << 8 | static_cast<unsigned char>(c)) & 0xffffff;
      for (have += 8; have >= 6; have -= 6) out += digits[bits >> (have - 6) & 63];
    }
    if (have > 0) out += digits[bits << (6 - have) & 63];
    return out;
  };
  return base64url(R"({"alg":"none"})") + "." + base64url(fmt::format(R"({{"tenant":"{}"}})", target.tenant)) + ".";
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

Attempt asking(const char* id, const char* what, std::vector<std::string> rules, bool quick,
               std::function<void(const Ground&, const Target&, WebAsk&)> change) {
  return {id,
          Layer::gateway,
          what,
          std::move(rules),
          quick,
          false,
          [change = std::move(change)](const Ground& ground, const Target& target) {
            return ask_for(ground, target, [&](WebAsk& ask) { change(ground, target, ask); });
          }};
}

}  // namespace

std::vector<Attempt> gateway_attempts() {
  const std::vector<std::string> contradiction = {"host_is_not_sni", "unlawful_here"};
  std::vector<Attempt> all = {
      asking("gateway.host", "server name of a tenant here, host of one from elsewhere", contradiction, true,
             [](const Ground&, const Target& target, WebAsk& ask) { ask.host = target.host; }),
      asking("gateway.host_spelling", "the same host in capitals, with a final dot and a port", contradiction, false,
             [](const Ground&, const Target& target, WebAsk& ask) { ask.host = upper(target.host) + ".:443"; }),
      asking("gateway.http2_authority", "the same over HTTP/2, as a browser that shares connections", contradiction,
             true, [](const Ground&, const Target& target, WebAsk& ask) { ask.host = target.host, ask.http2 = true; }),
      asking("gateway.absolute_uri", "the foreign host in the request line alone", contradiction, false,
             [](const Ground& ground, const Target& target, WebAsk& ask) {
               ask.target = "https://" + target.host + ask.path;
               ask.host = ground.own_host;
             }),
      asking("gateway.no_server_name", "a handshake without a server name, then the foreign host", {"handshake"}, true,
             [](const Ground&, const Target& target, WebAsk& ask) { ask.sni.clear(), ask.host = target.host; }),
      asking("gateway.header", "the tenant's name in the tenant header of another host", {"tenant_header"}, true,
             [](const Ground&, const Target& target, WebAsk& ask) { ask.headers = {"X-Tenant: " + target.tenant}; }),
      asking("gateway.forwarded_host", "the foreign host as a proxy would say it", {"reduced"}, false,
             [](const Ground&, const Target& target, WebAsk& ask) {
               ask.headers = {"X-Forwarded-Host: " + target.host, "Forwarded: host=" + target.host};
             }),
      asking("gateway.token", "a token that names the tenant, at another tenant's host", {"reduced"}, true,
             [](const Ground&, const Target& target, WebAsk& ask) {
               ask.headers = {"Authorization: Bearer " + token_of(target)};
             }),
  };
  const auto add = [&](const char* id, const char* what, std::vector<std::string> rules, bool quick, auto run) {
    all.push_back({id, Layer::gateway, what, std::move(rules), quick, false, run});
  };
  add("gateway.server_name", "the foreign server name, to be decrypted here", {"tunnel"}, true, by_server_name);
  add("gateway.stale_tenants", "an older tenants.snap, in which the tenant lies here", {"older"}, true, stale_tenants);
  add("gateway.stale_authority", "an older authority.snap, in which the residency is owned here", {"older"}, false,
      stale_authority);
  add("gateway.body", "an order for the tenant in the body of another host's request", {"DM001", "DM008"}, true,
      by_body);
  return all;
}

}  // namespace domicile::prove
