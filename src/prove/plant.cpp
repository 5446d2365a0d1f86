#include "prove/plant.hpp"

#include <random>

#include "prove/ground.hpp"
#include "prove/web.hpp"

namespace domicile::prove {
namespace {

constexpr std::size_t kTenants = 8;
constexpr Micros kPatience = 40 * kSecond;

// Tenants that are new are served once their snapshot has reached the gateway.
Result<void> post_order(const drill::Field& field, const drill::ClientSpec& client, const Target& target) {
  const auto& gateway = client.gateways.at(0);
  WebAsk ask;
  ask.at = fmt::format("{}:{}", gateway.address, gateway.port);
  ask.sni = client.host;
  ask.path = "/orders";
  ask.method = "POST";
  ask.ca = field.ca();
  ask.body = dump({{"id", target.order},
                   {"tenant", client.tenant},
                   {"customer_name", target.canary.value},
                   {"customer_email", target.canary.email()},
                   {"amount", 1}});
  std::string last;
  const bool done = eventually(kPatience, [&] {
    const auto answer = ask_web(ask);
    last = answer ? fmt::format("status {}", answer->status) : one_line(answer.error());
    // 409: it is there, and an answer was lost.
    return answer && (answer->status == 201 || answer->status == 409);
  });
  if (done) return {};
  return fail(Kind::unavailable, "no order can be written at " + gateway.region + ": " + last, "domicile status");
}

// The demo's service knows no items.
Result<void> add_notes(postgres::Connection& home, const std::string& residency,
                       const std::map<std::string, Target>& targets) {
  CHECK_OK(home.exec("SET SESSION AUTHORIZATION app"));
  for (const auto& [id, target] : targets)
    CHECK_OK(home.exec_params(
        "INSERT INTO app.order_items (id, residency, tenant_id, order_id, sku, note) VALUES ($1, $2, $3, $4, 'a', $5)",
        {fresh_uuid(), residency, target.tenant, target.order, target.canary.value}));
  CHECK_OK(home.exec("RESET SESSION AUTHORIZATION"));
  return {};
}

Result<std::size_t> counted(postgres::Connection& connection, const std::string& sql,
                            const std::map<std::string, Target>& targets) {
  std::size_t count = 0;
  for (const auto& [id, target] : targets) count += TRY(connection.exec_params(sql, {target.order})).empty() ? 0 : 1;
  return count;
}

}  // namespace

std::string fresh_uuid() {
  std::random_device chance;
  std::string out;
  for (const int digits : {8, 4, 4, 4, 12}) {
    if (!out.empty()) out += '-';
    for (int i = 0; i < digits; ++i) out += "0123456789abcdef"[chance() % 16];
  }
  return out;
}

Result<std::map<std::string, Target>> plant(const drill::Field& field, const std::string& residency,
                                            const std::string& forbidden, const std::vector<Attempt>& attempts,
                                            const drill::Talk& talk) {
  const auto directory = TRY(drill::owner_of(field, std::string(topology::kDirectory)));
  const auto clients = TRY(field.clients(residency, kTenants, directory.owner));
  const std::string home = TRY(drill::owner_of(field, residency)).owner;
  std::map<std::string, Target> targets;
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    const auto& client = clients[i % clients.size()];
    Target target{TRY(census::make_canary(attempts[i].id)), fresh_uuid(), client.tenant, client.host};
    CHECK_OK(post_order(field, client, target));
    targets.emplace(attempts[i].id, std::move(target));
  }
  auto at_home = TRY(postgres::Connection::open(field.database(home)));
  CHECK_OK(add_notes(at_home, residency, targets));
  const auto there = TRY(counted(
      at_home, "SELECT 1 FROM app.orders WHERE id = $1 AND customer_name IS NOT NULL AND customer_email IS NOT NULL",
      targets));
  if (there != targets.size())
    return fail(Kind::corrupt, fmt::format("of {} orders {} can be read at {}", targets.size(), there, home));
  talk(fmt::format("{} canaries lie in {}, in personal columns of {}", targets.size(), home, residency));

  const auto* rules = topology::residency_of(field.topology(), residency);
  if (topology::form_at(field.topology(), *rules, forbidden) == topology::Form::none) return targets;
  auto reduced = TRY(postgres::Connection::open(field.database(forbidden)));
  std::size_t arrived = 0;
  const bool all = eventually(kPatience, [&] {
    arrived = counted(reduced, "SELECT 1 FROM app.order_items WHERE order_id = $1", targets).value_or(0);
    return arrived == targets.size();
  });
  if (!all)
    return fail(Kind::unavailable,
                fmt::format("of {} orders {} have arrived reduced at {}", targets.size(), arrived, forbidden),
                "domicile status: does the link flow?");
  return targets;
}

Json json_of(const std::map<std::string, Target>& targets) {
  Json out = Json::object();
  for (const auto& [id, target] : targets)
    out[id] = {
        {"canary", target.canary.value}, {"order", target.order}, {"tenant", target.tenant}, {"host", target.host}};
  return out;
}

Result<std::map<std::string, Target>> targets_of(const Json& json) {
  std::map<std::string, Target> targets;
  if (!json.is_object()) return fail(Kind::corrupt, "no targets");
  for (const auto& [id, one] : json.items()) {
    Target target;
    target.canary = {id, TRY(member<std::string>(one, "canary"))};
    target.order = TRY(member<std::string>(one, "order"));
    target.tenant = TRY(member<std::string>(one, "tenant"));
    target.host = TRY(member<std::string>(one, "host"));
    targets.emplace(id, std::move(target));
  }
  return targets;
}

}  // namespace domicile::prove
