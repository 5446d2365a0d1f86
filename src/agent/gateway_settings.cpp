#include "agent/gateway_settings.hpp"

#include <algorithm>

namespace domicile::agent {

Result<edge::GatewayConfig> gateway_settings(const AgentConfig& config, const topology::Topology& topology) {
  const auto missing = [](const std::string& what) {
    return fail(Kind::invalid_input, what, "see docs/reference/agent.md, gateway", "DOM-E601");
  };
  if (!config.gateway) return missing("this agent.yaml has no gateway");
  const GatewayConfig& own = *config.gateway;
  if (own.listen.empty()) return missing("'gateway.listen' is missing");
  if (own.application.empty()) return missing("'gateway.application' is missing");
  edge::GatewayConfig out;
  out.directory = own.directory;
  out.region = config.region;
  out.modules = own.modules;
  out.listen = own.listen;
  out.listen_plain = own.listen_plain;
  out.tunnel = own.tunnel;
  out.forward = own.forward;
  out.application = own.application;
  out.region_tls = config.api.tls;
  out.user = own.user;
  out.tenant_header = own.tenant_header;
  for (const auto& [residency, files] : own.certificates) {
    const auto* rules = topology::residency_of(topology, residency);
    if (rules == nullptr)
      return fail(Kind::invalid_input, "gateway.certificates: there is no residency " + residency, "", "DOM-E611");
    if (topology::form_at(topology, *rules, config.region) != topology::Form::full)
      return fail(Kind::refused,
                  fmt::format("a key for hosts of {} may not lie in {}, which does not hold it in full", residency,
                              config.region),
                  "remove it from gateway.certificates, and the key from this host", "DOM-E611");
    out.certificates.push_back({residency, files.certificate, files.key});
  }
  for (const auto& [region, site] : config.sites) {
    const bool next = std::ranges::any_of(topology.residencies, [&](const topology::Residency& residency) {
      return residency.name != topology::kDirectory && topology::may_own(residency, region) &&
             topology::form_at(topology, residency, config.region) == topology::Form::full;
    });
    if (next && region != config.region && !site.forward.empty()) out.peers.push_back({region, site.forward});
  }
  for (const auto& residency : topology.residencies)
    if (residency.name != topology::kDirectory && topology::may_own(residency, config.region) &&
        !own.certificates.contains(residency.name))
      return fail(Kind::refused,
                  fmt::format("gateway.certificates has none for {}, which {} may own: its hosts could not be served",
                              residency.name.str(), config.region),
                  fmt::format("add gateway.certificates.{}", residency.name.str()), "DOM-E611");
  return out;
}

}  // namespace domicile::agent
