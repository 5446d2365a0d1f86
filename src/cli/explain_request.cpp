// domicile explain request: what the gateway of a region does with a request, and why.
#include "cli/explain_layers.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const std::string from = args.get("from"), method = args.get("method", "POST");
  snapshot::HostName host;
  snapshot::normalise(args.get("host"), host);
  if (host.size == 0) return fail(Kind::invalid_input, "'" + args.get("host") + "' can be no host");
  const auto explain = TRY(Explainer::of(args));
  const auto* region = topology::region_of(explain->topology(), from);
  if (region == nullptr) return fail(Kind::invalid_input, "no region is called " + from);
  const Subject subject = TRY(explain->host(std::string(host.view())));
  std::vector<Layer> layers = {explain->directory(subject),
                               explain->law(subject, *region),
                               explain->authority(subject),
                               TRY(explain->connection(subject, from)),
                               TRY(explain->request(subject, from, method)),
                               explain->guard(subject)};
  if (auto assumed = explain->assumed(from)) layers.push_back(std::move(*assumed));
  explain->print({{"host", std::string(host.view())},
                  {"from", from},
                  {"method", method},
                  {"tenant", subject.tenant},
                  {"residency", subject.residency}},
                 layers, args, io);
  return Exit::ok;
}

}  // namespace

Verb explain_request_verb() {
  return {"explain request",
          "Say what the gateway of a region does with a request, and by which rule each layer decides.",
          {},
          with_explain_options({{"host", "HOST", "The host that is asked for.", true},
                                {"from", "REGION", "The region whose gateway gets the request.", true},
                                {"method", "METHOD", "GET, HEAD and OPTIONS read, all others write (POST)."}}),
          {"domicile explain request --host shop.acme.example --from us-east-1",
           "domicile explain request --host shop.acme.example --from eu-west-1 --method GET --json"},
          run};
}

}  // namespace domicile::cli
