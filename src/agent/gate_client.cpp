#include "agent/gate_client.hpp"

namespace domicile::agent {

Result<std::string> GateClient::ask(HttpRequest request) const {
  HttpClient client({}, socket_);
  request.url = "http://gate" + request.url;
  request.headers = {"Expect:", "Content-Type: text/plain"};
  const auto response = client.send(request);
  if (!response) return wrap("the gate does not answer", response.error());
  if (response->status == 200) return response->body;
  const auto json = parse_json(response->body, "the gate's answer");
  const auto what = json ? member_or<std::string>(*json, "what", "").value_or("") : "";
  return fail(response->status == 403 ? Kind::refused : Kind::unavailable,
              fmt::format("the gate answered {} {}", response->status, what), "domicile link list");
}

Result<void> GateClient::pass(const std::string& link, const std::string& table,
                              const std::vector<std::string>& columns, std::string_view lines) const {
  std::string piece = dump(Json(columns)) + "\n";
  piece += lines;
  TRY(ask({"POST", fmt::format("/v1/first-rows/{}/{}", link, table), {}, std::move(piece), 30 * kSecond}));
  return {};
}

Result<void> GateClient::stop(const std::string& link, const std::string& lsn) const {
  TRY(ask({"POST", "/v1/links/stop", {}, dump({{"link", link}, {"at", lsn}}), kSecond}));
  return {};
}

Result<void> GateClient::go(const std::string& link) const {
  TRY(ask({"POST", "/v1/links/go", {}, dump({{"link", link}}), kSecond}));
  return {};
}

Result<void> GateClient::released(const std::string& link) const {
  TRY(ask({"POST", "/v1/links/released", {}, dump({{"link", link}}), kSecond}));
  return {};
}

Result<std::vector<GateLinkSeen>> GateClient::links() const {
  const auto json = TRY(parse_json(TRY(ask({"GET", "/v1/links", {}, "", kSecond})), "the gate's links"));
  if (!json.is_array()) return fail(Kind::corrupt, "the gate's answer is no list of links");
  std::vector<GateLinkSeen> out;
  for (const Json& one : json) {
    GateLinkSeen link;
    link.link = TRY(member<std::string>(one, "link"));
    link.residency = TRY(member<std::string>(one, "residency"));
    link.to = TRY(member<std::string>(one, "to"));
    link.streams = TRY(member<bool>(one, "streams"));
    link.stopped = one.contains("stops_at") && !one["stops_at"].is_null();
    if (one.contains("held") && one["held"].is_object()) {
      link.held = fmt::format("{}: {}", TRY(member<std::string>(one["held"], "rule")),
                              TRY(member<std::string>(one["held"], "what")));
      link.fresh_slot = TRY(member_or<bool>(one["held"], "fresh_slot", false));
    }
    if (one.contains("progress") && one["progress"].is_object() && one["progress"]["lag_ms"].is_number_integer())
      link.lag = one["progress"]["lag_ms"].get<std::int64_t>() * kMillisecond;
    out.push_back(std::move(link));
  }
  return out;
}

Result<std::string> GateClient::policy() const {
  const auto json = TRY(parse_json(TRY(ask({"GET", "/v1/policy", {}, "", kSecond})), "the gate's policy"));
  auto policy = TRY(member<std::string>(json, "policy"));
  if (policy.empty()) return fail(Kind::corrupt, "the gate's policy is empty");
  return policy;
}

Result<Json> GateClient::transfers() const {
  return parse_json(TRY(ask({"GET", "/v1/transfers", {}, "", kSecond})), "the gate's register");
}

}  // namespace domicile::agent
