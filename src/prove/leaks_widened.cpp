// Leaks by the product's own ways, which a topology that is too wide has opened: rows of a residency that may lie in
// full at the wrong side go there as first rows, through the gate, and with a tenant that moves.
#include <fstream>

#include "base/json.hpp"
#include "core/residency/links.hpp"
#include "core/topology/parse.hpp"
#include "engines/postgres/tenants.hpp"
#include "lab/lab.hpp"
#include "prove/leaks.hpp"
#include "prove/widened.hpp"

namespace domicile::prove {
namespace {

using census::Canary;
using postgres::Connection;

constexpr Micros kArrival = 60 * kSecond, kMove = 120 * kSecond;

Result<void> is_widened(const Scene& scene) {
  const fs::path file = scene.field->directory() / "topology.yaml";
  const auto topology = TRY(topology::load(TRY(read_file(file)), file.string()));
  if (topology::residency_of(topology, kWidened) != nullptr) return {};
  return fail(Kind::refused, fmt::format("the lab's topology has no residency {}", kWidened),
              "bring it up with a topology that write_widened() made");
}

// The owner's directory is a copy: a tenant that is new arrives.
Result<void> add_tenant(const Scene& scene, const std::string& tenant, const std::string& host) {
  CHECK_OK(is_widened(scene));
  auto directory = TRY(scene.sql(topology::directory_of(scene.field->topology()).home));
  const std::vector<tenants::Entry> entries = {{tenant, kWidened, {host}}};
  (void)TRY(postgres::import_tenants(directory, entries, {}, "prove"));
  auto sql = TRY(scene.sql(scene.owner));
  if (await(kArrival, [&] {
        const auto rows = sql.exec_params("select from domicile.tenant where tenant_id = $1", {tenant});
        return rows && !rows->empty();
      }))
    return {};
  return fail(Kind::unavailable, scene.owner + " does not learn of a new tenant");
}

// Its id.
Result<std::string> add_order(const Scene& scene, const std::string& tenant, const Canary& canary) {
  auto sql = TRY(scene.sql(scene.owner));
  const auto added = TRY(sql.exec_params(
      "insert into app.orders (id, residency, tenant_id, customer_name) values (gen_random_uuid(), $1, $2, $3) "
      "returning id",
      {kWidened, tenant, canary.value}));
  return added.text(0, 0);
}

Result<void> arrive(const Scene& scene, const std::string& id, const std::string& how) {
  auto sql = TRY(scene.sql(scene.site));
  if (await(kArrival, [&] {
        const auto rows = sql.exec_params("select from app.orders where id = $1 and customer_name is not null", {id});
        return rows && !rows->empty();
      }))
    return {};
  return fail(Kind::unavailable, "an order did not arrive " + how);
}

// What PostgreSQL of the wrong side heard from the owner's gate, inside TLS.
Expected heard_by_postgres(const Scene& scene) {
  return {scene.place("tls in.client." + scene.field->service(scene.site, scene.owner, lab::gate).address),
          "/postgres."};
}

// And its agent, whose sockets libcurl hides from the recorder.
Expected heard_by_agent(const Scene& scene) { return {scene.place("tls in.client.unknown"), "/agent."}; }

Result<Expected> through_the_gate(Scene& scene, const Canary& canary) {
  CHECK_OK(add_tenant(scene, "leak-gate", "gate.leak.example"));
  CHECK_OK(arrive(scene, TRY(add_order(scene, "leak-gate", canary)), "through the gate"));
  return heard_by_postgres(scene);
}

Result<void> on_agent(const Scene& scene, const std::string& verb) {
  (void)TRY(scene.field->lab(verb, {{"site", scene.site}, {"program", "agent"}}));
  return {};
}

// While its agent is away: no subscription, no slot, and a disk that knows of no copy.
Result<void> forget_copy(const Scene& scene, const std::string& link) {
  auto here = TRY(scene.sql(scene.site)), there = TRY(scene.sql(scene.owner));
  const std::string subscription = "alter subscription " + Connection::quote_identifier(link);
  for (const std::string& statement : {subscription + " disable", subscription + " set (slot_name = none)",
                                       "drop subscription " + Connection::quote_identifier(link)})
    TRY(here.exec(statement, monotonic_now() + kArrival));
  if (!await(kArrival, [&] { return there.exec_params("select pg_drop_replication_slot($1)", {link}).has_value(); }))
    return fail(Kind::unavailable, "the slot of " + link + " stays in use");
  const fs::path file = scene.folder() / "agent" / "copies.json";
  Json copies = TRY(parse_json(TRY(read_file(file)), file.string()));
  copies.erase(kWidened);
  // In place: written anew it would be another user's file.
  std::ofstream out(file, std::ios::trunc);
  out << dump(copies) << std::flush;
  if (!out) return fail(Kind::failed, "cannot write to " + file.string());
  return {};
}

Result<Expected> as_first_rows(Scene& scene, const Canary& canary) {
  CHECK_OK(add_tenant(scene, "leak-first", "first.leak.example"));
  CHECK_OK(on_agent(scene, "kill-program"));
  // The order comes when nothing flows, so that no stream ever carries it. The agent lives again whatever happened.
  const auto id = [&]() -> Result<std::string> {
    CHECK_OK(forget_copy(scene, residency::link_name(kWidened, scene.owner, scene.site)));
    return add_order(scene, "leak-first", canary);
  }();
  CHECK_OK(on_agent(scene, "start-program"));
  CHECK_OK(arrive(scene, TRY(id), "as first rows"));
  return heard_by_agent(scene);
}

Result<Expected> by_a_move(Scene& scene, const Canary& canary) {
  CHECK_OK(add_tenant(scene, "leak-moves", std::string(lab::kMovingHost)));
  const std::string id = TRY(add_order(scene, "leak-moves", canary));
  const auto ask = [&](const std::string& path, const Json& body) {
    return scene.field->agent(scene.site, "POST", path, body, 20 * kSecond);
  };
  Result<Json> order = fail(Kind::unavailable, "not ordered");
  std::string phase = "not seen";
  const bool done = await(kMove, [&] {
    if (!order) order = ask("/v1/moves", {{"tenant", "leak-moves"}, {"to", scene.served}, {"reason", "prove"}});
    const auto found = ask("/v1/moves/find", {{"tenant", "leak-moves"}});
    if (!found || !found->contains("move") || !found->at("move").is_object()) return false;
    phase = found->at("move").value("phase", "");
    return phase == "done" || phase == "aborted";
  });
  if (!done && !order) return tl::unexpected<Error>(order.error());
  if (phase != "done") return fail(Kind::failed, "the move ended as " + phase);
  CHECK_OK(arrive(scene, id, "with its tenant"));
  return heard_by_agent(scene);
}

}  // namespace

std::vector<Planting> widened_leaks() {
  return {{"gate", "its stream, by a topology that is too wide", through_the_gate},
          {"first_rows", "the initial copy, by a topology that is too wide", as_first_rows},
          {"tenant_move", "a tenant that takes its personal columns along", by_a_move}};
}

}  // namespace domicile::prove
