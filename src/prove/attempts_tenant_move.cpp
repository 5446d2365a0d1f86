// A tenant that is moved between residencies: by an operator's order, by a hostile peer's word, and lawfully there and
// back, which takes nothing along that may not go.
#include "drill/drills.hpp"
#include "engines/postgres/tenants.hpp"
#include "lab/lab.hpp"
#include "prove/ground.hpp"
#include "prove/plant.hpp"

namespace domicile::prove {
namespace {

constexpr Micros kMove = 120 * kSecond;
constexpr const char* kTenant = "prove-moves";

Json forged(const Ground& ground, const Target& target, const char* phase) {
  return {{"tenant", target.tenant},
          {"id", "move-" + fresh_uuid()},
          {"from", ground.residency},
          {"to", ground.own_residency},
          {"phase", phase},
          {"digest", ""},
          {"note", ""},
          {"without_personal", false}};
}

Attempt asking(const char* id, const char* what, std::vector<std::string> rules, bool quick,
               std::function<Result<HttpResponse>(const Ground&, const Target&)> ask) {
  return {
      id,
      Layer::tenant_move,
      what,
      std::move(rules),
      quick,
      false,
      [ask = std::move(ask)](const Ground& ground, const Target& target) { return outcome_of(ask(ground, target)); }};
}

// ---- there and back

// One whose host every residency's certificate names, as it has to before a move.
Result<std::string> mover(const Ground& ground) {
  const auto directory = TRY(drill::owner_of(*ground.field, std::string(topology::kDirectory)));
  auto connection = TRY(session_at(ground, directory.owner, ""));
  const std::string host(lab::kMovingHost);
  const auto taken = TRY(connection.exec_params(
      "SELECT t.tenant_id, t.residency FROM domicile.host h JOIN domicile.tenant t USING (tenant_id) WHERE h.host = $1",
      {host}));
  if (!taken.empty() && taken.at(0, 1) != ground.residency)
    return fail(Kind::conflict, "the tenant of " + host + " lives in " + taken.text(0, 1));
  if (!taken.empty()) return taken.text(0, 0);
  const std::vector<tenants::Entry> entries = {{kTenant, ground.residency, {host}}};
  (void)TRY(postgres::import_tenants(connection, entries, {}, "prove"));
  return std::string(kTenant);
}

// Home's directory is a copy: a tenant that is new arrives.
Result<void> add_order(const Ground& ground, const std::string& tenant, const std::string& id,
                       const std::string& value) {
  auto connection = TRY(session_at(ground, ground.home, "app"));
  Result<postgres::Rows> added;
  const bool done = eventually(20 * kSecond, [&] {
    added = connection.exec_params(
        "INSERT INTO app.orders (id, residency, tenant_id, customer_name, customer_email) VALUES ($1, $2, $3, $4, $4)",
        {id, ground.residency, tenant, value});
    return added.has_value();
  });
  if (!done) return tl::unexpected<Error>(added.error());
  return {};
}

Result<void> move(const Ground& ground, const std::string& tenant, const std::string& to, bool without_personal) {
  const auto ask = [&](const std::string& path, const Json& body) -> Result<Json> {
    const auto answer =
        TRY(ask_api(ground, ground.here, client_certificate(ground, "operate"), "POST", path, dump(body)));
    const Json json = TRY(parse_json(answer.body, "the agent's answer"));
    if (answer.status < 300) return json;
    return fail(Kind::failed, fmt::format("{} answers {}: {}", path, answer.status,
                                          member_or<std::string>(json, "what", "").value_or("")));
  };
  const Json order = TRY(
      ask("/v1/moves", {{"tenant", tenant}, {"to", to}, {"reason", "prove"}, {"without_personal", without_personal}}));
  std::string phase = "not seen";
  const bool done = eventually(kMove, [&] {
    const auto found = ask("/v1/moves/find", {{"tenant", tenant}});
    if (!found || !found->contains("move") || !found->at("move").is_object()) return false;
    const Json& seen = found->at("move");
    if (seen.value("id", "") != order.value("id", "")) return false;
    phase = seen.value("phase", "");
    return phase == "done" || phase == "aborted";
  });
  if (!done || phase != "done") return fail(Kind::failed, fmt::format("the move to {} ended as {}", to, phase));
  return {};
}

Outcome there_and_back(const Ground& ground, const Target& target) {
  const std::string id = fresh_uuid();
  std::string seen;
  bool arrived = false;
  const auto done = [&]() -> Result<void> {
    const std::string tenant = TRY(mover(ground));
    CHECK_OK(add_order(ground, tenant, id, target.canary.value));
    CHECK_OK(move(ground, tenant, ground.own_residency, true));
    auto here = TRY(session_at(ground, ground.here, "app"));
    const auto row = TRY(here.exec_params(
        "SELECT residency, customer_name, customer_email FROM app.orders WHERE id = $1 AND residency = $2",
        {id, ground.own_residency}));
    arrived = row.size() == 1 && row.null(0, 1) && row.null(0, 2);
    for (int column = 0; column < row.columns(); ++column) seen += row.text(0, column) + "\t";
    return move(ground, tenant, ground.residency, false);
  }();
  if (!done) return in_trouble(one_line(done.error()));
  if (!arrived) return seen.empty() ? in_trouble("the order has not come along") : went_through(seen);
  return lawful_by("without_personal", seen);
}

}  // namespace

std::vector<Attempt> tenant_move_attempts() {
  std::vector<Attempt> all = {
      asking("tenant_move.with_personal", "the tenant moved to here with its personal columns, by an operator",
             {"DOM-E714"}, true,
             [](const Ground& g, const Target& t) {
               return ask_api(g, g.here, client_certificate(g, "operate"), "POST", "/v1/moves",
                              dump({{"tenant", t.tenant}, {"to", g.own_residency}, {"reason", "prove"}}));
             }),
      asking("tenant_move.view", "the same by a certificate that may only look", {"DOM-E610"}, false,
             [](const Ground& g, const Target& t) {
               return ask_api(g, g.here, client_certificate(g, "view"), "POST", "/v1/moves",
                              dump({{"tenant", t.tenant}, {"to", g.own_residency}, {"reason", "prove"}}));
             }),
      asking("tenant_move.rows", "the rows of a move that the directory does not have, asked for as a peer",
             {"unavailable", "refused"}, true,
             [](const Ground& g, const Target& t) {
               return ask_api(g, g.home, own_certificate(g, "site"), "POST", "/v1/moves/rows",
                              dump({{"move", forged(g, t, "copying")}, {"table", "app.orders"}, {"buckets", {0}}}));
             }),
      asking("tenant_move.advance", "a move that has flipped already, as a peer says", {"conflict", "refused", "DM001"},
             false,
             [](const Ground& g, const Target& t) {
               Json now = forged(g, t, "sealed"), next = now;
               next["phase"] = "flipped";
               return ask_api(g, g.home, own_certificate(g, "site"), "POST", "/v1/moves/advance",
                              dump({{"now", now}, {"next", next}}));
             }),
  };
  all.push_back({"tenant_move.there_and_back",
                 Layer::tenant_move,
                 "a tenant moved to here, as far as the law lets it, and back",
                 {"without_personal"},
                 false,
                 false,
                 there_and_back});
  return all;
}

}  // namespace domicile::prove
