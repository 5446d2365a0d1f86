// domicile explain tenant: every place that holds a byte of a tenant, who may write it, and what each layer does about
// it.
#include "cli/agent_client.hpp"
#include "cli/explain_layers.hpp"
#include "cli/places_view.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<void> valid(const Args& args) {
  Args agent = args;
  agent.options.erase("config");  // it names topology and gateway here, beside --url too
  CHECK_OK(check_agent_options(agent));
  if (args.has("json") && args.has("o"))
    return fail(Kind::invalid_input, "--json and -o exclude each other", "choose one");
  return {};
}

Result<Exit> run(const Args& args, Io& io) {
  const auto explain = TRY(Explainer::of(args));
  const Subject subject = TRY(explain->tenant(args.words[0]));
  std::string trouble;
  const Json observed = observe(args, trouble, subject.tenant);
  const Exit exit = trouble.empty() || !demands_agent(args) ? Exit::ok : Exit::try_later;
  if (!trouble.empty()) io.err << "not observed: " << trouble << "\n";
  if (args.has("o")) {
    io.out << places_mermaid(explain->topology(), subject.tenant, subject.residency, observed);
    return exit;
  }
  const Branch places = places_of(explain->topology(), subject.tenant, subject.residency, observed);
  std::vector<LayerDecision> layers = {explain->directory(subject), explain->owners(subject),
                                       explain->authority(subject)};
  if (auto move = explain->move(subject)) layers.insert(layers.begin() + 1, std::move(*move));
  for (const auto& region : explain->topology().regions) layers.push_back(explain->law(subject, region));
  for (auto& link : explain->links(subject)) layers.push_back(std::move(link));
  for (const auto& region : explain->topology().regions)
    layers.push_back(TRY(explain->connection(subject, region.name)));
  for (const auto& region : explain->topology().regions)
    layers.push_back(TRY(explain->request(subject, region.name, "POST")));
  layers.push_back(explain->guard(subject));
  if (!args.has("json")) io.out << tree_text(places, io.terminal) << "\n";
  explain->print({{"tenant", subject.tenant},
                  {"residency", subject.residency},
                  {"hosts", subject.hosts},
                  {"places", tree_json(places)["below"]}},
                 layers, args, io);
  return exit;
}

}  // namespace

Verb explain_tenant_verb() {
  return {"explain tenant",
          "Draw every place that holds a byte of a tenant, and say who may write it and by which rule each layer "
          "decides.",
          {"TENANT"},
          with_drawing_options(
              with_explain_options({{"agent", "PATH", "This agent's Unix socket: what was observed (DOMICILE_AGENT)."},
                                    {"url", "URL", "The agent's control API instead: https://host:port, with:"},
                                    {"ca", "FILE", "The authority that signed the agent's certificate."},
                                    {"certificate", "FILE", "Your own certificate; its name has the role."},
                                    {"key", "FILE", "Your own key."}})),
          {"domicile explain tenant acme", "domicile explain tenant acme --agent /run/domicile/agent.sock -o mermaid",
           "domicile explain tenant acme --database 'service=domicile' --json"},
          run,
          valid};
}

}  // namespace domicile::cli
