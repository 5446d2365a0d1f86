// Values that somebody says to the forbidden region's own services, so that they write them down: in logs, events, and
// labels of metrics.
#include "census/census.hpp"
#include "prove/ground.hpp"
#include "prove/plant.hpp"
#include "prove/web.hpp"

namespace domicile::prove {
namespace {

std::vector<census::Place> logs_of(const Ground& ground) {
  const fs::path site = ground.field->directory() / "sites" / ground.here;
  return {{"logs", site / "logs"}, {"gateway logs", site / "gateway" / "logs"}, {"agent", site / "agent"}};
}

std::uintmax_t size_of(const fs::path& file) {
  std::error_code code;
  const auto size = fs::file_size(file, code);
  return code ? 0 : size;
}

fs::path log_file(const Ground& ground, const std::string& name) {
  const fs::path site = ground.field->directory() / "sites" / ground.here;
  return name.starts_with("gateway/") ? site / "gateway" / "logs" / name.substr(8) : site / "logs" / name;
}

// `say` tells the canary, and whether it could. Its log has grown afterwards: something was written, and not that.
// Empty: there is none that has to.
Outcome unwritten(const Ground& ground, const Target& target, const std::string& log,
                  const std::function<Result<std::string>()>& say) {
  const auto before = size_of(log_file(ground, log));
  const auto seen = say();
  if (!seen) return in_trouble(one_line(seen.error()));
  if (!log.empty() && !eventually(5 * kSecond, [&] { return size_of(log_file(ground, log)) > before; }))
    return in_trouble(log + " has not grown: nothing shows that it was heard");
  const auto report = census::census(logs_of(ground), {target.canary});
  if (!report.hits.empty()) return went_through(*seen);
  if (!report.unsearched.empty()) return in_trouble("not searched: " + report.unsearched[0].why);
  return lawful_by("not_written", *seen);
}

Result<std::string> say_to_gateway(const Ground& ground, const std::function<void(WebAsk&)>& change) {
  WebAsk ask;
  ask.at = ground.config.gateway->listen;
  ask.sni = ground.own_host;
  change(ask);
  const auto answer = TRY(ask_web(ask));
  return answer.head + answer.body;
}

Outcome request(const Ground& ground, const Target& target) {
  const std::string& value = target.canary.value;
  return unwritten(ground, target, "gateway/access.log", [&] {
    return say_to_gateway(ground, [&](WebAsk& ask) {
      ask.path = "/nowhere/" + value + "?mail=" + target.canary.email();
      ask.headers = {"User-Agent: " + value, "Referer: https://" + value + ".example/", "Cookie: name=" + value};
    });
  });
}

Outcome strange_host(const Ground& ground, const Target& target) {
  return unwritten(ground, target, "gateway/access.log", [&] {
    return say_to_gateway(ground, [&](WebAsk& ask) { ask.host = target.canary.value + ".example"; });
  });
}

// The handshake is refused, and no log tells of it.
Outcome server_name(const Ground& ground, const Target& target) {
  return unwritten(ground, target, "", [&]() -> Result<std::string> {
    const auto heard = TRY(say_to_gateway(ground, [&](WebAsk& ask) { ask.sni = target.canary.value + ".example"; }));
    if (heard.empty()) return heard;
    return fail(Kind::failed, "somebody answered under a name that nobody has");
  });
}

// PostgreSQL writes that a statement failed, and neither the statement nor the row.
Outcome statement(const Ground& ground, const Target& target, const std::string& sql, const std::string& state) {
  return unwritten(ground, target, "postgres.log", [&]() -> Result<std::string> {
    const Outcome outcome = try_sql(ground, "app", {sql});
    if (outcome.refused && outcome.rule == state) return outcome.seen;
    return fail(Kind::failed, "the statement did not fail with " + state + ": " + outcome.rule + outcome.trouble);
  });
}

Outcome failing_statement(const Ground& ground, const Target& target) {
  return statement(ground, target, "SELECT '" + target.canary.value + "' FROM app.nowhere", "42P01");
}

// Refused before it is stored: its DETAIL quotes the whole row.
Outcome failing_row(const Ground& ground, const Target& target) {
  return statement(ground, target,
                   fmt::format("INSERT INTO app.orders (id, residency, tenant_id, customer_name, amount) VALUES ('{}', "
                               "{}, {}, {}, NULL)",
                               fresh_uuid(), postgres::Connection::quote_literal(ground.own_residency),
                               postgres::Connection::quote_literal(ground.own_tenant),
                               postgres::Connection::quote_literal(target.canary.value)),
                   "23502");
}

// Words where a residency's name belongs: none becomes a label, an event or a log line.
Outcome label(const Ground& ground, const Target& target) {
  const auto by = client_certificate(ground, "view");
  for (const std::string& path : {"/v1/copies/" + target.canary.value,
                                  "/v1/links/" + target.canary.value + "?from=" + target.canary.value + "&to=x",
                                  "/v1/schemas/" + target.canary.value}) {
    const auto asked = ask_api(ground, ground.here, by, "GET", path);
    if (!asked) return in_trouble(one_line(asked.error()));
  }
  const auto hint = ask_api(ground, ground.here, own_certificate(ground, "site"), "POST", "/v1/look",
                            dump({{"residency", target.canary.value}, {"record", target.canary.value}}));
  if (!hint) return in_trouble(one_line(hint.error()));
  std::string seen;
  for (const char* path : {"/metrics", "/v1/status", "/v1/events?count=1000", "/v1/observed"}) {
    const auto answer = ask_api(ground, ground.here, by, "GET", path);
    if (!answer || answer->status != 200) return in_trouble(std::string(path) + " does not answer");
    seen += answer->body;
  }
  if (seen.find("residency=\"" + ground.residency + "\"") == std::string::npos)
    return in_trouble("the metrics have no label for a residency at all");
  const auto report = census::census(logs_of(ground), {target.canary});
  if (!report.hits.empty()) return went_through(seen);
  if (!report.unsearched.empty()) return in_trouble("not searched: " + report.unsearched[0].why);
  return lawful_by("no_label", seen);
}

}  // namespace

std::vector<Attempt> log_attempts() {
  return {
      {"logs.request",
       Layer::logs,
       "a path, a query, a user agent, a referrer and a cookie",
       {"not_written"},
       true,
       false,
       request},
      {"logs.host", Layer::logs, "a host that nobody has", {"not_written"}, false, false, strange_host},
      {"logs.server_name", Layer::logs, "a server name that nobody has", {"not_written"}, true, false, server_name},
      {"logs.statement", Layer::logs, "a statement that fails", {"not_written"}, true, false, failing_statement},
      {"logs.row", Layer::logs, "a row that a constraint refuses", {"not_written"}, false, false, failing_row},
      {"logs.label",
       Layer::logs,
       "a name where a residency's belongs, in metrics and events",
       {"no_label"},
       true,
       false,
       label},
  };
}

}  // namespace domicile::prove
