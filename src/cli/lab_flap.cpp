#include "cli/lab_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb lab_flap_verb() {
  return {"lab flap",
          "Cut and heal in turns, each for half of the period.",
          {"FROM", "TO", "PERIOD_MS"},
          {base_option(), {"one-way", "", "only what goes from FROM to TO"}},
          {"domicile lab flap us-east-1 eu-central-1 2000"},
          [](const Args& args, Io& io) -> Result<Exit> {
            Json body{{"from", args.words.at(0)}, {"to", args.words.at(1)}, {"one_way", args.has("one-way")}};
            body["period_ms"] = TRY(lab_figure(args.words.at(2)));
            return lab_do(args, io, "flap", body, "flapping");
          },
          [](const Args& args) -> Result<void> {
            (void)TRY(lab_figure(args.words.at(2)));
            return {};
          }};
}

}  // namespace domicile::cli
