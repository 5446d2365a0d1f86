// Salvage: rows in full that lie where they were written, and what regions ask each other about them.
#include "prove/attempt.hpp"
#include "prove/ground.hpp"
#include "prove/web.hpp"

namespace domicile::prove {
namespace {

Attempt asking(std::string id, std::string what, std::vector<std::string> rules, bool quick,
               std::function<Result<HttpResponse>(const Ground&, const Target&)> ask) {
  return {
      std::move(id),
      Layer::salvage,
      std::move(what),
      std::move(rules),
      quick,
      false,
      [ask = std::move(ask)](const Ground& ground, const Target& target) { return outcome_of(ask(ground, target)); }};
}

Json question(const Ground& g) { return {{"residency", g.residency}, {"epoch", 1}}; }

Json key_of(const Ground& g, const Target& t) {
  return {{"table", "app.orders"}, {"key", {{"residency", g.residency}, {"id", t.order}}}};
}

}  // namespace

std::vector<Attempt> salvage_attempts() {
  return {
      asking("salvage.rows", "salvaged rows of home, asked for as if this region owned the residency", {"refused"},
             true,
             [](const Ground& g, const Target&) {
               Json body = question(g);
               body["table"] = "app.orders";
               body["ids"] = {1};
               return ask_api(g, g.home, own_certificate(g, "site"), "POST", "/v1/salvage/rows", dump(body));
             }),
      asking("salvage.values", "both sides' values of salvaged rows, by an operator from elsewhere", {"refused"}, true,
             [](const Ground& g, const Target&) {
               Json body = question(g);
               body["values"] = true;
               return ask_api(g, g.home, client_certificate(g, "operate"), "POST", "/v1/salvage/show", dump(body));
             }),
      asking("salvage.since", "what became of a row at home, which a region with salvage may ask", {"refused"}, false,
             [](const Ground& g, const Target& t) {
               return ask_api(g, g.home, own_certificate(g, "site"), "POST", "/v1/salvage/since",
                              dump({{"residency", g.residency}, {"keys", {key_of(g, t)}}}));
             }),
      asking("salvage.apply", "a row of its own, written at home as salvage", {"refused"}, false,
             [](const Ground& g, const Target& t) {
               Json deed = key_of(g, t);
               deed["id"] = 1;
               deed["remove"] = true;
               deed["columns"] = Json::array();
               deed["expected"] = "";
               Json body = question(g);
               body["deeds"] = {deed};
               return ask_api(g, g.home, own_certificate(g, "site"), "POST", "/v1/salvage/apply", dump(body));
             }),
  };
}

}  // namespace domicile::prove
