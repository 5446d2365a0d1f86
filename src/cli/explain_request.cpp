// domicile explain request: what the gateway of a region does with a request, and why.
#include "cli/explain_layers.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<void> valid_host(const std::string& text) {
  snapshot::HostName host;
  snapshot::normalise(text, host);
  if (host.size != 0) return {};
  return fail(Kind::invalid_input, "'" + text + "' can be no host");
}

Result<Exit> run(const Args& args, Io& io) {
  const std::string from = args.get("from"), method = args.get("method", "POST");
  snapshot::HostName host;
  snapshot::normalise(args.get("host"), host);
  const auto explain = TRY(Explainer::of(args));
  const auto* region = topology::region_of(explain->topology(), from);
  if (region == nullptr) return fail(Kind::invalid_input, "no region is called " + from);
  const auto found = explain->host(std::string(host.view()));
  if (!found && found.error().kind != Kind::refused) return tl::unexpected<Error>(found.error());
  const Subject subject = found ? *found : Subject{};
  std::vector<LayerDecision> layers = {found ? explain->directory(subject) : explain->unknown_host(host.view()),
                                       explain->law(subject, *region)};
  if (auto move = explain->move(subject)) layers.insert(layers.begin() + 1, std::move(*move));
  if (found) layers.push_back(explain->authority(subject));
  layers.push_back(TRY(explain->connection(subject, from)));
  layers.push_back(TRY(explain->request(subject, from, method)));
  layers.push_back(explain->guard(subject));
  if (auto assumed = explain->assumed(from)) layers.push_back(std::move(*assumed));
  explain->print({{"host", std::string(host.view())},
                  {"from", from},
                  {"method", method},
                  {"tenant", found ? Json(subject.tenant) : Json()},
                  {"residency", found ? Json(subject.residency) : Json()}},
                 layers, args, io);
  if (!found) io.err << render(found.error()) << "\n";
  return found ? Exit::ok : Exit::refused;
}

}  // namespace

Verb explain_request_verb() {
  return {"explain request",
          "Say what the gateway of a region does with a request, and by which rule each layer decides.",
          {},
          with_explain_options({{"host", "HOST", "The host that is asked for.", true, false, valid_host},
                                {"from", "REGION", "The region whose gateway gets the request.", true},
                                {"method", "METHOD", "GET, HEAD and OPTIONS read, all others write (POST)."}}),
          {"domicile explain request --host shop.acme.example --from us-east-1",
           "domicile explain request --host shop.acme.example --from eu-west-1 --method GET --json"},
          run};
}

}  // namespace domicile::cli
