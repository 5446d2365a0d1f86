// Which layer decides what about one tenant's data, and by which rule: the same pure decisions as the gateway's and the
// links', over the same snapshots.
#pragma once
#include "agent/config.hpp"
#include "base/json.hpp"
#include "cli/command.hpp"
#include "core/snapshot/decision.hpp"
#include "core/topology/topology.hpp"

namespace domicile::cli {

// --config, --topology, --gateway, --database, --json; appended to a verb's own options.
std::vector<Option> with_explain_options(std::vector<Option> own);

// What the tenant directory says. From the database where one is named, else from the gateway's tenants.snap.
struct Subject {
  std::string tenant, residency;
  std::vector<std::string> hosts;  // only the database keeps them readable
  std::size_t host_count = 0;
  std::string source;
  std::string listed = {};  // the source's residency; `residency` is that of a move where there is one
  bool moves = false, held = false;
};

struct LayerDecision {
  std::string layer, decision, rule;
};
std::string layers_text(const std::vector<LayerDecision>& layers, bool colour);
Json layers_json(const std::vector<LayerDecision>& layers);

// A gateway's view: its own files for the region that wrote them, the same records seen from elsewhere otherwise.
class GatewayWorld {
 public:
  GatewayWorld() = default;
  GatewayWorld(GatewayWorld&&) = delete;
  Result<void> open(std::string tenants, std::string authority, std::string_view boot_id);
  const snapshot::World& world() const { return world_; }
  const snapshot::AuthorityView& authority() const { return authority_; }
  const snapshot::TenantsView& tenants() const { return tenants_; }

 private:
  std::vector<snapshot::Bucket> tenants_bytes_, authority_bytes_;  // for their alignment
  snapshot::TenantsView tenants_;
  snapshot::AuthorityView authority_;
  snapshot::World world_;
};

// The other layers take an empty subject, that of a host that nobody has, for a tenant that may be nowhere.
class Explainer {
 public:
  static Result<std::unique_ptr<Explainer>> of(const Args& args);
  // `refused` where the directory does not know it: an unknown tenant has no place where it may be.
  Result<Subject> tenant(const std::string& id);
  Result<Subject> host(const std::string& name);  // normalised
  LayerDecision directory(const Subject& subject) const;
  std::optional<LayerDecision> move(const Subject& subject) const;  // empty: it does not move
  LayerDecision unknown_host(std::string_view host) const;
  LayerDecision law(const Subject& subject, const topology::Region& region) const;
  LayerDecision owners(const Subject& subject) const;
  LayerDecision authority(const Subject& subject) const;
  std::vector<LayerDecision> links(const Subject& subject) const;  // from the current owner
  LayerDecision guard(const Subject& subject) const;
  // What the gateway of `region` does with a new TLS connection, and with a decrypted request.
  Result<LayerDecision> connection(const Subject& subject, const std::string& region) const;
  Result<LayerDecision> request(const Subject& subject, const std::string& region, const std::string& method) const;
  // What is assumed about a gateway that is not the one whose files are read; empty for that one itself.
  std::optional<LayerDecision> assumed(const std::string& region) const;
  const topology::Topology& topology() const { return topology_; }
  // Prints layers as a table or JSON, with the policy hash, and says when the gateway works by another policy.
  void print(const Json& head, const std::vector<LayerDecision>& layers, const Args& args, Io& io) const;

 private:
  Subject routed(Subject subject) const;
  Result<void> seen_from(const std::string& region, const Subject& subject, GatewayWorld& world) const;
  const snapshot::AuthorityEntry* entry_of(const Subject& subject) const;
  const topology::Residency* residency_of(const Subject& subject) const;

  topology::Topology topology_;
  std::string database_, authority_bytes_;
  GatewayWorld files_;
};

}  // namespace domicile::cli
