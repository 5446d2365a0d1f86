// Leaks that leave nothing on a disk: what crossed, and what was said inside TLS.
#include "prove/leaks.hpp"

namespace domicile::prove {
namespace {

using census::Canary;
using postgres::Connection;

// The other region's PostgreSQL is a client there that calls whomever it is told to; it is refused, after it has told
// its name.
Result<void> call_from_owner(const Scene& scene, const Canary& canary, const drill::Gateway& to,
                             const std::string& how) {
  auto sql = TRY(scene.sql(scene.owner));
  const std::string conninfo = fmt::format("host={} port={} dbname=app connect_timeout=3 application_name={} {}",
                                           to.address, to.port, canary.value, how);
  const auto made = sql.exec("create subscription leak_call connection " + Connection::quote_literal(conninfo) +
                                 " publication leak with (copy_data = false)",
                             monotonic_now() + 5 * kSecond);
  if (made) return fail(Kind::failed, "somebody took a call that must be refused");
  return {};
}

std::string certificates(const Scene& scene) {
  const fs::path certs = scene.field->directory() / "certs", own = certs / scene.owner;
  std::string role = "domicile_link_" + scene.owner;
  std::ranges::replace(role, '-', '_');
  return fmt::format("user={} sslmode=verify-full sslrootcert={} sslcert={} sslkey={}", role,
                     (certs / "ca.pem").string(), (own / "link.pem").string(), (own / "link.key").string());
}

Result<Expected> plain_bytes(Scene& scene, const Canary& canary) {
  CHECK_OK(call_from_owner(scene, canary, scene.field->service(scene.owner, scene.site, lab::gateway),
                           "user=leak sslmode=disable gssencmode=disable"));
  return Expected{fmt::format("wan: {}-{}", scene.owner, scene.site), "/gateway."};
}

Result<Expected> heard_inside_tls(Scene& scene, const Canary& canary) {
  CHECK_OK(
      call_from_owner(scene, canary, scene.field->service(scene.owner, scene.site, lab::gate), certificates(scene)));
  return Expected{scene.place("tls in.server." + scene.field->inner_address(scene.owner)), "/gate."};
}

// An order that is not this agent's to take: it passes it on to the owner, who refuses it.
Result<Expected> said_inside_tls(Scene& scene, const Canary& canary) {
  const auto answer =
      scene.field->agent(scene.site, "POST", "/v1/switch",
                         {{"residency", scene.residency}, {"to", scene.site}, {"reason", canary.value}}, 10 * kSecond);
  if (answer) return fail(Kind::failed, "an unlawful switch was taken");
  return Expected{scene.place("tls out"), "/agent."};
}

}  // namespace

std::vector<Planting> network_leaks() {
  return {{"wan", "plain bytes through the relay", plain_bytes},
          {"tls", "heard by the gate inside TLS, and kept nowhere", heard_inside_tls},
          {"tls", "said by the agent inside TLS", said_inside_tls}};
}

}  // namespace domicile::prove
