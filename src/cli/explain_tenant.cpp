// domicile explain tenant: where a tenant's data may be, who may write it, and what each layer does about it.
#include "cli/explain_layers.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const auto explain = TRY(Explainer::of(args));
  const Subject subject = TRY(explain->tenant(args.words[0]));
  std::vector<LayerDecision> layers = {explain->directory(subject), explain->owners(subject),
                                       explain->authority(subject)};
  for (const auto& region : explain->topology().regions) layers.push_back(explain->law(subject, region));
  for (auto& link : explain->links(subject)) layers.push_back(std::move(link));
  for (const auto& region : explain->topology().regions)
    layers.push_back(TRY(explain->connection(subject, region.name)));
  for (const auto& region : explain->topology().regions)
    layers.push_back(TRY(explain->request(subject, region.name, "POST")));
  layers.push_back(explain->guard(subject));
  explain->print({{"tenant", subject.tenant}, {"residency", subject.residency}, {"hosts", subject.hosts}}, layers, args,
                 io);
  return Exit::ok;
}

}  // namespace

Verb explain_tenant_verb() {
  return {"explain tenant",
          "Say where a tenant's data may be, who may write it, and by which rule each layer decides.",
          {"TENANT"},
          with_explain_options({}),
          {"domicile explain tenant acme", "domicile explain tenant acme --database 'service=domicile' --json"},
          run};
}

}  // namespace domicile::cli
