#include "agent/config.hpp"

#include <array>
#include <charconv>
#include <set>

#include "agent/transport.hpp"
#include "core/residency/links.hpp"
#include "core/topology/reader.hpp"
#include "settings/section.hpp"

namespace domicile::agent {

using settings::read_tls;
using settings::Section;

namespace {

Result<EtcdConfig> read_etcd(Section s) {
  EtcdConfig etcd;
  etcd.endpoints = TRY(s.list("endpoints"));
  if (etcd.endpoints.empty()) return s.bad({}, "'etcd.endpoints' names nobody");
  for (const auto& endpoint : etcd.endpoints)
    if (const auto ok = check_url(endpoint); !ok) return s.at("endpoints", ok.error());
  etcd.user = TRY(s.text("user"));
  etcd.password_file = TRY(s.text("password_file"));
  etcd.tls = TRY(read_tls(s));
  CHECK_OK(s.finish());
  return etcd;
}

constexpr std::array<std::string_view, 4> kRoles{"view", "operate", "approve", "break-glass"};

Result<std::map<std::string, std::vector<std::string>>> read_roles(Section s) {
  std::map<std::string, std::vector<std::string>> roles;
  for (const auto& name : s.keys()) {
    roles[name] = TRY(s.list(name.c_str()));
    // A misspelt role would be none, and nobody would know before it is needed.
    for (const auto& role : roles[name])
      if (std::ranges::find(kRoles, role) == kRoles.end())
        return s.at(name.c_str(), {Kind::invalid_input, "no role is called " + role,
                                   "write view, operate, approve or break-glass", "DOM-E608"});
  }
  return roles;
}

Result<ApiConfig> read_api(Section s) {
  ApiConfig api;
  const auto listen = TRY(s.text("listen"));
  const auto colon = listen.rfind(':');
  if (colon == std::string::npos) return s.bad({}, "'api.listen' must be host:port");
  api.host = listen.substr(0, colon);
  const char *begin = listen.data() + colon + 1, *end = listen.data() + listen.size();
  if (const auto [read, code] = std::from_chars(begin, end, api.port);
      code != std::errc() || read != end || api.port < 1 || api.port > 65535)
    return s.bad({}, "'api.listen' has no port between 1 and 65535");
  api.socket = TRY(s.text("socket"));
  api.tls = TRY(read_tls(s));
  if (s.has("roles")) api.roles = TRY(read_roles(TRY(s.section("roles"))));
  api.revoked_file = TRY(s.text_or("revoked_file", ""));
  CHECK_OK(s.finish());
  return api;
}

Result<std::map<std::string, KeyPair>> read_certificates(Section s) {
  std::map<std::string, KeyPair> certificates;
  for (const auto& name : s.keys()) {
    Section one = TRY(s.section(name.c_str()));
    KeyPair& files = certificates[name];
    files.certificate = TRY(one.text("certificate"));
    files.key = TRY(one.text("key"));
    CHECK_OK(one.finish());
  }
  return certificates;
}

Result<GatewayConfig> read_gateway(Section s) {
  GatewayConfig gateway;
  gateway.directory = TRY(s.text("directory"));
  gateway.listen = TRY(s.text_or("listen", ""));
  gateway.listen_plain = TRY(s.text_or("listen_plain", ""));
  gateway.tunnel = TRY(s.text_or("tunnel", ""));
  gateway.forward = TRY(s.text_or("forward", ""));
  gateway.application = TRY(s.text_or("application", ""));
  gateway.modules = TRY(s.text_or("modules", "/usr/lib/nginx/modules"));
  gateway.user = TRY(s.text_or("user", "www-data"));
  gateway.tenant_header = TRY(s.text_or("tenant_header", "X-Tenant"));
  if (s.has("certificates")) gateway.certificates = TRY(read_certificates(TRY(s.section("certificates"))));
  CHECK_OK(s.finish());
  return gateway;
}

Result<std::map<std::string, SiteConfig>> read_sites(Section s) {
  std::map<std::string, SiteConfig> sites;
  for (const auto& name : s.keys()) {
    Section one = TRY(s.section(name.c_str()));
    SiteConfig& site = sites[name];
    site.api = TRY(one.text("api"));
    if (const auto ok = check_url(site.api); !ok) return one.at("api", ok.error());
    site.link = TRY(one.text_or("link", ""));
    const bool insecure = TRY(one.yes("insecure_link"));
    if (!site.link.empty())
      if (const auto ok = check_link(site.link, insecure); !ok) return one.at("link", ok.error());
    site.tunnel = TRY(one.text_or("tunnel", ""));
    site.forward = TRY(one.text_or("forward", ""));
    CHECK_OK(one.finish());
  }
  return sites;
}

Result<AgentConfig> read_root(Section& s) {
  AgentConfig config;
  config.region = TRY(s.text("region"));
  config.topology = TRY(s.text("topology"));
  config.state = TRY(s.text("state"));
  config.database = TRY(s.text_or("database", ""));
  if (s.has("gate")) {
    Section gate = TRY(s.section("gate"));
    config.gate_socket = TRY(gate.text("socket"));
    CHECK_OK(gate.finish());
  }
  config.etcd = TRY(read_etcd(TRY(s.section("etcd"))));
  config.api = TRY(read_api(TRY(s.section("api"))));
  if (s.has("gateway")) {
    config.gateway = TRY(read_gateway(TRY(s.section("gateway"))));
  }
  config.sites = TRY(read_sites(TRY(s.section("sites"))));
  const auto format = TRY(s.text_or("log", "text"));
  if (format != "text" && format != "json") return s.bad({}, "'log' must be text or json");
  config.log = format == "json" ? Log::Format::json : Log::Format::text;
  config.drift_period = topology::duration_of(TRY(s.text_or("drift_period", "5s"))).value_or(0);
  if (config.drift_period < 100 * kMillisecond) return s.bad({}, "'drift_period' must be a duration of at least 100ms");
  config.stall_directory = TRY(s.text_or("stall_directory", ""));
  return config;
}

// Without a gate to judge them no first rows leave, and a peer would wait for them for ever.
Result<void> check_gate(const AgentConfig& config, const topology::Topology& topology) {
  if (!config.gate_socket.empty()) return {};
  for (const auto& link : residency::links_of(topology))
    if (link.from == config.region)
      return fail(
          Kind::invalid_input,
          fmt::format("{} may send rows of {} to {}, and agent.yaml names no gate", link.from, link.residency, link.to),
          "add gate: {socket: …} and run `domicile gate`", "DOM-E612");
  return {};
}

// The first residency of which `from` may send rows to `to`; null: none.
const topology::Residency* sent(const topology::Topology& topology, std::string_view from, std::string_view to) {
  for (const auto& residency : topology.residencies)
    if (topology::may_own(residency, from) && topology::form_at(topology, residency, to) != topology::Form::none)
      return &residency;
  return nullptr;
}

}  // namespace

Result<void> check_fits(const AgentConfig& config, const topology::Topology& topology) {
  const auto sites = topology::sites_of(topology);
  if (std::ranges::none_of(sites, [&](const auto& site) { return site.str() == config.region; }))
    return fail(Kind::invalid_input, fmt::format("{} is no site of {}", config.region, config.topology.string()),
                "correct 'region' in agent.yaml", "DOM-E602");
  CHECK_OK(check_gate(config, topology));
  for (const auto& site : sites) {
    if (site.str() == config.region) continue;
    const auto known = config.sites.find(site);
    if (known == config.sites.end())
      return fail(Kind::invalid_input, fmt::format("agent.yaml has no addresses of site {}", site.str()),
                  "add it under 'sites'", "DOM-E603");
    const auto* residency = sent(topology, site.str(), config.region);
    if (residency != nullptr && known->second.link.empty())
      return fail(Kind::invalid_input,
                  fmt::format("{} may send rows of {} here, and sites.{} has no link", site.str(),
                              residency->name.str(), site.str()),
                  fmt::format("add sites.{}.link", site.str()), "DOM-E607");
  }
  return {};
}

Result<AgentConfig> read_agent_config(const fs::path& file) {
  AgentConfig config;
  CHECK_OK(settings::read_settings(file, "docs/reference/agent.md", [&](Section& s) -> Result<void> {
    config = TRY(read_root(s));
    return {};
  }));
  return config;
}

}  // namespace domicile::agent
